//! Signatures, digests, MACs and randomness. No other file uses a crypto crate.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaEncoding, RsaKeyPair,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use aws_lc_rs::{constant_time, digest, hmac, rand};

use crate::model::credentials::MAX_TOKEN_BYTES;
use crate::verify::jwt::algorithm::Algorithm;
use crate::verify::jwt::pem;
use crate::verify::jwt::token_hash::TokenHash;

/// A public key that is prepared for one algorithm.
pub(super) struct PublicKey(ParsedPublicKey);

impl PublicKey {
    /// An RSA key. `n` and `e` are big-endian.
    pub(super) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Option<Self> {
        let parameters: &'static RsaParameters = match algorithm {
            Algorithm::Ps256 => &aws::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &aws::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &aws::RSA_PSS_2048_8192_SHA512,
            Algorithm::Rs256 => &aws::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &aws::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &aws::RSA_PKCS1_2048_8192_SHA512,
            _ => return None,
        };
        RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok().map(Self)
    }

    /// A key that is one string of bytes: a point on a NIST curve (`04 ‖ x ‖ y`), Ed25519 or ML-DSA.
    pub(super) fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let (verification, length): (&'static dyn VerificationAlgorithm, usize) = match algorithm {
            Algorithm::Ed25519 => (&aws::ED25519, 32),
            Algorithm::Es256 => (&aws::ECDSA_P256_SHA256_FIXED, 65),
            Algorithm::Es384 => (&aws::ECDSA_P384_SHA384_FIXED, 97),
            Algorithm::Es512 => (&aws::ECDSA_P521_SHA512_FIXED, 133),
            Algorithm::MlDsa44 => (&aws::ML_DSA_44, 1312),
            Algorithm::MlDsa65 => (&aws::ML_DSA_65, 1952),
            Algorithm::MlDsa87 => (&aws::ML_DSA_87, 2592),
            _ => return None,
        };
        // Without this, aws-lc-rs would also accept the key wrapped in DER.
        if bytes.len() != length {
            return None;
        }
        UnparsedPublicKey::new(verification, bytes).parse().ok().map(Self)
    }

    /// Whether `signature` is this key's signature of `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

/// A private key that authenticates this server. Its `Debug` output does not contain the key.
pub(crate) struct PrivateKey {
    pub(crate) algorithm: Algorithm,
    pair: KeyPair,
}

enum KeyPair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl PrivateKey {
    /// Reads a key in PEM. The error says what is wrong with it.
    pub(crate) fn from_pem(text: &str, algorithm: Algorithm) -> Result<Self, &'static str> {
        let der = pem::private_key(text).ok_or(
            "the private key is not PEM (`-----BEGIN PRIVATE KEY-----`), or it is encrypted",
        )?;
        let rsa = |encoding| {
            let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
            pair.ok().map(|pair| KeyPair::Rsa(pair, encoding))
        };
        let ecdsa =
            |curve| EcdsaKeyPair::from_private_key_der(curve, &der).ok().map(KeyPair::Ecdsa);
        let pair = match algorithm {
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(&der).ok().map(KeyPair::Ed25519),
            Algorithm::Es256 => ecdsa(&aws::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ecdsa(&aws::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Ps256 => rsa(&aws::RSA_PSS_SHA256),
            Algorithm::Rs256 => rsa(&aws::RSA_PKCS1_SHA256),
            _ => return Err("assertions are signed with ES256, ES384, Ed25519, PS256 or RS256"),
        };
        let pair = pair.ok_or("the private key is not one for this algorithm")?;
        Ok(Self { algorithm, pair })
    }

    /// Signs `message`. Returns `None` if the system has no randomness.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            KeyPair::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            KeyPair::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
            KeyPair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, redacted)", self.algorithm)
    }
}

/// Random bytes. Returns `None` if the system has no randomness.
pub(crate) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Hashes tokens with a random key, which is lost with this value. Without the key nobody can make a token that has
/// the hash of another token.
///
/// A hash is the tag of AES-256-GCM over the whole token, with an empty plaintext and always the same nonce. It is a
/// polynomial of the token, evaluated at a secret point, plus a constant. Two tokens of up to 16 KiB have the same
/// hash only by chance, with a probability of at most 2^-117.
///
/// Two visible tags would reveal the secret point. Therefore no tag is visible: none is sent, printed or ordered, and
/// maps look them up by keyed hashes (`docs/decisions/2026-11-23-token-cache.md`).
pub(crate) struct TokenHasher(LessSafeKey);

impl TokenHasher {
    /// Returns `None` if the system has no randomness.
    pub(crate) fn random() -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, &random::<32>()?).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Hashes a token. Returns `None` for a token that is longer than any that is accepted, because the probability
    /// of equal hashes grows with the length.
    pub(crate) fn hash(&self, token: &[u8]) -> Option<TokenHash> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        // The nonce may repeat: nothing is encrypted, and no tag leaves the process.
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(token), &mut []).ok()?;
        <[u8; 16]>::try_from(tag.as_ref()).ok().map(TokenHash::from)
    }
}

/// The SHA-256 digest.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Whether two secrets are equal. The comparison takes constant time.
pub(crate) fn is_same_secret(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// HMAC-SHA256 with one key.
pub(crate) struct HmacSha256(hmac::Key);

impl HmacSha256 {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The tag of the concatenated parts.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_hash_depends_on_the_whole_token_and_the_key() {
        let token_hasher = TokenHasher::random().expect("randomness");
        let token = vec![b'a'; 1000];
        let mut all = HashSet::from([token_hasher.hash(&token).expect("a token hash")]);
        assert!(
            !all.insert(token_hasher.hash(&token).expect("a token hash")),
            "the same each time"
        );
        for place in 0..token.len() {
            let mut other = token.clone();
            other[place] ^= 1;
            assert!(all.insert(token_hasher.hash(&other).expect("a token hash")), "byte {place}");
            assert!(all.insert(token_hasher.hash(&token[..place]).expect("a token hash")));
        }
        let others = TokenHasher::random().expect("randomness");
        assert!(all.insert(others.hash(&token).expect("a token hash")), "another key");
        assert!(token_hasher.hash(&vec![b'a'; MAX_TOKEN_BYTES]).is_some());
        assert!(token_hasher.hash(&vec![b'a'; MAX_TOKEN_BYTES + 1]).is_none());
    }
}
