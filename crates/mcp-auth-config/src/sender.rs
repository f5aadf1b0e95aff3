//! Sender-constrained tokens (DPoP, mutual TLS), as data.

use mcp_auth::{ClientCertHeader, Dpop, McpAuthBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::secret::SecretSource;

/// Whether DPoP-bound tokens are offered or required.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DpopMode {
    /// Clients are told that they may use such tokens.
    Optional,
    /// Every token must be bound.
    Required,
}

/// The header in which a proxy reports a client's certificate, and the proxies that may.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// `client-cert` (RFC 9440), or `x-forwarded-client-cert` (Envoy).
    pub header: CertificateHeader,
    /// Addresses and networks: `10.0.0.0/8`.
    pub proxies: Vec<String>,
}

/// A header in which a proxy reports a client's certificate.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateHeader {
    /// RFC 9440.
    ClientCert,
    /// Envoy.
    XForwardedClientCert,
}

/// How DPoP-bound tokens are used: a word, or a table.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(
    untagged,
    expecting = "`dpop` is \"optional\", \"required\", or a table with `mode`, `nonces`, `nonce_keys` or `replay_cache_capacity`"
)]
pub enum DpopConfig {
    /// `"optional"` or `"required"`.
    Mode(DpopMode),
    /// A table.
    Table(DpopTable),
}

/// How DPoP-bound tokens are used.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DpopTable {
    /// Whether clients are offered such tokens, or need them.
    pub mode: DpopMode,
    /// Whether each proof needs a nonce of this gateway (RFC 9449 §9).
    #[serde(default)]
    pub nonces: bool,
    /// The secrets of the nonces, the newest first: where several replicas must accept each other's nonces.
    #[serde(default)]
    pub nonce_keys: Vec<SecretSource>,
    /// How many proofs are remembered, so that none is accepted twice.
    pub replay_cache_capacity: Option<usize>,
}

impl DpopConfig {
    pub(crate) fn to_dpop(&self) -> Result<Dpop, Error> {
        match self {
            Self::Mode(mode) => Ok(mode.to_dpop()),
            Self::Table(table) => table.to_dpop(),
        }
    }
}

impl DpopMode {
    fn to_dpop(self) -> Dpop {
        match self {
            Self::Optional => Dpop::optional(),
            Self::Required => Dpop::required(),
        }
    }
}

impl DpopTable {
    fn to_dpop(&self) -> Result<Dpop, Error> {
        let mut dpop = self.mode.to_dpop();
        if self.nonces {
            dpop = dpop.nonces();
        }
        if !self.nonce_keys.is_empty() {
            let keys = self.nonce_keys.iter().map(SecretSource::read);
            dpop = dpop.nonce_keys(keys.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(match self.replay_cache_capacity {
            Some(number) => dpop.replay_cache_capacity(number),
            None => dpop,
        })
    }
}

impl ClientCertificates {
    pub(crate) fn add_to(&self, auth: McpAuthBuilder) -> McpAuthBuilder {
        let header = match self.header {
            CertificateHeader::ClientCert => ClientCertHeader::Rfc9440,
            CertificateHeader::XForwardedClientCert => ClientCertHeader::Xfcc,
        };
        auth.client_certificates_from(header, self.proxies.clone())
    }
}
