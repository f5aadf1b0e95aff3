//! Every way to say no, as data.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::scope::Scopes;

/// A refusal: what the client is told, and what only the operator may know.
///
/// The layer puts the denial into the extensions of the response that it makes of it, so that a layer
/// of yours can log or dress it:
///
/// ```
/// use mcp_auth::{Denial, Reason, Refusal};
///
/// # let response = { let mut r = http::Response::new(()); r.extensions_mut().insert(Denial::invalid(Reason::Expired)); r };
/// let denial = response.extensions().get::<Denial>();
/// assert_eq!(denial.and_then(Denial::reason), Some(Reason::Expired));
/// ```
#[derive(Clone, Debug)]
pub struct Denial {
    refusal: Refusal,
    detail: Option<Arc<str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What is refused: one row of the table that becomes the response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request is malformed: 400 `invalid_request`. The client has to mend it.
    BadRequest(BadRequest),
    /// The request comes from a web page of an origin that is not allowed: 403 without a challenge.
    ForeignOrigin,
    /// The token does not grant what is required: 403 `insufficient_scope`. The client may ask for these scopes.
    InsufficientScope(Scopes),
    /// The token is not valid here: 401 `invalid_token`. The client has to get another.
    InvalidToken(Reason),
    /// There is no bearer token: 401. The client has to start an authorization.
    NoCredentials,
    /// What is needed to judge the token is out of reach: 503. Time, or the operator, has to mend it.
    Unavailable {
        /// When another try may succeed.
        retry_after: Duration,
    },
}

/// What is wrong with the request as a whole ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1), `invalid_request`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadRequest {
    /// The `Authorization` header is not `Bearer` and one token.
    MalformedAuthorization,
    /// There is more than one `Authorization` header.
    RepeatedAuthorization,
}

/// Why a token is not valid here. Goes to the log, to metrics and to the response's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The signature algorithm is unknown, not allowed, symmetric or `none`.
    Algorithm,
    /// It was issued for another resource.
    Audience,
    /// It is bound to a key or a certificate (`cnf`), and the sender did not prove to hold it.
    Binding,
    /// A claim is missing or of the wrong type.
    Claims,
    /// It demands an extension (`crit`, `b64`) that is not supported.
    Critical,
    /// A member appears twice in its header or its claims.
    Duplicate,
    /// It is not strictly base64url-encoded without padding.
    Encoding,
    /// It is encrypted (JWE).
    Encrypted,
    /// It has expired.
    Expired,
    /// It is unknown to its issuer, or was revoked.
    Inactive,
    /// Its issuer is not trusted here.
    Issuer,
    /// The key it names must not be used so: `use`, `key_ops`, `alg`, or too short.
    Key,
    /// It cannot be read.
    Malformed,
    /// It is not valid yet, or issued in the future.
    NotYetValid,
    /// It is longer than the limit.
    Oversize,
    /// Its signature is wrong.
    Signature,
    /// It is another kind of token: an ID token, a logout token, a DPoP proof...
    Type,
    /// Its issuer publishes no key that fits it.
    UnknownKey,
}

impl Denial {
    /// There is no bearer token.
    #[must_use]
    pub fn no_credentials() -> Self {
        Self::new(Refusal::NoCredentials)
    }

    /// The request is malformed.
    #[must_use]
    pub fn bad_request(why: BadRequest) -> Self {
        Self::new(Refusal::BadRequest(why))
    }

    /// The token is not valid here.
    #[must_use]
    pub fn invalid(reason: Reason) -> Self {
        Self::new(Refusal::InvalidToken(reason))
    }

    /// The token is valid, but must grant these scopes too.
    #[must_use]
    pub fn insufficient_scope(required: impl Into<Scopes>) -> Self {
        Self::new(Refusal::InsufficientScope(required.into()))
    }

    /// The request comes from a web page of an origin that is not allowed.
    #[must_use]
    pub fn foreign_origin() -> Self {
        Self::new(Refusal::ForeignOrigin)
    }

    /// The token could not be judged; another try after `retry_after` may succeed.
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::new(Refusal::Unavailable { retry_after })
    }

    /// Adds a sentence for the operator: what was found, what was expected, what to change.
    ///
    /// It is logged, and never sent. It must hold no secret, and nothing that a stranger wrote.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into().into());
        self
    }

    /// Adds the error that led here, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// What is refused.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Why the token is not valid, if that is what is refused.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self.refusal {
            Refusal::InvalidToken(reason) => Some(reason),
            _ => None,
        }
    }

    /// The sentence for the operator: what was found, what was expected, what to change.
    #[must_use]
    pub fn operator_detail(&self) -> Option<&str> {
        self.detail.as_deref().or_else(|| match &self.refusal {
            Refusal::BadRequest(why) => Some(why.hint()),
            Refusal::InvalidToken(reason) => Some(reason.hint()),
            _ => None,
        })
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.refusal {
            Refusal::BadRequest(_) => StatusCode::BAD_REQUEST,
            Refusal::ForeignOrigin | Refusal::InsufficientScope(_) => StatusCode::FORBIDDEN,
            Refusal::InvalidToken(_) | Refusal::NoCredentials => StatusCode::UNAUTHORIZED,
            Refusal::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A stable word for logs and metrics: `no_credentials`, `expired`, `insufficient_scope`...
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.refusal {
            Refusal::BadRequest(why) => why.code(),
            Refusal::ForeignOrigin => "foreign_origin",
            Refusal::InsufficientScope(_) => "insufficient_scope",
            Refusal::InvalidToken(reason) => reason.code(),
            Refusal::NoCredentials => "no_credentials",
            Refusal::Unavailable { .. } => "unavailable",
        }
    }

    fn new(refusal: Refusal) -> Self {
        Self { refusal, detail: None, source: None }
    }
}

