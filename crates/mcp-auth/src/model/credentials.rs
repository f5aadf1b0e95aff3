//! `Credentials`: the access token of a request and its DPoP proof, both unverified.

use std::fmt;
use std::ops::Range;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::model::denial::Denial;
use crate::model::error_codes::{BadProof, BadRequest, Reason};
use crate::model::scheme::Scheme;

/// The header that carries the DPoP proof
/// ([RFC 9449 §4.1](https://www.rfc-editor.org/rfc/rfc9449#section-4.1)).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The maximum length of an access token, in bytes. Longer tokens are refused.
///
/// Tokens signed with ML-DSA-87 reach about 7 kB. Entra tokens with many groups stay below 8 kB. Beyond 16 KiB,
/// most servers refuse the whole header.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The commonest mistake of a program that sends its token itself.
const OTHER_SCHEME: &str = "there is an `Authorization` header, and it does not begin with `Bearer` or `DPoP` and a space: the client must send `Authorization: Bearer` and the token";

/// The credentials of a request, as sent in its headers. Nothing of them is verified.
///
/// ```
/// use mcp_auth::Credentials;
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer mF_9.B5f-4.1JqM"));
/// let credentials = Credentials::from_headers(&headers).unwrap();
/// assert_eq!(credentials.token().expose(), "mF_9.B5f-4.1JqM");
/// assert_eq!(format!("{:?}", credentials.token()), "AccessToken(redacted)");
/// ```
#[derive(Clone, Debug)]
pub struct Credentials {
    scheme: Scheme,
    token: AccessToken,
    /// Boxed, since few requests have one.
    proof: Option<Box<Proof>>,
}

/// A DPoP proof as sent, not verified. `Debug` does not show it.
#[derive(Clone)]
struct Proof(HeaderValue);

impl Credentials {
    /// Reads the credentials of a request from its headers, and never from its query, body or cookies
    /// ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
    ///
    /// With the scheme `DPoP` there must be exactly one `DPoP` header
    /// ([RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3)). With `Bearer`, that header is
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`NoCredentials`](crate::DenialKind::NoCredentials) if there is no `Authorization` header, or its scheme
    /// is neither `Bearer` nor `DPoP`; [`BadRequest`] if there are several such headers, or if the scheme is
    /// not followed by exactly one token; [`Reason::Oversize`] if the token is longer than [`MAX_TOKEN_BYTES`];
    /// [`BadProof`] if a required proof is missing, is sent more than once, or is not UTF-8.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Denial> {
        let credentials = Self::parse_unchecked(headers)?;
        credentials.validate_token68()?;
        Ok(credentials)
    }

    /// Like [`from_headers`](Self::from_headers), but does not check the characters of a bearer token. A cached
    /// token needs no such check. For any other, call [`validate_token68`](Self::validate_token68).
    pub(crate) fn parse_unchecked(headers: &HeaderMap) -> Result<Self, Denial> {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let field = fields.next().ok_or_else(Denial::no_credentials)?;
        if fields.next().is_some() {
            return Err(Denial::bad_request(BadRequest::RepeatedAuthorization));
        }
        let text = field.as_bytes();
        let known = Scheme::ALL.into_iter().find_map(|it| Some((it, it.strip(text)?)));
        let (scheme, rest) = known.ok_or_else(|| Denial::no_credentials().detail(OTHER_SCHEME))?;
        let token = trimmed(rest);
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denial::invalid(Reason::Oversize));
        }
        let start = token.as_ptr() as usize - text.as_ptr() as usize;
        let token = AccessToken { field: field.clone(), place: start..start + token.len() };
        let mut credentials = Self { scheme, token, proof: None };
        if scheme == Scheme::Dpop {
            credentials.validate_token68()?; // before its proof
            let proof = Proof::from_headers(headers).map_err(Denial::bad_proof)?;
            credentials.proof = Some(proof.into());
        }
        Ok(credentials)
    }

    /// Checks that the token consists only of characters that `token68` allows.
    pub(crate) fn validate_token68(&self) -> Result<(), Denial> {
        let malformed = || Denial::bad_request(BadRequest::MalformedAuthorization);
        is_token68(self.token.as_bytes()).then_some(()).ok_or_else(malformed)
    }

    /// The credentials to verify an admitted token again, without a proof.
    pub(crate) fn for_recheck(token: AccessToken) -> Self {
        Self { scheme: Scheme::Bearer, token, proof: None }
    }

    /// The scheme of the request.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The DPoP proof. Returns `None` with the scheme `Bearer`.
    pub(crate) fn proof(&self) -> Option<&str> {
        // `Proof::from_headers` has checked that it is UTF-8.
        std::str::from_utf8(self.proof.as_ref()?.0.as_bytes()).ok()
    }

    /// The access token.
    #[must_use]
    pub fn token(&self) -> &AccessToken {
        &self.token
    }

    pub(crate) fn into_token(self) -> AccessToken {
        self.token
    }
}

