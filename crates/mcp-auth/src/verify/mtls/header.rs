//! The two headers in which proxies pass on a client certificate.

use base64_simd::STANDARD;
use http::HeaderName;

use crate::util::hex;
use crate::verify::mtls::certificate::ClientCertificate;

/// The header with the client's certificate ([RFC 9440 §2](https://www.rfc-editor.org/rfc/rfc9440#section-2)).
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// Envoy's header for the same purpose.
const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// A header in which a proxy passes on the certificate of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientCertHeader {
    /// `Client-Cert`, the standard ([RFC 9440 §2.2](https://www.rfc-editor.org/rfc/rfc9440#section-2.2)):
    /// the certificate in DER, encoded as base64, between colons.
    Rfc9440,
    /// `X-Forwarded-Client-Cert` of Envoy and Istio
    /// ([its documentation](https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert)),
    /// of which only the `Hash` is used. The proxy must replace what clients send (`SANITIZE_SET`). A header with
    /// a second `Hash=` is refused, wherever it is.
    Xfcc,
}

impl ClientCertHeader {
    pub(super) fn name(self) -> HeaderName {
        match self {
            Self::Rfc9440 => CLIENT_CERT,
            Self::Xfcc => XFCC,
        }
    }

    /// Reads the certificate from a header. Returns `None` if the header has another form.
    pub(super) fn read(self, field: &str) -> Option<ClientCertificate> {
        let field = field.trim_matches(' ');
        match self {
            Self::Rfc9440 => byte_sequence(field),
            Self::Xfcc => only_hash(field),
        }
    }
}

/// Reads a Byte Sequence ([RFC 9651 §3.3.5](https://www.rfc-editor.org/rfc/rfc9651#section-3.3.5)) without parameters.
fn byte_sequence(field: &str) -> Option<ClientCertificate> {
    let base64 = field.strip_prefix(':')?.strip_suffix(':')?;
    let der = STANDARD.decode_to_vec(base64).ok()?;
    // It must begin as a DER SEQUENCE. Only the issuer of the token decides whether the content is acceptable.
    (der.first() == Some(&0x30)).then(|| ClientCertificate::from_der(&der))
}

/// Reads the certificate from the only `Hash=` of an element `By=..;Hash=..;Subject=..;URI=..`.
///
/// Envoy writes the fields in this order, and a `Hash` into each element. After it come names that the client
/// chooses. Some of them are not quoted, so that two parsers may disagree about where an element ends. Therefore
/// nothing after the hash is parsed. It only must not contain a second `Hash=`, which would be a name in the
/// certificate, or another element.
fn only_hash(field: &str) -> Option<ClientCertificate> {
    let field = field.to_ascii_lowercase();
    let (before, after) = field.split_once("hash=")?;
    let is_only = !after.contains("hash=");
    // Only the proxy's own names may come before, each followed by a `;`. A `,` would be the end of another element.
    let is_first = before
        .split_inclusive(';')
        .all(|name| name.starts_with("by=") && name.ends_with(';') && !name.contains([',', '"']));
    let digits = after.split(';').next()?;
    (is_only && is_first).then(|| hex::decode_32(digits).map(ClientCertificate::from_sha256))?
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
        hex::encode(&crate::verify::jwt::sha256(DER))
    }

    #[test]
    fn client_cert_must_be_a_single_byte_sequence() {
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
    fn xfcc_headers_are_parsed() {
        let hash = digest();
        let other = "ab".repeat(32);
        let pem = "-----BEGIN%20CERTIFICATE-----%0AMAMCAf8%3D%0A-----END%20CERTIFICATE-----%0A";
        let expected = Some(ClientCertificate::from_der(DER));
        for (field, is_read) in [
            (format!("Hash={hash}"), true),
            (format!(" Hash={hash} "), true),
            (format!("hash={}", hash.to_uppercase()), true),
            (format!("By=spiffe://a/b;Hash={hash};URI=spiffe://c"), true),
            (format!("By=spiffe://a/b;By=https://a;Hash={hash}"), true),
            (format!(r#"By=x;Hash={hash};Subject="CN=a,O=b;c=\"d\"";URI=spiffe://a,b"#), true),
            (format!("By=x;Hash={hash};Cert=\"{pem}\";Chain=\"{pem}{pem}\""), true),
            (format!("Hash={hash};Subject=\"\";URI=;DNS="), true),
            (format!("Hash={hash};URI=spiffe://x,y,By=z"), true),
            // Another element, or a name that looks like one: the two cannot be told apart.
            (format!("Hash={other},Hash={hash}"), false),
            (format!("Hash={hash},Hash={other}"), false),
            (format!("Hash={hash};URI=x,By=z;Hash={other}"), false),
            (format!("Hash={hash};URI=spiffe://x;Hash={other}"), false),
            (format!("Hash={hash};URI=\",Hash={other},URI=\""), false),
            (format!("Hash={hash};Subject=\"CN=Hash={other}\""), false),
            (format!(r#"Hash={hash};Subject="x,Hash={other};URI=y";"#), false),
            (format!("Hash={hash};DNS=x;HASH={other}"), false),
            (format!("Hash={hash};Hash={hash}"), false),
            // After something that a client can choose.
            (format!("Subject=\"CN=a\";Hash={hash}"), false),
            (format!("URI=spiffe://c;Hash={hash}"), false),
            (format!("Cert=\"{pem}\";Hash={hash}"), false),
            (format!("By=x,By=y;Hash={hash}"), false),
            (format!("By=\"x;Hash={hash}"), false),
            (format!("By=x;y;Hash={hash}"), false),
            (format!("By=x,Hash={hash}"), false),
            (format!("By=xHash={hash}"), false),
            (format!("xHash={hash}"), false),
            (format!("\"Hash={hash}"), false),
            (format!(",Hash={hash}"), false),
            (format!(";Hash={hash}"), false),
            (format!("={hash};Hash={hash}"), false),
            // Not a digest.
            (format!("Hash={hash},"), false),
            (format!("Hash={hash} ;URI=x"), false),
            (format!("Hash= {hash}"), false),
            (format!("Hash ={hash}"), false),
            (format!("Hash=\"{hash}\""), false),
            (format!("Hash={}", &hash[1..]), false),
            (format!("Hash={hash}0"), false),
            ("Hash=".to_owned(), false),
            ("Hash".to_owned(), false),
            (format!("Cert=\"{pem}\""), false),
            (pem.to_owned(), false),
            (String::new(), false),
        ] {
            let read = read(ClientCertHeader::Xfcc, &field);
            assert_eq!(read, expected.filter(|_| is_read), "{field:?}");
        }
    }
}
