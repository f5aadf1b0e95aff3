//! How connections to other servers are made, as data.

use std::fs;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use mcp_auth::HttpClient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::secret::SecretSource;

/// Certificates and a proxy for connections to another server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// A PEM file with certification authorities that are trusted in addition to those of the system.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate that is shown to servers that ask for one (mutual TLS), its own first.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the private key of `certificate`.
    pub key: Option<PathBuf>,
    /// The proxy, `http://proxy.example.com:3128`; or `env:NAME` or `file:PATH` if it has a password. Default: that of
    /// the environment (`HTTPS_PROXY`).
    pub proxy: Option<String>,
}

impl HttpConfig {
    pub(crate) fn to_client(&self) -> Result<HttpClient, Error> {
        let mut client = HttpClient::new();
        if let Some(file) = &self.ca {
            client = client.root_certificates(read(file)?);
        }
        client = match (&self.certificate, &self.key) {
            (None, None) => client,
            (Some(certificate), Some(key)) => {
                client.client_certificate(read(certificate)?, read(key)?)
            }
            _ => return Err(Error::new("`http`: set both `certificate` and `key`, or none")),
        };
        Ok(match &self.proxy {
            None => client,
            Some(proxy) => match SecretSource::parse(proxy) {
                Some(source) => client.proxy(source.read()?),
                None if proxy.contains('@') => {
                    return Err(Error::new(
                        "`http`: a proxy with a password is not written here: set `proxy` to `env:NAME` or `file:PATH`",
                    ));
                }
                None => client.proxy(proxy),
            },
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file)
        .map_err(|error| Error::new(format!("the file {} cannot be read: {error}", file.display())))
}

/// A header whose value is a secret.
pub(crate) fn secret_header(
    name: &str,
    value: &SecretSource,
) -> Result<(HeaderName, HeaderValue), Error> {
    let header: HeaderName = name
        .parse()
        .map_err(|_| Error::new(format!("`headers`: {name:?} is not the name of a header")))?;
    let value = value.read()?.parse().map_err(|_| {
        Error::new(format!("`headers`: the value of {name:?} has characters that no header has"))
    })?;
    Ok((header, value))
}
