//! Signs session and event ids for their owner, and verifies them (HMAC).

use base64_simd::URL_SAFE_NO_PAD;

use crate::model::session_owner::SessionOwner;
use crate::verify::jwt::{HmacSha256, is_same_secret, random};

/// The length to which a MAC is truncated: 128 bits, which is as hard to guess as a session id.
const TAG_BYTES: usize = 16;

/// What a text is for. A text signed for one purpose does not verify for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The id of a session.
    Session,
    /// The id of an event in a stream.
    Event,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session\0",
            Self::Event => b"event\0",
        }
    }
}

/// Signs texts as `<text>.<tag>`. A signed text verifies only for the owner that it was signed for.
pub(crate) struct IdSigner {
    /// Signs. Texts signed with this key or an earlier one verify.
    key: HmacSha256,
    previous_keys: Vec<HmacSha256>,
}

impl IdSigner {
    /// Uses a random key, which is lost with this value. Returns `None` if the system has no randomness.
    pub(crate) fn random() -> Option<Self> {
        Some(Self { key: HmacSha256::new(&random::<32>()?), previous_keys: Vec::new() })
    }

    /// Derives keys for one resource from secrets. Two resources that share a secret do not accept each other's
    /// texts. Returns `None` if there is no secret.
    pub(crate) fn from_secrets(secrets: &[impl AsRef<[u8]>], resource: &str) -> Option<Self> {
        let mut keys = secrets.iter().map(|secret| {
            let label: &[u8] = b"mcp-auth seal\0";
            HmacSha256::new(&HmacSha256::new(secret.as_ref()).tag(&[label, resource.as_bytes()]))
        });
        Some(Self { key: keys.next()?, previous_keys: keys.collect() })
    }

    /// Returns the text with a tag that verifies only for this owner and purpose.
    pub(crate) fn sign(&self, purpose: Purpose, owner: &SessionOwner, text: &[u8]) -> Vec<u8> {
        let tag = tag(&self.key, purpose.label(), owner, text);
        [text, b".", URL_SAFE_NO_PAD.encode_to_string(tag).as_bytes()].concat()
    }

    /// Returns the text if it was signed for this owner and purpose with one of the keys. Returns `None`
    /// otherwise.
    pub(crate) fn verify<'s>(
        &self,
        purpose: Purpose,
        owner: &SessionOwner,
        signed: &'s [u8],
    ) -> Option<&'s [u8]> {
        let dot = signed.iter().rposition(|byte| *byte == b'.')?;
        let (text, given) = (signed.get(..dot)?, signed.get(dot + 1..)?);
        let is_ours = |key: &HmacSha256| {
            // Compared as text, so that a tag has only one spelling and one length.
            let tag = URL_SAFE_NO_PAD.encode_to_string(tag(key, purpose.label(), owner, text));
            is_same_secret(tag.as_bytes(), given)
        };
        std::iter::once(&self.key).chain(&self.previous_keys).any(is_ours).then_some(text)
    }

    /// An id that was never issued, as a replacement for a presented id that did not verify. It is the same each
    /// time. It has the form that most servers use (a UUID). The client that presented the id cannot predict it.
    pub(crate) fn decoy_id(&self, owner: &SessionOwner, presented: &[u8]) -> String {
        let mut id = u128::from_be_bytes(tag(&self.key, b"stand-in\0", owner, presented));
        id = id & !(0xf << 76) | (4 << 76); // version 4 (RFC 9562 §5.4)
        id = id & !(0x3 << 62) | (2 << 62); // the variant
        let digits = format!("{id:032x}");
        let (a, rest) = digits.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        format!("{a}-{b}-{c}-{d}-{e}")
    }
}

