//! The APIs by which providers tell of opaque tokens, where they have no introspection endpoint.

/// An API that tells of one token at a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Api {
    /// In which words it is asked, and answers.
    pub(crate) protocol: ApiProtocol,
    /// Where it is; filled in as the issuer is.
    pub(crate) endpoint: &'static str,
    /// What it wants to be sent besides.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// How its tokens begin, if that is documented: letters, digits and `_` follow.
    pub(crate) prefixes: &'static [&'static str],
    /// The longest token that the provider gives, in bytes.
    pub(crate) longest_token: usize,
    /// The members of an answer that become claims as they are. All others are dropped, since an answer may
    /// hold the token itself.
    pub(crate) claims: &'static [&'static str],
    /// What to say of a token that cannot be one of these.
    pub(crate) about_shape: &'static str,
    /// What to say of a token that it does not know.
    pub(crate) about_unknown: &'static str,
    /// What to say of a token that speaks for no user.
    pub(crate) about_no_user: &'static str,
    /// What it does when it answers a status, and what to change then.
    pub(crate) about_status: &'static [(u16, &'static str)],
}

/// The words of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiProtocol {
    GitHub,
    Google,
}

/// What a token shows of whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Not this issuer's.
    Foreign,
    /// Perhaps this issuer's.
    Possible,
    /// This issuer's, and no other's.
    Own,
}

impl Api {
    /// Whether a token can be one of this provider, as far as it shows.
    pub(crate) fn shape_of(&self, token: &str) -> Shape {
        // A JWT begins like this, a JSON object in base64url. It is an ID token, or somebody else's.
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

    /// What to change when it answers this status.
    pub(crate) fn advice(&self, status: u16) -> Option<&'static str> {
        self.about_status.iter().find(|(known, _)| *known == status).map(|(_, advice)| *advice)
    }
}
