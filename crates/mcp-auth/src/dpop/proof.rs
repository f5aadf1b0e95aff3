//! One DPoP proof, taken apart ([RFC 9449 §4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)).

use crate::credentials::AccessToken;
use crate::denial::{BadProof, Denial, Reason};
use crate::json::{self, Members};
use crate::jwt::{self, Algorithm, EmbeddedKey, Jws};

/// A proof that is whole and of the right kind; nothing of it is true yet.
pub(super) struct Proof<'t> {
    pub(super) jws: Jws<'t>,
    pub(super) claims: Claims,
}

pub(super) struct Claims {
    /// `jti`.
    pub(super) id: String,
    /// `htm`.
    pub(super) method: String,
    /// `htu`.
    pub(super) url: String,
    /// `iat`, in seconds since 1970.
    pub(super) issued_at: u64,
    pub(super) nonce: Option<String>,
    /// `ath`.
    token_digest: String,
}

impl<'t> Proof<'t> {
    pub(super) fn parse(text: &'t str, algorithms: &[Algorithm]) -> Result<Self, BadProof> {
        let jws = Jws::parse(text).map_err(|denial| malformed(&denial))?;
        if !jws.header.is_typed("dpop+jwt") {
            return Err(BadProof::Type);
        }
        if !algorithms.contains(&jws.header.algorithm) {
            return Err(BadProof::Algorithm);
        }
        let claims = Claims::parse(&jws.payload)?;
        Ok(Self { jws, claims })
    }

    /// Its key, which is public.
    pub(super) fn key(&self) -> Result<EmbeddedKey<'_>, BadProof> {
        EmbeddedKey::of(&self.jws).ok_or(BadProof::Key)
    }

    /// Whether it was made for this token (`ath`).
    pub(super) fn is_for(&self, token: &AccessToken) -> bool {
        let digest = jwt::sha256(token.expose().as_bytes());
        self.claims.token_digest == jwt::to_base64url(&digest)
    }
}

impl Claims {
    fn parse(payload: &[u8]) -> Result<Self, BadProof> {
        let members = Members::read(payload).map_err(|_| BadProof::Malformed)?;
        let text = |name: &str| {
            let value = members.get(name).and_then(json::string).filter(|text| !text.is_empty());
            value.map(String::from).ok_or(BadProof::Claims)
        };
        let issued_at = members.get("iat").and_then(json::numeric_date);
        Ok(Self {
            id: text("jti")?,
            method: text("htm")?,
            url: text("htu")?,
            issued_at: issued_at.ok_or(BadProof::Claims)? as u64,
            nonce: members.get("nonce").map(|_| text("nonce")).transpose()?,
            token_digest: text("ath")?,
        })
    }
}

fn malformed(denial: &Denial) -> BadProof {
    match denial.reason() {
        Some(Reason::Algorithm) => BadProof::Algorithm,
        _ => BadProof::Malformed,
    }
}
