//! base64url without padding, decoded strictly: each value has only one encoding
//! ([RFC 7515 §2](https://www.rfc-editor.org/rfc/rfc7515#section-2)).

use base64_simd::URL_SAFE_NO_PAD;

/// Decodes a text. Returns `None` if it has padding, white space, an invalid character, or unused bits that are set.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

/// Encodes bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_text_is_decoded() {
        assert_eq!(decode("AQI").as_deref(), Some(&[1, 2][..]));
        assert_eq!(decode("").as_deref(), Some(&[][..]));
        assert_eq!(encode(&[1, 2]), "AQI");
        for text in ["AQI=", "AQJ", "A", "AQI ", "AQ\n", "AQ+/", " AQI", "AQI.", "ÄQ"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