impl Proof {
    fn from_headers(headers: &HeaderMap) -> Result<Self, BadProof> {
        let mut fields = headers.get_all(DPOP).iter();
        let field = fields.next().ok_or(BadProof::Missing)?;
        if fields.next().is_some() {
            return Err(BadProof::Repeated);
        }
        match std::str::from_utf8(field.as_bytes()) {
            Ok(_) => Ok(Self(field.clone())),
            Err(_) => Err(BadProof::Malformed),
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(redacted)")
    }
}

/// An access token. `Debug` does not show it; call [`expose`](Self::expose) where it is needed.
#[derive(Clone)]
pub struct AccessToken {
    /// The header value that contains it, shared with the request and not copied.
    field: HeaderValue,
    place: Range<usize>,
}

impl AccessToken {
    /// The token as text. Anyone who has it can act as its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default() // it is ASCII
    }

    /// The token as bytes, without checking that they are UTF-8.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.field.as_bytes().get(self.place.clone()).unwrap_or_default()
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(redacted)")
    }
}

/// The text without spaces at either end.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// Whether the token has the syntax `token68`
/// ([RFC 9110 §11.2](https://www.rfc-editor.org/rfc/rfc9110#section-11.2)).
pub(crate) fn is_token68(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|b| **b == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    // No early exit, and numbers instead of `bool`s, so that the compiler can vectorize it.
    !body.is_empty() && body.iter().fold(0, |all, b| all | token68_mismatch(*b)) == 0
}

