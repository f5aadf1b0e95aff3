//! The keyed hash that identifies a token in caches. It is compared and looked up, but never shown.

use std::hash::{Hash, Hasher};

/// A keyed hash of a token.
///
/// Two visible hashes would let an attacker compute a third ([`TokenHasher`](super::TokenHasher)). Therefore nothing
/// shows or orders them, and every map of them uses a keyed hash function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenHash([u8; 16]);

impl From<[u8; 16]> for TokenHash {
    fn from(tag: [u8; 16]) -> Self {
        Self(tag)
    }
}

/// Writes no length, because all have the same length.
impl Hash for TokenHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}
