//! Parses a DPoP proof ([RFC 9449 §4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)).

use std::borrow::Cow;

use crate::model::denial::Denial;
use crate::model::error_codes::{BadProof, Reason};
use crate::util::json::{Object, Raw};
use crate::verify::jwt::{self, Algorithm, Jws};

/// A proof with the right type and algorithm. Nothing in it is verified yet.
pub(super) struct Proof<'t> {
    pub(super) jws: Jws<'t>,
}

pub(super) struct Claims<'p> {
    /// `jti`.
    pub(super) id: Cow<'p, str>,
    /// `htm`.
    pub(super) method: Cow<'p, str>,
    /// `htu`.
    pub(super) url: Cow<'p, str>,
    /// `iat`, in seconds since 1970.
    pub(super) issued_at: u64,
    pub(super) nonce: Option<Cow<'p, str>>,
    /// `ath`.
    pub(super) ath: Cow<'p, str>,
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
        Ok(Self { jws })
    }

    /// Reads the claims. All but `nonce` are required.
    pub(super) fn claims(&self) -> Result<Claims<'_>, BadProof> {
        let members = Object::read(&self.jws.payload).map_err(|_| BadProof::Malformed)?;
        let text = |name: &str| {
            let value = members.get(name).and_then(Raw::string);
            value.filter(|text| !text.is_empty()).ok_or(BadProof::Claims)
        };
        let issued_at = members.get("iat").and_then(Raw::numeric_date);
        Ok(Claims {
            id: text("jti")?,
            method: text("htm")?,
            url: text("htu")?,
            issued_at: issued_at.ok_or(BadProof::Claims)? as u64,
            nonce: members.get("nonce").map(|_| text("nonce")).transpose()?,
            ath: text("ath")?,
        })
    }
}

/// The `ath` of a token: its SHA-256 digest in base64url.
pub(crate) fn ath(token: &[u8]) -> String {
    jwt::to_base64url(&jwt::sha256(token))
}

fn malformed(denial: &Denial) -> BadProof {
    match denial.reason() {
        Some(Reason::Algorithm) => BadProof::Algorithm,
        _ => BadProof::Malformed,
    }
}