/// Returns 0 for a letter, one of `-./0123456789`, or one of `+_~`. Returns another number for any other byte.
fn token68_mismatch(b: u8) -> u8 {
    let letter = (b | 0x20).wrapping_sub(b'a').saturating_sub(b'z' - b'a');
    let digit = b.wrapping_sub(b'-').saturating_sub(b'9' - b'-');
    letter.min(digit).min(b ^ b'+').min(b ^ b'_').min(b ^ b'~')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::model::denial::DenialKind;

    fn read(fields: &[&[u8]]) -> Result<Credentials, Denial> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(field).expect("a header value"));
        }
        Credentials::from_headers(&headers)
    }

    #[test]
    fn one_bearer_token_is_read() {
        for field in [
            "Bearer abc",
            "bearer abc",
            "BEARER abc",
            "Bearer   abc",
            "Bearer abc ",
            "Bearer a-b._~+/c==",
        ] {
            let token = field.trim().rsplit(' ').next().expect("a token");
            assert_eq!(read(&[field.as_bytes()]).expect(field).token().expose(), token);
        }
    }

    #[test]
    fn token68_bytes_are_those_of_rfc_9110() {
        for byte in 0..=u8::MAX {
            let is_one = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(token68_mismatch(byte) == 0, is_one, "{byte:#x}");
        }
    }

    #[test]
    fn any_other_input_is_refused() {
        let none = DenialKind::NoCredentials;
        let malformed = DenialKind::BadRequest(BadRequest::MalformedAuthorization);
        let repeated = DenialKind::BadRequest(BadRequest::RepeatedAuthorization);
        let missing = DenialKind::InvalidProof(BadProof::Missing);
        let rows: &[(&[&[u8]], &DenialKind)] = &[
            (&[], &none),
            (&[b""], &none),
            (&[b"Basic YWxhZGRpbjpvcGVuc2VzYW1l"], &none),
            (&[b"DPoPabc"], &none),
            (&[b"DPoP\tabc"], &none),
            (&[b"DPoP"], &malformed),
            (&[b"DPoP a b"], &malformed),
            (&[b"DPoP abc"], &missing),
            (&[b"dpop abc"], &missing),
            (&[b"DPoP a", b"Bearer a"], &repeated),
            (&[b"Bearerabc"], &none),
            (&[b"abc"], &none),
            (&[b"Bearer"], &malformed),
            (&[b"Bearer "], &malformed),
            (&[b"Bearer a b"], &malformed),
            (&[b"Bearer a, Bearer b"], &malformed),
            (&[b"Bearer a,b"], &malformed),
            (&[b"Bearer \"abc\""], &malformed),
            (&[b"Bearer token=abc"], &malformed),
            (&[b"Bearer ="], &malformed),
            (&[b"Bearer\tabc"], &none),
            (&[b"Bearer a\tb"], &malformed),
            (&[b"Bearer \xc3\xa9"], &malformed),
            (&[b"Bearer a", b"Bearer a"], &repeated),
            (&[b"Bearer a", b"Basic b"], &repeated),
            (&[b"Basic a", b"Bearer b"], &repeated),
            (&[b"", b""], &repeated),
        ];
        for (fields, refusal) in rows {
            let shown: Vec<_> = fields.iter().map(|f| String::from_utf8_lossy(f)).collect();
            assert_eq!(read(fields).expect_err("a refusal").kind(), *refusal, "{shown:?}");
        }
    }

    #[test]
    fn a_dpop_proof_is_read_once_and_only_with_the_dpop_scheme() {
        let read = |scheme: &str, proofs: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            let field = format!("{scheme} abc");
            headers.insert(AUTHORIZATION, field.parse().expect("a header value"));
            for proof in proofs {
                headers.append(DPOP, HeaderValue::from_bytes(proof).expect("a header value"));
            }
            Credentials::from_headers(&headers)
        };
        let credentials = read("dPoP", &[b"a.b.c"]).expect("credentials");
        assert_eq!((credentials.scheme(), credentials.proof()), (Scheme::Dpop, Some("a.b.c")));
        assert!(!format!("{credentials:?}").contains("a.b.c"));
        let rows: [&[&[u8]]; 4] = [&[], &[b"a.b.c"], &[b"a", b"b"], &[b"\xff"]];
        for proofs in rows {
            let bearer = read("Bearer", proofs).expect("credentials");
            assert_eq!((bearer.scheme(), bearer.proof()), (Scheme::Bearer, None));
        }
        let rows: [(&[&[u8]], BadProof); 4] = [
            (&[], BadProof::Missing),
            (&[b"a.b.c", b"a.b.c"], BadProof::Repeated),
            (&[b"", b"a.b.c"], BadProof::Repeated),
            (&[b"\xff"], BadProof::Malformed),
        ];
        for (proofs, why) in rows {
            let denial = read("DPoP", proofs).expect_err("a refusal");
            assert_eq!(*denial.kind(), DenialKind::InvalidProof(why));
        }
    }

    #[test]
    fn a_token_over_the_limit_is_refused() {
        let field = |n: usize| format!("Bearer {}", "a".repeat(n)).into_bytes();
        assert!(read(&[&field(MAX_TOKEN_BYTES)]).is_ok());
        assert_eq!(
            read(&[&field(MAX_TOKEN_BYTES + 1)]).expect_err("too long").reason(),
            Some(Reason::Oversize)
        );
    }
}
