//! Looking past many bytes at once, where the machine can.

/// What is left after the blocks at the beginning in which no byte `stops`. The first that does is in what is left, if there
/// is one, and near its beginning.
#[inline]
pub(crate) fn skip_blocks(mut bytes: &[u8], stops: impl Fn(u8) -> bool) -> &[u8] {
    // Each byte of a block is looked at, whatever the one before was: so the compiler takes all of them together.
    while let Some((block, after)) = bytes.split_first_chunk::<32>() {
        if block.iter().fold(false, |any, byte| any | stops(*byte)) {
            break;
        }
        bytes = after;
    }
    bytes
}
