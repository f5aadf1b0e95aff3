//! The authentication schemes for access tokens: `Bearer` and `DPoP`.

use http::header::{AUTHORIZATION, HeaderMap};

/// An HTTP authentication scheme for access tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Anyone who has the token can use it ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)).
    #[default]
    Bearer,
    /// Each request proves that its sender possesses the key of the token
    /// ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
    Dpop,
}

impl Scheme {
    pub(crate) const ALL: [Self; 2] = [Self::Bearer, Self::Dpop];

    /// Its name in `Authorization` and `WWW-Authenticate`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// The scheme in which a request is answered: `DPoP` if its `Authorization` header has that scheme,
    /// otherwise `Bearer`.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let field = headers.get(AUTHORIZATION).map_or(&b""[..], |field| field.as_bytes());
        let is_dpop = field.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"DPoP"))
            && field.get(4).is_none_or(|byte| *byte == b' ');
        if is_dpop { Self::Dpop } else { Self::Bearer }
    }

    /// The part of an `Authorization` header after this scheme. Returns `None` if the header has another
    /// scheme.
    pub(crate) fn strip(self, field: &[u8]) -> Option<&[u8]> {
        let (word, rest) = field.split_at_checked(self.name().len())?;
        let is_this = word.eq_ignore_ascii_case(self.name().as_bytes())
            && rest.first().is_none_or(|byte| *byte == b' ');
        is_this.then_some(rest)
    }
}
