//! Authorization server metadata ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414), OpenID Connect Discovery 1.0).

use serde_json::{Map, Value};

use crate::util::json::{self, Object};

/// A metadata document as published, with every member.
pub type MetadataDocument = Map<String, Value>;

/// What an authorization server publishes about itself. A resource server needs its `issuer` and its
/// `jwks_uri`. Every other member is kept unchanged.
///
/// ```
/// use mcp_auth::metadata::ServerMetadata;
///
/// let metadata = ServerMetadata::new("https://auth.example.com", "https://auth.example.com/jwks");
/// assert_eq!(metadata.issuer(), "https://auth.example.com");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ServerMetadata(MetadataDocument);

impl ServerMetadata {
    /// The minimum: the issuer and the URL of its key set.
    #[must_use]
    pub fn new(issuer: impl Into<String>, jwks_uri: impl Into<String>) -> Self {
        let members = [("issuer", issuer.into()), ("jwks_uri", jwks_uri.into())];
        Self(members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    /// Parses a document. It must be a JSON object without duplicate members, and is not checked further:
    /// [`validate`](super::validate) reports what it lacks.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, &'static str> {
        Object::read(json).map_err(|_| "it is not a JSON object with distinct members")?;
        if !json::is_safe_for_serde_value(json) {
            return Err("it is nested too deep");
        }
        serde_json::from_slice(json).map(Self).map_err(|_| "it is not a JSON object")
    }

    /// The issuer identifier; empty if the document has none.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text("issuer").unwrap_or_default()
    }

    /// The URL of its key set.
    #[must_use]
    pub fn jwks_uri(&self) -> Option<&str> {
        self.text("jwks_uri")
    }

    /// The whole document.
    #[must_use]
    pub fn document(&self) -> &MetadataDocument {
        &self.0
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The URL of an endpoint. With `is_mtls`, for a client that authenticates with a certificate: its alias, if there is
    /// one ([RFC 8705 §5](https://www.rfc-editor.org/rfc/rfc8705#section-5)).
    pub(crate) fn endpoint(&self, name: &str, is_mtls: bool) -> Option<&str> {
        let aliases = self.0.get("mtls_endpoint_aliases").filter(|_| is_mtls);
        let alias = aliases.and_then(|aliases| aliases.get(name)?.as_str());
        alias.or_else(|| self.text(name))
    }

    /// The strings of an array. Returns `None` if the member is absent or is anything else.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<&str>> {
        self.0.get(name)?.as_array()?.iter().map(Value::as_str).collect()
    }
}

impl From<MetadataDocument> for ServerMetadata {
    fn from(document: MetadataDocument) -> Self {
        Self(document)
    }
}
