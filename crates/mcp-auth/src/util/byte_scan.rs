//! Scans byte slices in blocks, which the compiler can vectorize.

/// Skips the leading blocks in which no byte `stops`, and returns the rest. If a byte stops, the first such
/// byte is near the start of the rest.
#[inline]
pub(crate) fn skip_blocks(mut bytes: &[u8], stops: impl Fn(u8) -> bool) -> &[u8] {
    // `fold` tests every byte of the block, without an early exit, so that the compiler can vectorize it.
    while let Some((block, after)) = bytes.split_first_chunk::<32>() {
        if block.iter().fold(false, |any, byte| any | stops(*byte)) {
            break;
        }
        bytes = after;
    }
    bytes
}