/// Computes a tag. Two different inputs never give the same bytes: no label is a prefix of another, the length of
/// the owner comes before it, and the text is the rest.
fn tag(key: &HmacSha256, label: &[u8], owner: &SessionOwner, text: &[u8]) -> [u8; TAG_BYTES] {
    let owner = owner.as_bytes();
    let length = (owner.len() as u64).to_be_bytes();
    let whole = key.tag(&[label, &length, owner, text]);
    let mut tag = [0; TAG_BYTES];
    for (kept, byte) in tag.iter_mut().zip(&whole) {
        *kept = *byte;
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credentials::Credentials;
    use crate::model::resource_context::ResourceContext;
    use crate::model::verified_token::VerifiedToken;
    use crate::policy::authorization::Policy;
    use crate::policy::operation::Operation;

    const RESOURCE: &str = "https://api.example.com/mcp";

    fn principal(issuer: &str, subject: &str, client: Option<&str>) -> SessionOwner {
        let token = VerifiedToken::assert(issuer, subject).audience(RESOURCE);
        let token = match client {
            Some(client) => token.client_id(client),
            None => token,
        };
        let policy = Policy {
            issuers: vec![issuer.into()],
            resource: ResourceContext {
                audiences: vec![RESOURCE.to_owned()],
                ..ResourceContext::default()
            }
            .into(),
            ..Policy::default()
        };
        let bearer = http::HeaderValue::from_static("Bearer abc");
        let headers = [(http::header::AUTHORIZATION, bearer)].into_iter().collect();
        let credentials = Credentials::from_headers(&headers).expect("credentials");
        let caller =
            policy.authorize(token, credentials, &Operation::default(), std::time::UNIX_EPOCH);
        SessionOwner::of(Some(&caller.expect("admitted")))
    }

    fn alice() -> SessionOwner {
        principal("https://a.example", "alice", Some("inspector"))
    }

    fn opens(
        signer: &IdSigner,
        purpose: Purpose,
        owner: &SessionOwner,
        signed: &str,
    ) -> Option<String> {
        let text = signer.verify(purpose, owner, signed.as_bytes())?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn signed(signer: &IdSigner, text: &str) -> String {
        String::from_utf8(signer.sign(Purpose::Session, &alice(), text.as_bytes())).expect("ASCII")
    }

    #[test]
    fn a_signed_id_verifies_for_its_owner_with_or_without_dots() {
        let signer = IdSigner::random().expect("randomness");
        for text in ["", "0/0", "a.b.c", ".", "2f1ee1a4-0f3a-4d42-9d5c-000000000000", "a b"] {
            let signed = signed(&signer, text);
            assert_eq!(signed.len(), text.len() + 23, "a dot and 16 bytes");
            assert_eq!(opens(&signer, Purpose::Session, &alice(), &signed).as_deref(), Some(text));
        }
        let bytes = signer.sign(Purpose::Event, &alice(), b"\xff\xfe");
        assert_eq!(signer.verify(Purpose::Event, &alice(), &bytes), Some(&b"\xff\xfe"[..]));
    }

    #[test]
    fn a_signed_id_does_not_verify_for_another_owner_purpose_or_key() {
        let signer = IdSigner::random().expect("randomness");
        let signed = signed(&signer, "s1");
        for other in [
            principal("https://a.example", "bob", Some("inspector")),
            principal("https://b.example", "alice", Some("inspector")),
            principal("https://a.example", "", Some("alice")),
            SessionOwner::of(None),
        ] {
            assert_eq!(opens(&signer, Purpose::Session, &other, &signed), None);
        }
        assert_eq!(opens(&signer, Purpose::Event, &alice(), &signed), None, "another purpose");
        let restarted = IdSigner::random().expect("randomness");
        assert_eq!(opens(&restarted, Purpose::Session, &alice(), &signed), None);
    }

    #[test]
    fn altered_ids_do_not_verify() {
        let signer = IdSigner::random().expect("randomness");
        let signed = signed(&signer, "s1.x");
        let last = if signed.ends_with('A') { "B" } else { "A" };
        let (start, _) = signed.split_at(signed.len() - 1);
        for forged in [
            "".to_owned(),
            ".".to_owned(),
            "s1.x".to_owned(),
            "s1.x.".to_owned(),
            start.to_owned(),
            format!("{start}{last}"),
            format!("{signed}="),
            format!("{signed}A"),
            format!(" {signed}"),
            signed.replacen("s1", "s2", 1),
            signed.replacen("s1.x", "s1", 1),
            signed.replacen("s1.x.", "s1.x", 1),
            signed.to_uppercase(),
            format!("{signed}, {signed}"),
        ] {
            assert_eq!(opens(&signer, Purpose::Session, &alice(), &forged), None, "{forged}");
        }
    }

    #[test]
    fn the_first_key_signs_and_all_keys_verify_for_one_resource() {
        let (old, new) = ([1; 32], [2; 32]);
        let before = IdSigner::from_secrets(&[old], RESOURCE).expect("a key");
        let during = IdSigner::from_secrets(&[new, old], RESOURCE).expect("keys");
        let after = IdSigner::from_secrets(&[new], RESOURCE).expect("a key");
        let elsewhere =
            IdSigner::from_secrets(&[new, old], "https://api.example.com/mail").expect("keys");
        let (by_old, by_new) = (signed(&before, "s"), signed(&during, "s"));
        let opens =
            |signer: &IdSigner, signed| opens(signer, Purpose::Session, &alice(), signed).is_some();
        for (signer, old, new) in [
            (&before, true, false),
            (&during, true, true),
            (&after, false, true),
            (&elsewhere, false, false),
        ] {
            assert_eq!((opens(signer, &by_old), opens(signer, &by_new)), (old, new));
        }
        assert!(IdSigner::from_secrets(&[[0; 32]; 0], RESOURCE).is_none());
    }

    #[test]
    fn a_decoy_id_is_a_uuid_that_depends_on_the_key() {
        let signer = IdSigner::random().expect("randomness");
        let id = signer.decoy_id(&alice(), b"forged");
        assert_eq!(id, signer.decoy_id(&alice(), b"forged"), "the same each time");
        let form: String =
            id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(form, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
        let bob = principal("https://a.example", "bob", None);
        let restarted = IdSigner::random().expect("randomness");
        for other in [
            signer.decoy_id(&bob, b"forged"),
            signer.decoy_id(&alice(), b"forged2"),
            restarted.decoy_id(&alice(), b"forged"),
        ] {
            assert_ne!(id, other);
        }
    }
}
