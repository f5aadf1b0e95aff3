//! Parses the three parts of a JWS ([RFC 7515](https://www.rfc-editor.org/rfc/rfc7515), compact serialization).

use std::borrow::Cow;

use crate::model::credentials::MAX_TOKEN_BYTES;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::util::json::{self, Names, ObjectError, Raw};
use crate::util::str_span::StrSpan;
use crate::verify::jwt::algorithm::Algorithm;
use crate::verify::jwt::base64url;

/// Maximum length of a header, in base64url characters. A header has an algorithm, a type and a key id, and perhaps a
/// certificate, which is ignored.
const MAX_HEADER_BYTES: usize = 4 * 1024;

/// Maximum length of a `kid`. Those that issuers use have up to 64 bytes.
const MAX_KID_BYTES: usize = 256;

/// A decoded JWS. Nothing in it is verified yet.
///
/// `A` is the type of its algorithm. So a token signed with a secret is never verified with a public key, nor the
/// other way round.
pub(crate) struct Jws<'t, A = Algorithm> {
    pub(crate) header: Header<A>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// The signed text: the first two parts as they were received.
    pub(crate) signing_input: &'t str,
}

/// The members of a header that are used. `jku`, `x5u` and `x5c` are ignored, because keys come from the issuer. `jwk`
/// is used only for DPoP proofs.
pub(crate) struct Header<A = Algorithm> {
    pub(crate) algorithm: A,
    /// Whether the header has a `nonce`. Microsoft hashes it before it signs a token for Microsoft Graph.
    pub(crate) has_nonce: bool,
    json: String,
    kid: Option<StrSpan>,
    typ: Option<StrSpan>,
    jwk: Option<StrSpan>,
}

/// Whether a token has the form of a signed JWT: three parts of base64url.
pub(crate) fn is_compact(token: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() | (b == b'-') | (b == b'_');
    let mut parts = token.split('.');
    let (Some(_), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    token.bytes().fold(true, |fine, b| fine & (is_plain(b) | (b == b'.')))
}

impl<'t> Jws<'t> {
    pub(crate) fn parse(token: &'t str) -> Result<Self, Denial> {
        Self::parse_as(token, Algorithm::named)
    }
}

impl<'t, A> Jws<'t, A> {
    /// Parses a token. `named` returns the algorithm for a value of `alg`.
    pub(super) fn parse_as(token: &'t str, named: fn(&str) -> Option<A>) -> Result<Self, Denial> {
        let refuse = |reason| Err(Denial::invalid(reason));
        if token.len() > MAX_TOKEN_BYTES {
            return refuse(Reason::Oversize);
        }
        // Split from both ends, because most of a token is in between.
        let outer = token.rsplit_once('.').and_then(|(signing_input, signature)| {
            let (header, payload) = signing_input.split_once('.')?;
            Some((signing_input, header, payload, signature))
        });
        let Some((signing_input, header, payload, signature)) = outer else {
            return Err(Denial::invalid(Reason::Malformed).detail(
                "the token is not a JWT: ask its issuer about opaque tokens with `.introspect(..)`, or have it issue JWTs for this resource (many do once clients send `resource`, or an API is set up)",
            ));
        };
        // A dot is not a base64url character, so a token with more than three parts fails here.
        let decode = |part| {
            base64url::decode(part).ok_or_else(|| match token.split('.').count() {
                3 => Denial::invalid(Reason::Encoding),
                5 => Denial::invalid(Reason::Encrypted),
                _ => Denial::invalid(Reason::Malformed),
            })
        };
        if header.len() > MAX_HEADER_BYTES {
            return refuse(Reason::Oversize);
        }
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let header = Header::parse(decode(header)?, named)?;
        Ok(Self { header, payload, signature, signing_input })
    }
}

impl<A> Header<A> {
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_ref().map(|kid| kid.of(&self.json))
    }

    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_ref().map(|typ| typ.of(&self.json))
    }

    /// The embedded key (`jwk`), as JSON.
    pub(super) fn jwk(&self) -> Option<&str> {
        self.jwk.as_ref().map(|jwk| jwk.of(&self.json))
    }

    /// `typ` without the optional prefix "application/".
    pub(crate) fn media_type(&self) -> Option<&str> {
        let typ = self.typ()?;
        Some(match typ.split_once('/') {
            Some((application, rest)) if application.eq_ignore_ascii_case("application") => rest,
            _ => typ,
        })
    }

    /// Whether `typ` is this media type. Media types are compared without case
    /// ([RFC 7515 §4.1.9](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9)).
    pub(crate) fn is_typed(&self, name: &str) -> bool {
        self.media_type().unwrap_or_default().eq_ignore_ascii_case(name)
    }

    fn parse(json: Vec<u8>, named: fn(&str) -> Option<A>) -> Result<Self, Denial> {
        let refuse = |reason| Err(Denial::invalid(reason));
        let json = String::from_utf8(json).map_err(|_| Denial::invalid(Reason::Malformed))?;
        let found = RawHeader::read(&json)?;
        let (kid, typ) = (text(found.kid)?, text(found.typ)?);
        let Some(algorithm) = text(found.alg)? else { return refuse(Reason::Malformed) };
        let Some(algorithm) = named(&algorithm) else { return refuse(Reason::Algorithm) };
        if found.is_critical {
            return refuse(Reason::Critical);
        }
        if found.is_encrypted {
            return refuse(Reason::Encrypted);
        }
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return refuse(Reason::Oversize);
        }
        let place = |text| StrSpan::within(&json, text);
        let (kid, typ) = (kid.and_then(place), typ.and_then(place));
        let jwk = found.jwk.filter(|jwk| !jwk.is_null());
        let jwk = jwk.and_then(|jwk| StrSpan::from_raw(&json, jwk));
        let has_nonce = found.has_nonce;
        Ok(Self { algorithm, has_nonce, kid, typ, jwk, json })
    }
}

/// The members of a header that are used, as they are read.
#[derive(Default)]
struct RawHeader<'j> {
    alg: Option<Raw<'j>>,
    kid: Option<Raw<'j>>,
    typ: Option<Raw<'j>>,
    jwk: Option<Raw<'j>>,
    has_nonce: bool,
    is_critical: bool,
    is_encrypted: bool,
}

impl<'j> RawHeader<'j> {
    /// Reads a header. A duplicate member is an error. A member that is null is absent. The values of members that are
    /// not used are not checked.
    fn read(json: &'j str) -> Result<Self, ObjectError> {
        let (mut found, mut others) = (Self::default(), Names::default());
        json::each_member(json, |name, value| {
            let place = match &*name {
                "alg" => &mut found.alg,
                "kid" => &mut found.kid,
                "typ" => &mut found.typ,
                "jwk" => &mut found.jwk,
                _ => {
                    let is_present = !value.is_null();
                    found.has_nonce |= is_present && name == "nonce";
                    found.is_critical |= is_present && (name == "crit" || name == "b64");
                    found.is_encrypted |= is_present && name == "enc";
                    return others.add(name);
                }
            };
            json::set_once(place, value)
        })?;
        Ok(found)
    }
}

/// The text of a member, which may be absent, but must not have the wrong type.
fn text(member: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, ObjectError> {
    let member = member.filter(|value| !value.is_null());
    member.map(|value| value.string().ok_or(ObjectError::Malformed)).transpose()
}

impl From<ObjectError> for Denial {
    fn from(why: ObjectError) -> Self {
        Self::invalid(match why {
            ObjectError::Duplicate => Reason::Duplicate,
            ObjectError::Malformed => Reason::Malformed,
        })
    }
}
