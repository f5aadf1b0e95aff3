//! The signature algorithms an issuer can sign with.

use std::fmt;

/// A JWS signature algorithm, by its name in the `alg` header
/// ([RFC 7518 §3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)).
///
/// HMAC and `none` are not included. [`TokenBuilder::header`](crate::TokenBuilder::header) creates a
/// token with such a header.
///
/// ```
/// use mcp_auth_testkit::SigningAlgorithm;
///
/// assert_eq!(SigningAlgorithm::Es256.to_string(), "ES256");
/// assert_eq!(SigningAlgorithm::ALL.len(), 14);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    #[default]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519 under its older, polymorphic name ([RFC 8037](https://www.rfc-editor.org/rfc/rfc8037)).
    EdDsa,
    /// Ed25519 under its own name ([RFC 9864](https://www.rfc-editor.org/rfc/rfc9864)).
    Ed25519,
    /// ML-DSA-44 ([RFC 9964](https://www.rfc-editor.org/rfc/rfc9964)).
    MlDsa44,
    /// ML-DSA-65 ([RFC 9964](https://www.rfc-editor.org/rfc/rfc9964)).
    MlDsa65,
    /// ML-DSA-87 ([RFC 9964](https://www.rfc-editor.org/rfc/rfc9964)).
    MlDsa87,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 14] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// Returns the name, as in the `alg` header and in the JWK.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
