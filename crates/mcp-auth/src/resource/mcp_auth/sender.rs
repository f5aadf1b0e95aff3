//! Is the sender of a token its owner? DPoP and mTLS, as they are set and as they are judged.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::request::Parts;

use super::{ConfigError, McpAuthBuilder};
use crate::model::credentials::Credentials;
use crate::model::denial::{Denial, Reason};
use crate::model::scheme::Scheme;
use crate::net::clock::Clock;
use crate::policy::challenge::Challenge;
use crate::policy::metadata::ResourceMetadata;
use crate::policy::policy::Accepted;
use crate::verify::dpop::{self, Dpop, NonceKeys, Nonces, Proofs};
use crate::verify::mtls::{Certificates, ClientCertHeader, Forwarded, Network};

/// As many bytes as HMAC-SHA256 has security to give (RFC 2104 §3).
const SHORTEST_NONCE_KEY: usize = 32;

/// What is set. Without a word, bound tokens are accepted with their proofs, and nothing is offered.
#[derive(Default)]
pub(super) struct Settings {
    dpop: Option<Dpop>,
    requires_certificates: bool,
    forwarded: Option<(ClientCertHeader, Vec<String>)>,
}

impl McpAuthBuilder {
    /// Offers tokens that are bound to a key (DPoP,
    /// [RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), or requires them.
    ///
    /// Unless this is called, such a token is accepted with its proof, and refused without; but clients are
    /// not told that they may ask for one.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.sender.dpop = Some(dpop);
        self
    }

    /// Believes these peers what they say in a header about the client's TLS certificate: addresses
    /// (`127.0.0.1`) and networks (`10.0.0.0/8`) of proxies that end TLS and replace what clients send under
    /// that name.
    ///
    /// Who the peer is stands in [`PeerAddr`](crate::PeerAddr). For TLS that ends in this process, put a
    /// [`ClientCertificate`](crate::ClientCertificate) into the requests instead; that needs no setting.
    ///
    /// ```
    /// use mcp_auth::{ClientCertHeader, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .client_certificates_from(ClientCertHeader::Rfc9440, ["10.0.0.0/8"])
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn client_certificates_from<S: Into<String>>(
        mut self,
        header: ClientCertHeader,
        peers: impl IntoIterator<Item = S>,
    ) -> Self {
        self.sender.forwarded = Some((header, peers.into_iter().map(Into::into).collect()));
        self
    }

    /// Refuses tokens that are not bound to the client's TLS certificate
    /// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)).
    pub fn certificate_bound_tokens_required(mut self) -> Self {
        self.sender.requires_certificates = true;
        self
    }
}

impl Settings {
    /// Completes the metadata ([RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2)).
    pub(super) fn describe(&self, mut metadata: ResourceMetadata) -> ResourceMetadata {
        if let Some(dpop) = &self.dpop {
            let algorithms: Vec<_> = dpop::algorithm_names().collect();
            metadata = metadata.member("dpop_signing_alg_values_supported", algorithms);
            if dpop.is_required {
                metadata = metadata.member("dpop_bound_access_tokens_required", true);
            }
        }
        if self.requires_certificates || self.forwarded.is_some() {
            metadata = metadata.member("tls_client_certificate_bound_access_tokens", true);
        }
        metadata
    }

