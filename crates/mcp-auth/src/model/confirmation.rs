//! `Confirmation` (`cnf`, RFC 7800): what a token is bound to, so that it is useless to a thief.

use base64_simd::URL_SAFE_NO_PAD;

use crate::util::json::{Object, Raw};

/// The key, the certificate, or both that a token is bound to
/// ([RFC 7800 §3.1](https://www.rfc-editor.org/rfc/rfc7800#section-3.1)). For an admitted request, the sender
/// has proven possession of them.
///
/// ```
/// use mcp_auth::AuthInfo;
///
/// fn may_pay(auth: &AuthInfo) -> bool {
///     auth.confirmation().is_some_and(|confirmation| confirmation.jkt().is_some())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    key: Option<[u8; 32]>,
    certificate: Option<[u8; 32]>,
    /// Why it cannot be checked, for the operator. Such a token is refused.
    uncheckable: Option<&'static str>,
}

/// What the operator reads about a registered method that is not checked here.
macro_rules! unsupported {
    ($method:literal) => {
        concat!(
            "the token's `cnf` has `",
            $method,
            "`, which is not checked here: let the issuer bind it to a DPoP key (`jkt`) or to a client certificate (`x5t#S256`) instead"
        )
    };
}

const NOT_AN_OBJECT: &str = "the token's `cnf` is not a JSON object with distinct members, as RFC 7800 §3.1 wants it: let the issuer correct it";
const NOTHING_KNOWN: &str = "no member of the token's `cnf` is known here, so nobody can prove to be its owner: let the issuer bind it to a DPoP key (`jkt`) or to a client certificate (`x5t#S256`), or not at all";
const BAD_JKT: &str = "the `jkt` in the token's `cnf` is not a SHA-256 thumbprint in base64url without padding (RFC 9449 §6.1): let the issuer correct it";
const BAD_X5T: &str = "the `x5t#S256` in the token's `cnf` is not a SHA-256 thumbprint in base64url without padding (RFC 8705 §3.1): let the issuer correct it";

/// The registered methods that are not checked here, each with what the operator reads. The other registered ones
/// are `jkt` and `x5t#S256` ([JWT Confirmation Methods](https://www.iana.org/assignments/jwt/jwt.xhtml)).
const UNSUPPORTED: [(&str, &str); 5] = [
    ("jwe", unsupported!("jwe")),
    ("jku", unsupported!("jku")),
    ("jwk", unsupported!("jwk")),
    ("kid", unsupported!("kid")),
    ("osc", unsupported!("osc")),
];

impl Confirmation {
    /// The SHA-256 thumbprint of the sender's DPoP key, as in `cnf.jkt`
    /// ([RFC 9449 §6.1](https://www.rfc-editor.org/rfc/rfc9449#section-6.1)).
    #[must_use]
    pub fn jkt(&self) -> Option<String> {
        self.key.map(|thumbprint| URL_SAFE_NO_PAD.encode_to_string(thumbprint))
    }

    /// The SHA-256 thumbprint of the sender's TLS client certificate, as in `cnf["x5t#S256"]`
    /// ([RFC 8705 §3.1](https://www.rfc-editor.org/rfc/rfc8705#section-3.1)).
    #[must_use]
    pub fn x5t_s256(&self) -> Option<String> {
        self.certificate.map(|thumbprint| URL_SAFE_NO_PAD.encode_to_string(thumbprint))
    }

    /// Reads the claim `cnf`, which is present and not null.
    ///
    /// Members that are not understood are ignored, as RFC 7800 §3.1 wants it: issuers add notes of their own, such
    /// as Keycloak's `kc-jkt-type`. A registered method is understood. If it cannot be checked here, neither can the
    /// token. The same is true if no member is understood. A member that is null is absent, like a claim that is null.
    pub(crate) fn read(cnf: &str) -> Self {
        let mut confirmation = Self { key: None, certificate: None, uncheckable: None };
        let Ok(members) = Object::of(cnf) else {
            confirmation.uncheckable = Some(NOT_AN_OBJECT);
            return confirmation;
        };
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let (place, complaint) = match name {
                "jkt" => (&mut confirmation.key, BAD_JKT),
                "x5t#S256" => (&mut confirmation.certificate, BAD_X5T),
                _ => {
                    let method = UNSUPPORTED.iter().find(|(method, _)| *method == name);
                    let complaint = method.map(|(_, complaint)| *complaint);
                    confirmation.uncheckable = confirmation.uncheckable.or(complaint);
                    continue;
                }
            };
            *place = thumbprint(value);
            if place.is_none() {
                confirmation.uncheckable = Some(complaint);
            }
        }
        if confirmation.key.is_none() && confirmation.certificate.is_none() {
            confirmation.uncheckable.get_or_insert(NOTHING_KNOWN);
        }
        confirmation
    }

    /// Why it cannot be checked whether the sender is the owner. Returns `None` if it can be.
    pub(crate) fn uncheckable(&self) -> Option<&'static str> {
        self.uncheckable
    }

    pub(crate) fn jkt_bytes(&self) -> Option<&[u8; 32]> {
        self.key.as_ref()
    }

    pub(crate) fn x5t_s256_bytes(&self) -> Option<&[u8; 32]> {
        self.certificate.as_ref()
    }
}

