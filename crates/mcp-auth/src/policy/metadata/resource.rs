//! Protected resource metadata ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)).

use serde_json::{Map, Value};

use crate::model::scope::Scopes;

/// What a protected resource publishes about itself, beyond its URL and its authorization servers.
///
/// ```
/// use mcp_auth::McpAuth;
///
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com")
///     .metadata(|it| it
///         .resource_name("Notes")
///         .resource_name_in("zh-TW", "筆記")
///         .resource_documentation("https://example.com/docs"))
///     .build()?;
/// assert!(auth.metadata_json().contains(r##""resource_name#zh-TW":"筆記""##));
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResourceMetadata(Map<String, Value>);

/// Declares each member of the document: its setter, the type of its value, its meaning.
macro_rules! members {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        $($(#[$doc])* #[must_use]
        pub fn $name(self, value: $type) -> Self {
            self.member(stringify!($name), value)
        })*
    };
}

/// Like `members!`, for texts that may be given in several languages (RFC 9728 §2.1).
macro_rules! localized_members {
    ($($(#[$doc:meta])* $name:ident, $name_in:ident;)*) => {
        $($(#[$doc])* #[must_use]
        pub fn $name(self, value: impl Into<String>) -> Self {
            self.member(stringify!($name), value.into())
        }

        $(#[$doc])*
        ///
        /// In one language, given by its [BCP 47](https://www.rfc-editor.org/info/bcp47) tag.
        #[must_use]
        pub fn $name_in(self, language: &str, value: impl Into<String>) -> Self {
            self.member(&format!("{}#{language}", stringify!($name)), value.into())
        })*
    };
}

impl ResourceMetadata {
    localized_members! {
        /// The human-readable name of the resource.
        resource_name, resource_name_in;
        /// The URL of a page for developers.
        resource_documentation, resource_documentation_in;
        /// The URL of a page on how a client may use the data.
        resource_policy_uri, resource_policy_uri_in;
        /// The URL of the terms of service.
        resource_tos_uri, resource_tos_uri_in;
    }

    members! {
        /// The supported types of `authorization_details` ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)).
        authorization_details_types_supported: Vec<String>;
        /// Whether only DPoP-bound tokens are accepted.
        dpop_bound_access_tokens_required: bool;
        /// The algorithms accepted in DPoP proofs.
        dpop_signing_alg_values_supported: Vec<String>;
        /// The URL of the resource's own key set. It signs its responses with these keys.
        jwks_uri: String;
        /// The algorithms with which the resource signs its responses.
        resource_signing_alg_values_supported: Vec<String>;
        /// This metadata as a JWT that you have signed.
        signed_metadata: String;
        /// Whether tokens bound to client certificates are supported.
        tls_client_certificate_bound_access_tokens: bool;
    }

    /// The scopes that a client should request at first: the minimum that is useful. Defaults to the required
    /// scopes.
    #[must_use]
    pub fn scopes_supported(self, scopes: impl Into<Scopes>) -> Self {
        let scopes: Vec<Value> = scopes.into().iter().map(Value::from).collect();
        self.member("scopes_supported", scopes)
    }

    /// Sets any other member. Empty arrays are left out, as RFC 9728 requires.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Array(empty) if empty.is_empty() => self.0.remove(name),
            value => self.0.insert(name.to_owned(), value),
        };
        self
    }

    /// Adds the members of `other`, which take precedence.
    pub(crate) fn with(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The published scopes, if they are set.
    pub(crate) fn published_scopes(&self) -> Option<Scopes> {
        let scopes = self.0.get("scopes_supported")?.as_array()?;
        Some(scopes.iter().filter_map(Value::as_str).collect())
    }

    /// The whole document.
    pub(crate) fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}
