//! Without the feature `ml-dsa` no such key is understood.

use super::signature::{Algorithm, PublicKey};

pub(super) fn public_key(_: Algorithm, _: &[u8]) -> Option<PublicKey> {
    None
}
