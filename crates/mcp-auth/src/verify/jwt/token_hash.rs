//! What tokens are remembered by: to be compared and looked up, and not to be looked at.

use std::hash::{Hash, Hasher};

/// A fingerprint of a token. Whoever saw two of them could make a third ([`TokenHasher`](super::TokenHasher)), so nothing shows one
/// or puts them in order, and every map that holds some finds them by keyed hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenHash([u8; 16]);

impl From<[u8; 16]> for TokenHash {
    fn from(tag: [u8; 16]) -> Self {
        Self(tag)
    }
}

/// All are equally long.
impl Hash for TokenHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}
