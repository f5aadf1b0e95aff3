//! The two forms in which proxies pass a client certificate on.

use std::borrow::Cow;

use base64_simd::STANDARD;
use http::HeaderName;

use super::ClientCertificate;
use crate::credentials::{CLIENT_CERT, XFCC};

/// A header in which a proxy tells of the certificate of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientCertHeader {
    /// `Client-Cert`, the standard ([RFC 9440 §2.2](https://www.rfc-editor.org/rfc/rfc9440#section-2.2)):
    /// the certificate in DER and base64, between colons.
    Rfc9440,
    /// `X-Forwarded-Client-Cert` of Envoy and Istio
    /// ([its documentation](https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert)),
    /// of which the last element counts: the one that the proxy itself has added. Its `Hash` is taken, or else its `Cert`.
    Xfcc,
}

impl ClientCertHeader {
    pub(super) fn name(self) -> HeaderName {
        match self {
            Self::Rfc9440 => CLIENT_CERT,
            Self::Xfcc => XFCC,
        }
    }

    /// The certificate that a header tells of; nothing if it has another form.
    pub(super) fn read(self, field: &str) -> Option<ClientCertificate> {
        match self {
            Self::Rfc9440 => byte_sequence(field.trim_matches(' ')),
            Self::Xfcc => last_element(field),
        }
    }
}

/// A Byte Sequence of [RFC 9651 §3.3.5](https://www.rfc-editor.org/rfc/rfc9651#section-3.3.5), without parameters.
fn byte_sequence(field: &str) -> Option<ClientCertificate> {
    let base64 = field.strip_prefix(':')?.strip_suffix(':')?;
    certificate(base64)
}

fn certificate(base64: &str) -> Option<ClientCertificate> {
    let der = STANDARD.decode_to_vec(base64).ok()?;
    // A DER SEQUENCE; what stands in it is for the issuer of the token to like.
    (der.first() == Some(&0x30)).then(|| ClientCertificate::from_der(&der))
}

/// The certificate of the last element: a list of `key=value`, where a value with `,` `;` or `=` is quoted.
fn last_element(field: &str) -> Option<ClientCertificate> {
    let (mut hash, mut cert) = (None, None);
    let mut rest = field.trim_matches(' ');
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        let place = match name.trim_matches(' ') {
            name if name.eq_ignore_ascii_case("Hash") => Some(&mut hash),
            name if name.eq_ignore_ascii_case("Cert") => Some(&mut cert),
            name => {
                let is_word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
                is_word.then_some(())?;
                None
            }
        };
        // Twice in one element would let two readers see two certificates.
        if place.is_some_and(|place| place.replace(value).is_some()) {
            return None;
        }
        rest = match after.strip_prefix(',') {
            Some(next) => {
                (hash, cert) = (None, None);
                next
            }
            None if after.is_empty() => break,
            None => after.strip_prefix(';')?,
        };
    }
    match (hash, cert) {
        (Some(hash), _) => hex(&hash).map(ClientCertificate::from_sha256),
        (None, cert) => pem(&cert?),
    }
}

/// A value, quoted or not, and what follows it.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (!value.contains('"')).then_some((Cow::Borrowed(value), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    loop {
        match characters.next()? {
            (end, '"') => return Some((Cow::Owned(value), &quoted[end + 1..])),
            (_, '\\') => value.push(characters.next()?.1),
            (_, other) => value.push(other),
        }
    }
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|it| it as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 64).then_some(bytes)?.try_into().ok()
}

