//! `ConfigError`: what is wrong with the configuration of a resource.

use std::fmt;
use std::time::Duration;

use crate::util::url;

/// What is wrong with the configuration, and what to change.
///
/// `Debug` prints the same text as `Display`, because a `main` that returns the error prints it with `Debug`.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An alias cannot be a name of the resource.
    #[error("the alias {alias:?} {why}")]
    Alias {
        /// The alias.
        alias: String,
        /// What is wrong with it, and what to change.
        why: &'static str,
    },
    /// An API key is not valid.
    #[error("the API key {name:?} cannot be used: {why}")]
    ApiKey {
        /// The name of the key.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An audience is empty.
    #[error(
        "an audience is empty: is an environment variable unset? The resource itself is always an audience"
    )]
    Audience,
    /// The polling of security events is not configured correctly.
    #[error("the security events at {url:?} cannot be polled: {why}")]
    EventPoll {
        /// The URL to poll.
        url: String,
        /// What to change.
        why: &'static str,
    },
    /// Two resources have the same path, so that one router cannot serve both.
    #[error(
        "the resources {first:?} and {second:?} have the same path, and one router serves only one of them: give one of them another path; or, if both are names of one server, make one of them an `.alias(..)` of the other; or serve them with two routers, and choose by `Host`"
    )]
    SamePath {
        /// The URL of one.
        first: String,
        /// The URL of the other.
        second: String,
    },
    /// A scope implies itself, by way of other scopes.
    #[error("the scope {0:?} implies itself: remove one `.implies(..)` of the cycle")]
    CircularScopes(String),
    /// The HTTP client of an authorization server cannot be used as it is configured.
    #[error("the HTTP client for {issuer:?}: {why}")]
    HttpClient {
        /// The authorization server.
        issuer: String,
        /// What to change.
        why: &'static str,
    },
    /// An issuer is not an https URL, or appears twice.
    #[error(
        "the issuer {0:?} must be an https URL (http only on this machine, and where `.insecure_http_hosts(..)` allows it), without query or fragment, and be listed once; one whose keys are given may have any name"
    )]
    Issuer(String),
    /// The introspection at an authorization server is not configured correctly.
    #[error("the introspection of {issuer:?}: {why}")]
    Introspection {
        /// The authorization server.
        issuer: String,
        /// What to change.
        why: &'static str,
    },
    /// The leeway is too long.
    #[error("a leeway of {0:?} is longer than 5 minutes: set the clock instead")]
    Leeway(Duration),
    /// The place of the metadata is not a URL at which clients can fetch it.
    #[error(
        "the metadata URL {0:?} must be https (http only on this machine), without a fragment, and not at the path of the resource or of an alias"
    )]
    MetadataUrl(String),
    /// A rule for a tool, prompt, resource or method has an empty name.
    #[error(
        "a rule has an empty name: is an environment variable unset? For everything, the name is `*`"
    )]
    NamelessRule,
    /// A trusted proxy is neither an address nor a network, or the network contains all addresses.
    #[error(
        "{0:?} is not a network of trusted proxies: it must be like 10.0.0.0/8, fd00::/8 or 127.0.0.1, and not all addresses. Is an environment variable unset?"
    )]
    Network(String),
    /// The system gave no random numbers for the key of DPoP nonces.
    #[error(
        "this system gave no random numbers for DPoP nonces: give secrets with `.nonce_keys(..)`"
    )]
    NoNonceKey,
    /// There is no authorization server.
    #[error("there is no authorization server: name at least one with `.authorization_server(..)`")]
    NoAuthorizationServer,
    /// There is no source for the keys of an authorization server.
    #[error(
        "the keys of the issuer {0:?} cannot be fetched from anywhere: discover it, give metadata with a `jwks_uri`, configure introspection at an `.endpoint(..)`, or verify its tokens with `.verifier(..)`"
    )]
    NoKeys(String),
    /// The system gave no random numbers.
    #[error(
        "this system gave no random numbers, which session ids and the token cache need: check its source of randomness"
    )]
    NoRandomness,
    /// The list of session keys is empty.
    #[error(
        "the list of session keys is empty: is an environment variable unset? Without `.session_keys(..)` a random one is made"
    )]
    NoSessionKeys,
    /// There is no HTTP client to fetch keys, metadata or introspection responses with.
    #[error(
        "nothing can be fetched from the issuer {0:?}: enable the feature `reqwest`, or give a client with `.fetch(..)`"
    )]
    NoFetch(String),
    /// An origin is not a scheme and a host ([RFC 6454](https://www.rfc-editor.org/rfc/rfc6454)).
    #[error(
        "the origin {0:?} must be like https://app.example.com or chrome-extension://id, without path, or http://localhost:* for any port"
    )]
    Origin(String),
    /// The resource is not a URL that can identify a server.
    #[error(
        "the resource {0:?} must be the https URL that clients connect to (http only on this machine), without a fragment, without braces, and with a number for a port if it has one"
    )]
    Resource(String),
    /// A rule has a URI or a pattern that protects nothing: URL parsers rewrite such a URI, or requests for it are
    /// refused before any rule applies.
    #[error(
        "no request meets the rule for {0:?}: write the URI in canonical form, such as https://example.com/ in lower case, with a slash and no default port, without empty or dot segments and without needless percent-encoding (RFC 3986, 6.2)"
    )]
    RuleUri(String),
    /// An authorization server is configured by provider or by template, and something is missing.
    #[error("{0}")]
    Provider(String),
    /// A scope contains characters that are not allowed in scopes.
    #[error(
        "{0:?} is not a scope: scopes are visible ASCII without spaces, quotes and backslashes"
    )]
    Scope(String),
    /// A session key is too short.
    #[error(
        "a session key of {0} bytes can be guessed: give at least 32 random bytes, such as `openssl rand -base64 32` makes"
    )]
    ShortSessionKey(usize),
    /// The secret of an issuer is too short.
    #[error(
        "the secret of the issuer {0:?} must have 32 bytes at least, and from a random generator"
    )]
    Secret(String),
    /// A secret for DPoP nonces is too short.
    #[error(
        "a secret of {0} bytes for DPoP nonces can be guessed: give at least 32 random bytes, such as `openssl rand -base64 32` makes"
    )]
    ShortNonceKey(usize),
    /// The token exchange at an authorization server is not configured correctly.
    #[error("the token exchange at {issuer:?}: {why}")]
    TokenExchange {
        /// The authorization server.
        issuer: String,
        /// What to change.
        why: &'static str,
    },
    /// A URL given for metadata or keys cannot be fetched.
    #[error("{0:?} cannot be fetched: {why}", why = url::problem(.0, &[]).unwrap_or("it is not a URL"))]
    Url(String),
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