/// For the operator: the code, the detail and what caused it. Never sent to a client.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl Error for Denial {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// One declaration for a word list: variant, stable code, sentence on the wire, hint in the log.
macro_rules! words {
    ($type:ident { $($variant:ident: $code:literal, $sentence:literal, $hint:literal;)* }) => {
        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable word for logs and metrics.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The fixed sentence that the client is told in `error_description`.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $sentence),* }
            }

            /// What the operator is told to look at, where nothing more exact is known.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint),* }
            }
        }
    };
}

words!(BadRequest {
    MalformedAuthorization: "malformed_authorization",
        "The Authorization header must be the word Bearer and one access token",
        "the client, or a proxy on the way, sends a malformed `Authorization` header: an empty token or a stray word, perhaps from an unset variable";
    RepeatedAuthorization: "repeated_authorization",
        "The request must have exactly one Authorization header",
        "the client, or a proxy on the way, adds a second `Authorization` header";
});

words!(Reason {
    Algorithm: "algorithm",
        "The access token is signed with an algorithm that is not accepted",
        "the token's `alg` is unknown, symmetric or `none`: let the issuer sign with an asymmetric algorithm";
    Audience: "audience",
        "The access token was issued for another resource",
        "set the audience (API, resource) in your provider, or accept its name for this resource with `.audience(..)`";
    Binding: "binding",
        "The access token is bound to a key and cannot be used as a bearer token",
        "the token has a `cnf` claim: it is bound to a key (DPoP or mTLS), and proof of possession is not supported yet";
    Claims: "claims",
        "The access token lacks a required claim",
        "a claim is missing or not of its type: `iss`, `sub`, `aud` and `exp` are required";
    Critical: "critical",
        "The access token requires an extension that is not supported",
        "the token's header demands an extension (`crit`, `b64`): let the issuer leave it out";
    Duplicate: "duplicate",
        "The access token is malformed",
        "a member comes twice in the token's header or claims: the issuer's serializer is broken, or the token forged";
    Encoding: "encoding",
        "The access token is malformed",
        "a part of the token is not strict base64url: it was cut off or altered on its way, or is no JWT";
    Encrypted: "encrypted",
        "Encrypted access tokens are not accepted",
        "the token is encrypted (JWE): let the issuer only sign tokens for this resource";
    Expired: "expired",
        "The access token expired",
        "the client has to refresh it; if it is new, compare the clocks of this machine and of the issuer";
    Inactive: "inactive",
        "The access token is not active",
        "the verifier does not know the token, or it was revoked";
    Issuer: "issuer",
        "The access token was issued by an authorization server that is not trusted here",
        "trust the issuer with `.authorization_server(..)`, byte for byte as its tokens name it: a final slash matters";
    Key: "key",
        "The key of the access token cannot be used",
        "the issuer's key may not be used so: see its `use`, `key_ops`, `alg` and length";
    Malformed: "malformed",
        "The access token is malformed",
        "the token cannot be read: is it an access token of this issuer, and whole?";
    NotYetValid: "not_yet_valid",
        "The access token is not valid yet",
        "`nbf` or `iat` is in the future: compare the clocks of this machine and of the issuer";
    Oversize: "oversize",
        "The access token is too long",
        "the token is longer than 16 KiB, or its header than 4 KiB: let the issuer put fewer claims (groups) into it";
    Signature: "signature",
        "The signature of the access token is wrong",
        "the token was changed, or its issuer signs with another key than it publishes under that name";
    Type: "type",
        "This kind of token is not an access token",
        "the client sends another kind of token: it must send its access token";
    UnknownKey: "unknown_key",
        "The access token is signed with an unknown key",
        "the issuer publishes no such key: the token is forged, very old, or from another environment of the issuer";
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_sentences_fit_into_a_challenge() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.extend(BadRequest::ALL.iter().map(|why| why.code()));
        let number = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), number);

        let sentences = Reason::ALL
            .iter()
            .map(|reason| reason.description())
            .chain(BadRequest::ALL.iter().map(|why| why.description()));
        for sentence in sentences {
            // rmcp and others search a whole challenge for these words; RFC 6750 §3 limits the characters.
            assert!(
                !["scope=", "error=", "resource_metadata="]
                    .iter()
                    .any(|word| sentence.contains(word)),
                "{sentence}"
            );
            assert!(
                sentence.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
                "{sentence}"
            );
        }
    }

    #[test]
    fn the_display_is_for_the_operator() {
        let denial = Denial::invalid(Reason::Audience).detail("expected `a`").caused_by("inner");
        assert_eq!(denial.to_string(), "audience: expected `a`");
        assert_eq!(denial.source().map(ToString::to_string).as_deref(), Some("inner"));
    }
}