/// The one certificate of a PEM text, percent-encoded.
fn pem(encoded: &str) -> Option<ClientCertificate> {
    let mut parts = encoded.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
        text.push(char::from(byte));
        text += rest;
    }
    let base64 = text.trim().strip_prefix("-----BEGIN CERTIFICATE-----")?;
    let base64 = base64.strip_suffix("-----END CERTIFICATE-----")?;
    let base64: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    certificate(&base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DER: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0xff];
    const BASE64: &str = "MAMCAf8=";

    fn read(header: ClientCertHeader, field: &str) -> Option<ClientCertificate> {
        header.read(field)
    }

    fn digest() -> String {
        crate::jwt::sha256(DER).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn client_cert_is_one_byte_sequence_by_table() {
        let expected = Some(ClientCertificate::from_der(DER));
        for (field, is_read) in [
            (format!(":{BASE64}:"), true),
            (format!("  :{BASE64}: "), true),
            (BASE64.to_owned(), false),
            (format!(":{BASE64}"), false),
            (format!("\"{BASE64}\""), false),
            (":MAMCAf8:".to_owned(), false),
            (":MAMCAf9=:".to_owned(), false),
            (":MAMC Af8=:".to_owned(), false),
            (":MAMCAf8_:".to_owned(), false),
            (format!(":{BASE64}:;a=1"), false),
            (format!(":{BASE64}:, :{BASE64}:"), false),
            ("::".to_owned(), false),
            (":".to_owned(), false),
            (":AQID:".to_owned(), false),
            (String::new(), false),
        ] {
            let read = read(ClientCertHeader::Rfc9440, &field);
            assert_eq!(read, expected.filter(|_| is_read), "{field:?}");
        }
    }

    #[test]
    fn xfcc_is_read_by_table() {
        let hash = digest();
        let pem = format!(
            "-----BEGIN%20CERTIFICATE-----%0A{}%0A-----END%20CERTIFICATE-----%0A",
            BASE64.replace('=', "%3D")
        );
        let other = "ab".repeat(32);
        let expected = Some(ClientCertificate::from_der(DER));
        for (field, is_read) in [
            (format!("Hash={hash}"), true),
            (format!("hash={}", hash.to_uppercase()), true),
            (format!("Hash=\"{hash}\""), true),
            (format!("By=spiffe://a/b;Hash={hash};URI=spiffe://c"), true),
            (format!(r#"By=x;Hash={hash};Subject="CN=a,O=b;c=\"d\"""#), true),
            (format!(r#"Subject="Hash={other}";Hash={hash}"#), true),
            (format!("Cert=\"{pem}\""), true),
            (format!("Cert={pem}"), true),
            (format!("By=x;Cert=\"{pem}\";Chain=\"{pem}{pem}\""), true),
            (format!("By=x;Hash={hash};URI=y,By=z;URI=w"), false),
            (format!("Hash={other},Hash={hash}"), true),
            (format!("Hash={other}, By=x;Hash={hash}"), true),
            (format!("Hash={hash};Hash={other}"), false),
            (format!("Hash={hash};hash={hash}"), false),
            (format!("Hash={hash},"), false),
            (format!("Hash={hash};"), false),
            (format!("Hash={}", &hash[1..]), false),
            (format!("Hash={hash}0"), false),
            ("Hash=".to_owned(), false),
            ("Hash".to_owned(), false),
            (format!("Hash=\"{hash}"), false),
            (format!("Hash=\"{hash}\"x"), false),
            (format!("Hash=x\"{hash}\""), false),
            (format!("={hash};Hash={hash}"), false),
            (format!("By=\"x;Hash={hash}"), false),
            (format!("Cert=\"{pem}{pem}\""), false),
            (format!("Cert={BASE64}"), false),
            (format!("Chain=\"{pem}\""), false),
            (pem.clone(), false),
            (r#"Cert="%""#.to_owned(), false),
            (r#"Cert="%e9""#.to_owned(), false),
            (String::new(), false),
        ] {
            let read = read(ClientCertHeader::Xfcc, &field);
            assert_eq!(read, expected.filter(|_| is_read), "{field:?}");
        }
        let last = read(ClientCertHeader::Xfcc, &format!("Hash={hash},Hash={other}"));
        assert_eq!(last, Some(ClientCertificate::from_sha256([0xab; 32])));
    }
}
