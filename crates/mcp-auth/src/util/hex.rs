//! Hexadecimal encoding and decoding.

/// Decodes 32 bytes. Returns `None` unless the text is exactly 64 hexadecimal digits.
pub(crate) fn decode_32(text: &str) -> Option<[u8; 32]> {
    decode(text)
}

/// Decodes 16 bytes. Returns `None` unless the text is exactly 32 hexadecimal digits.
pub(crate) fn decode_16(text: &str) -> Option<[u8; 16]> {
    decode(text)
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Vec<u8> =
        text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

/// Encodes bytes as lower-case digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