    /// Checks the settings and makes them ready.
    pub(super) fn ready(self, resource: &str, leeway: Duration) -> Result<Sender, ConfigError> {
        let dpop = self.dpop.as_ref();
        let nonces = match dpop.map(|dpop| &dpop.nonces) {
            None | Some(NonceKeys::NoNonces) => None,
            Some(NonceKeys::Random) => Some(Nonces::random().ok_or(ConfigError::NoNonceKey)?),
            Some(NonceKeys::Given(keys)) => {
                let shortest = keys.iter().map(|key| key.len()).min().unwrap_or(0);
                let nonces = Nonces::new(keys, resource);
                let is_long = shortest >= SHORTEST_NONCE_KEY;
                Some(nonces.filter(|_| is_long).ok_or(ConfigError::ShortNonceKey(shortest))?)
            }
        };
        let remembered = dpop.map_or(Dpop::optional().remembered_proofs, |it| it.remembered_proofs);
        let proofs = Proofs::new(resource, leeway, nonces, remembered)
            .ok_or_else(|| ConfigError::Resource(resource.to_owned()))?;
        let forwarded = match self.forwarded {
            None => None,
            Some((header, peers)) => {
                if peers.is_empty() {
                    return Err(ConfigError::Network(String::new()));
                }
                let network =
                    |text: String| Network::parse(&text).ok_or(ConfigError::Network(text));
                Some(Forwarded {
                    header,
                    peers: peers.into_iter().map(network).collect::<Result<_, _>>()?,
                })
            }
        };
        Ok(Sender {
            is_offered: dpop.is_some(),
            is_required: dpop.is_some_and(|dpop| dpop.is_required),
            algorithms: dpop::algorithm_names().collect::<Vec<_>>().join(" "),
            proofs,
            certificates: Certificates { is_required: self.requires_certificates, forwarded },
        })
    }
}

/// Judges whether senders are the owners of their tokens.
pub(super) struct Sender {
    /// Whether clients are told of DPoP.
    is_offered: bool,
    /// Whether nothing but DPoP will do.
    is_required: bool,
    /// The algorithms of proofs, as challenges name them.
    algorithms: String,
    proofs: Proofs,
    certificates: Certificates,
}

impl Sender {
    /// Whether the sender is the owner: a token that is not bound belongs to whoever has it. It is accepted before, so
    /// that one for somebody else costs no signature, and takes no place in the memory of proofs.
    pub(super) fn confirm(
        &self,
        token: &Accepted,
        credentials: &Credentials,
        parts: &Parts,
        now: SystemTime,
    ) -> Result<(), Denial> {
        let Some(binding) = token.facts().binding.as_deref() else {
            let is_plain = credentials.scheme() == Scheme::Bearer;
            let may_be_plain = !self.is_required && !self.certificates.is_required;
            return if is_plain && may_be_plain { Ok(()) } else { unbound() };
        };
        if !binding.is_understood() {
            return Err(Denial::invalid(Reason::Binding));
        }
        match binding.certificate_thumbprint() {
            Some(thumbprint) => self.certificates.confirm(thumbprint, parts)?,
            None if self.certificates.is_required => return unbound(),
            None => {}
        }
        match (binding.key_thumbprint(), credentials.scheme()) {
            (Some(key), Scheme::Dpop) => self.proofs.confirm(token, credentials, key, parts, now),
            // RFC 9449 §7.2: else a thief would only have to change the scheme.
            (Some(_), Scheme::Bearer) => Err(Denial::invalid(Reason::Binding)),
            (None, Scheme::Dpop) => unbound(),
            (None, Scheme::Bearer) if self.is_required => unbound(),
            (None, Scheme::Bearer) => Ok(()),
        }
    }

    /// The challenge in the schemes that are offered
    /// ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
    pub(super) fn challenge(&self, challenge: Challenge, denial: &Denial) -> Challenge {
        let algorithms = || Some(self.algorithms.clone());
        let is_login = denial.status() == http::StatusCode::UNAUTHORIZED;
        match denial.scheme() {
            _ if self.is_required => challenge.by_dpop(algorithms()),
            Scheme::Dpop if is_login => challenge.by_bearer_or_dpop(algorithms()),
            Scheme::Dpop => challenge.by_dpop(algorithms()),
            Scheme::Bearer if self.is_offered && is_login => challenge.or_dpop(algorithms()),
            Scheme::Bearer => challenge,
        }
    }

    /// The nonce for the next proof of a client that speaks DPoP.
    pub(super) fn nonce(&self, clock: &dyn Clock) -> Option<HeaderValue> {
        self.proofs.nonce(clock.now())
    }
}

fn unbound() -> Result<(), Denial> {
    Err(Denial::invalid(Reason::Unbound))
}
