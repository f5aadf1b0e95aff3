//! ML-DSA keys ([RFC 9964](https://www.rfc-editor.org/rfc/rfc9964)), with the feature `ml-dsa`.

use super::signature::{Algorithm, PublicKey};

pub(super) fn public_key(algorithm: Algorithm, public: &[u8]) -> Option<PublicKey> {
    match algorithm {
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => {
            PublicKey::from_bytes(algorithm, public)
        }
        _ => None,
    }
}
