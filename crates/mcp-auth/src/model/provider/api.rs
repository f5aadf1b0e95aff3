//! Provider APIs that describe opaque tokens, for providers without an introspection endpoint.

/// An API that describes one token per request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Api {
    /// The format of requests and responses.
    pub(crate) protocol: ApiProtocol,
    /// Its URL. Placeholders are filled in as in the issuer.
    pub(crate) endpoint: &'static str,
    /// Additional headers of the request.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The prefixes of its tokens, if they are documented. Letters, digits and `_` follow.
    pub(crate) prefixes: &'static [&'static str],
    /// The maximum length of the provider's tokens, in bytes.
    pub(crate) longest_token: usize,
    /// The members of a response that become claims unchanged. All others are dropped, since a response may
    /// contain the token itself.
    pub(crate) claims: &'static [&'static str],
    /// Operator detail for a token that cannot be one of the provider's.
    pub(crate) shape_detail: &'static str,
    /// Operator detail for a token that the provider does not know.
    pub(crate) unknown_detail: &'static str,
    /// Operator detail for a token without a user.
    pub(crate) no_user_detail: &'static str,
    /// What the API's status codes mean, and what to change then.
    pub(crate) status_advice: &'static [(u16, &'static str)],
}

/// The format of one provider's requests and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiProtocol {
    GitHub,
    Google,
}

/// Whether a token was issued by this issuer, as far as its form shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// It was not issued by this issuer.
    Foreign,
    /// It may have been issued by this issuer.
    Possible,
    /// It was issued by this issuer, and by no other.
    Own,
}

impl Api {
    /// Whether the provider can have issued a token, as far as its form shows.
    pub(crate) fn shape_of(&self, token: &str) -> Shape {
        // A JWT begins like this: a JSON object in base64url. It is an ID token, or from another issuer.
        if token.len() > self.longest_token || token.starts_with("eyJ") {
            return Shape::Foreign;
        }
        if self.prefixes.is_empty() {
            return Shape::Possible;
        }
        let mut rests = self.prefixes.iter().filter_map(|prefix| token.strip_prefix(prefix));
        let is_plain = |rest: &str| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_own = rests.any(|rest| !rest.is_empty() && is_plain(rest));
        if is_own { Shape::Own } else { Shape::Foreign }
    }

    /// What to change if the API answers with this status. Returns `None` if there is no advice for it.
    pub(crate) fn advice(&self, status: u16) -> Option<&'static str> {
        self.status_advice.iter().find(|(known, _)| *known == status).map(|(_, advice)| *advice)
    }
}