/// Decodes a SHA-256 digest in base64url. Returns `None` if the value is anything else.
fn thumbprint(value: Raw<'_>) -> Option<[u8; 32]> {
    let text = value.string()?;
    URL_SAFE_NO_PAD.decode_to_vec(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    const X5T: &str = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";

    fn read(cnf: &str) -> Confirmation {
        Confirmation::read(cnf)
    }

    #[test]
    fn jkt_and_x5t_s256_are_read() {
        let jkt = read(&format!(r#"{{"jkt":"{JKT}"}}"#));
        assert_eq!((jkt.jkt().as_deref(), jkt.x5t_s256()), (Some(JKT), None));
        let x5t = read(&format!(r#"{{"x5t#S256":"{JKT}"}}"#));
        assert_eq!((x5t.jkt(), x5t.x5t_s256().as_deref()), (None, Some(JKT)));
        let both = read(&format!(r#"{{"jkt":"{JKT}","x5t\u0023S256":"{JKT}"}}"#));
        assert_eq!((both.jkt().as_deref(), both.x5t_s256().as_deref()), (Some(JKT), Some(JKT)));
        assert!([jkt, x5t, both].iter().all(|it| it.uncheckable().is_none()));
    }

    #[test]
    fn what_is_not_understood_is_ignored_beside_something_that_is_checked() {
        for members in [
            r#""kc-jkt-type":"DPoP""#,
            r#""unknown":{}"#,
            r#""x5t":"AQ","JKT":5,"":[]"#,
            r#""kid":null,"x5t#S256":null"#,
        ] {
            let confirmation = read(&format!(r#"{{"jkt":"{JKT}",{members}}}"#));
            assert_eq!(confirmation.uncheckable(), None, "{members}");
            assert_eq!(confirmation, read(&format!(r#"{{"jkt":"{JKT}"}}"#)), "{members}");
        }
    }

    #[test]
    fn a_cnf_that_cannot_be_checked_says_why() {
        for (cnf, why) in [
            ("[]".to_owned(), "not a JSON object"),
            ("5".to_owned(), "not a JSON object"),
            (format!("{JKT:?}"), "not a JSON object"),
            (format!(r#"{{"jkt":"{JKT}","jkt":"{JKT}"}}"#), "distinct members"),
            (format!(r#"{{"jkt":"{JKT}","x":1,"\u0078":1}}"#), "distinct members"),
            ("{}".to_owned(), "no member"),
            (r#"{"jkt":null}"#.to_owned(), "no member"),
            (r#"{"kc-jkt-type":"DPoP"}"#.to_owned(), "no member"),
            (format!(r#"{{"JKT":"{JKT}"}}"#), "no member"),
            (format!(r#"{{"x5t":"{JKT}"}}"#), "no member"),
            (r#"{"jkt":"x"}"#.to_owned(), "the `jkt`"),
            (r#"{"jkt":""}"#.to_owned(), "the `jkt`"),
            (r#"{"jkt":5}"#.to_owned(), "the `jkt`"),
            (format!(r#"{{"jkt":["{JKT}"]}}"#), "the `jkt`"),
            (format!(r#"{{"jkt":"{JKT}="}}"#), "the `jkt`"),
            (format!(r#"{{"jkt":"{JKT}AA"}}"#), "the `jkt`"),
            (format!(r#"{{"jkt":5,"x5t#S256":"{JKT}"}}"#), "the `jkt`"),
            (format!(r#"{{"jkt":"{JKT}","x5t#S256":"x"}}"#), "the `x5t#S256`"),
            // The unused bits at its end are not zero.
            (format!(r#"{{"x5t#S256":"{X5T}"}}"#), "the `x5t#S256`"),
            (format!(r#"{{"jkt":"{JKT}","kid":"1"}}"#), "has `kid`"),
            (format!(r#"{{"kid":{{}},"x5t#S256":"{JKT}","kc":1}}"#), "has `kid`"),
            (r#"{"jwk":{"kty":"EC"}}"#.to_owned(), "has `jwk`"),
            (r#"{"jwe":"a.b.c.d.e"}"#.to_owned(), "has `jwe`"),
            (r#"{"jku":"https://evil.example/keys","kid":"1"}"#.to_owned(), "has `jku`"),
            (r#"{"osc":{}}"#.to_owned(), "has `osc`"),
        ] {
            let said = read(&cnf).uncheckable();
            assert!(said.is_some_and(|said| said.contains(why)), "{cnf}: {said:?}");
        }
    }
}
