//! Authorization server metadata ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414), OpenID Connect Discovery 1.0).

use serde_json::{Map, Value};

use crate::util::json::{self, Object};

/// A metadata document as it was published, every member of it.
pub type MetadataDocument = Map<String, Value>;

/// What an authorization server publishes about itself. A resource server needs its `issuer` and its
/// `jwks_uri`; every other member is kept as it is.
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
    /// The least there can be.
    #[must_use]
    pub fn new(issuer: impl Into<String>, jwks_uri: impl Into<String>) -> Self {
        let members = [("issuer", issuer.into()), ("jwks_uri", jwks_uri.into())];
        Self(members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    /// Reads a document. Nothing is required of it but to be a JSON object without duplicate members:
    /// [`validate`](super::validate) tells what it lacks.
    ///
    /// # Errors
    ///
    /// What is wrong, as a sentence.
    pub fn parse(json: &[u8]) -> Result<Self, &'static str> {
        Object::read(json).map_err(|_| "it is no JSON object with distinct members")?;
        if !json::has_a_bottom(json) {
            return Err("it is nested too deep");
        }
        serde_json::from_slice(json).map(Self).map_err(|_| "it is no JSON object")
    }

    /// The issuer identifier; empty if the document has none.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text("issuer").unwrap_or_default()
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> Option<&str> {
        self.text("jwks_uri")
    }

    /// Every member.
    #[must_use]
    pub fn document(&self) -> &MetadataDocument {
        &self.0
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The strings of an array; nothing if the member is absent or something else.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<&str>> {
        self.0.get(name)?.as_array()?.iter().map(Value::as_str).collect()
    }
}

impl From<MetadataDocument> for ServerMetadata {
    fn from(document: MetadataDocument) -> Self {
        Self(document)
    }
}
