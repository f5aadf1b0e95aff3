//! The ways in which an issuer can fail.

/// An endpoint of the issuer that can fail by itself.
///
/// ```
/// use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
///
/// let issuer = TestIssuer::new();
/// issuer.trouble(Endpoint::Jwks, Trouble::Down); // the metadata is still served
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The authorization server metadata, at each of its URLs (RFC 8414).
    Metadata,
    /// The JSON Web Key Set (RFC 7517).
    Jwks,
    /// The introspection endpoint (RFC 7662) of an issuer that is not served.
    Introspection,
}

/// How an [`Endpoint`] fails.
///
/// ```
/// use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
///
/// let issuer = TestIssuer::new();
/// issuer.trouble(Endpoint::Metadata, Trouble::Status(503));
/// issuer.recover();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// The connection fails.
    Down,
    /// The answer has this status and no body. A number that is not an HTTP status counts as 500.
    Status(u16),
    /// No answer comes until [`TestIssuer::recover`](crate::TestIssuer::recover) or other trouble.
    Hang,
    /// The answer is an HTML page, with status 200.
    InvalidDocument,
    /// The answer is empty JSON: a key set without keys, metadata without members, an introspection
    /// response without `active`.
    Empty,
    /// The answer is the correct document, padded with 4 MiB of spaces.
    Oversize,
    /// The answer is a redirect (302) to the same URL.
    Redirect,
    /// The metadata names another issuer (RFC 8414 §3.3). The key set is correct.
    OtherIssuer,
    /// The metadata's `jwks_uri` is plain `http` to another machine. The key set is correct.
    InsecureJwksUri,
    /// The key set also contains unusable keys: of an unknown type, with a number as its `kid`,
    /// symmetric, RSA with 1024 bits, with a duplicate member. The metadata is correct.
    UnusableKeys,
}

/// The current trouble of each endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Troubles {
    metadata: Option<Trouble>,
    jwks: Option<Trouble>,
    introspection: Option<Trouble>,
}

impl Troubles {
    pub(crate) fn at(&self, endpoint: Endpoint) -> Option<Trouble> {
        match endpoint {
            Endpoint::Metadata => self.metadata,
            Endpoint::Jwks => self.jwks,
            Endpoint::Introspection => self.introspection,
        }
    }

    pub(crate) fn set(&mut self, endpoint: Endpoint, trouble: Trouble) {
        match endpoint {
            Endpoint::Metadata => self.metadata = Some(trouble),
            Endpoint::Jwks => self.jwks = Some(trouble),
            Endpoint::Introspection => self.introspection = Some(trouble),
        }
    }
}
