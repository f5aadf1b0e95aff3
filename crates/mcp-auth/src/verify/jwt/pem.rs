//! Reads a private key in PEM ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)).

use base64_simd::STANDARD;

/// Returns the first private key of a text as DER, in PKCS #8, PKCS #1 or SEC 1. Returns `None` if the first PEM block
/// is not an unencrypted private key.
pub(super) fn private_key(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, end) = rest.split_once("-----END ")?;
    let is_private_key = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"].contains(&label);
    if !is_private_key || !end.strip_prefix(label)?.starts_with("-----") {
        return None;
    }
    let body: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode_to_vec(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_pem() {
        for (text, der) in [
            (
                "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n",
                Some(&[1, 2, 3][..]),
            ),
            (
                "x\n-----BEGIN EC PRIVATE KEY-----\r\nAQ\r\nID\r\n-----END EC PRIVATE KEY-----",
                Some(&[1, 2, 3]),
            ),
            ("-----BEGIN RSA PRIVATE KEY-----AQID-----END RSA PRIVATE KEY-----", Some(&[1, 2, 3])),
            ("-----BEGIN PUBLIC KEY-----\nAQID\n-----END PUBLIC KEY-----", None),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----",
                None,
            ),
            ("-----BEGIN PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----", None),
            ("-----BEGIN PRIVATE KEY-----\n%%\n-----END PRIVATE KEY-----", None),
            ("-----BEGIN PRIVATE KEY-----\nAQID", None),
            ("AQID", None),
            ("", None),
        ] {
            assert_eq!(private_key(text).as_deref(), der, "{text:?}");
        }
    }
}
