//! Signs for oauth-as with the issuer's key.

use std::sync::Arc;

use oauth_as::jwt::{Jwk, JwsAlg, JwsSignature, JwsSigner, SignerError};

use crate::SigningAlgorithm;
use crate::key::SigningKey;

pub(super) fn can_sign(algorithm: SigningAlgorithm) -> bool {
    jws_alg(algorithm).is_some()
}

pub(super) struct Signer {
    key: Arc<SigningKey>,
    alg: JwsAlg,
    jwk: Jwk,
}

impl Signer {
    /// # Panics
    ///
    /// Panics if [`can_sign`] is false for the key's algorithm.
    pub(super) fn new(key: Arc<SigningKey>) -> Self {
        let alg = jws_alg(key.algorithm).expect("other algorithms are not served");
        let jwk = Jwk::from_json(&key.jwk()).expect("a key of this crate is a key");
        Self { key, alg, jwk }
    }
}

impl JwsSigner for Signer {
    fn alg(&self) -> JwsAlg {
        self.alg
    }

    async fn sign(&self, signing_input: &[u8]) -> Result<JwsSignature, SignerError> {
        JwsSignature::from_wire(self.alg, &self.key.sign(signing_input))
            .ok_or_else(|| SignerError::new("a signature of another length"))
    }

    fn public_jwk(&self) -> Jwk {
        self.jwk.clone()
    }
}

fn jws_alg(algorithm: SigningAlgorithm) -> Option<JwsAlg> {
    match algorithm {
        SigningAlgorithm::Es256 => Some(JwsAlg::Es256),
        SigningAlgorithm::Rs256 => Some(JwsAlg::Rs256),
        SigningAlgorithm::Ps256 => Some(JwsAlg::Ps256),
        SigningAlgorithm::EdDsa => Some(JwsAlg::EdDsa),
        _ => None,
    }
}
