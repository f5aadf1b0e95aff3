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
    is_understood: bool,
}

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

    /// Reads the claim `cnf`. If any part of it is unknown or malformed, [`is_understood`](Self::is_understood)
    /// is `false`: the token is bound to something that cannot be checked here.
    pub(crate) fn read(cnf: &str) -> Self {
        let mut confirmation = Self { key: None, certificate: None, is_understood: false };
        let Ok(members) = Object::of(cnf) else { return confirmation };
        let mut understood = 0;
        for (name, value) in members.iter() {
            let place = match name {
                "jkt" => &mut confirmation.key,
                "x5t#S256" => &mut confirmation.certificate,
                _ => continue,
            };
            *place = thumbprint(value);
            understood += usize::from(place.is_some());
        }
        confirmation.is_understood = understood > 0 && understood == members.iter().count();
        confirmation
    }

    /// Whether everything that it requires can be checked.
    pub(crate) fn is_understood(&self) -> bool {
        self.is_understood
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
    fn jkt_and_x5t_s256_are_understood() {
        let jkt = read(&format!(r#"{{"jkt":"{JKT}"}}"#));
        assert_eq!((jkt.jkt().as_deref(), jkt.x5t_s256()), (Some(JKT), None));
        let x5t = read(&format!(r#"{{"x5t#S256":"{}"}}"#, JKT));
        assert_eq!((x5t.jkt(), x5t.x5t_s256().as_deref()), (None, Some(JKT)));
        let both = read(&format!(r#"{{"jkt":"{JKT}","x5t\u0023S256":"{JKT}"}}"#));
        assert!([jkt, x5t, both].iter().all(Confirmation::is_understood));
    }

    #[test]
    fn any_other_cnf_is_not_understood() {
        for cnf in [
            "{}".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            format!("{JKT:?}"),
            r#"{"jkt":"x"}"#.to_owned(),
            r#"{"jkt":null}"#.to_owned(),
            format!(r#"{{"jkt":["{JKT}"]}}"#),
            format!(r#"{{"jkt":"{JKT}="}}"#),
            format!(r#"{{"jkt":"{JKT}","jkt":"{JKT}"}}"#),
            format!(r#"{{"jkt":"{JKT}","x5t#S256":"x"}}"#),
            // The unused bits at its end are not zero.
            format!(r#"{{"x5t#S256":"{X5T}"}}"#),
            format!(r#"{{"jkt":"{JKT}","kid":"1"}}"#),
            format!(r#"{{"jkt":"{JKT}","unknown":{{}}}}"#),
            format!(r#"{{"JKT":"{JKT}"}}"#),
            format!(r#"{{"x5t":"{JKT}"}}"#),
            r#"{"jwk":{"kty":"EC"}}"#.to_owned(),
            r#"{"jwe":"a.b.c.d.e"}"#.to_owned(),
            r#"{"jku":"https://evil.example/keys","kid":"1"}"#.to_owned(),
        ] {
            assert!(!read(&cnf).is_understood(), "{cnf}");
        }
    }
}
