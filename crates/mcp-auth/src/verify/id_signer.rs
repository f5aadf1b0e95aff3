//! Binds a text to its owner: a MAC that nobody else's text opens with.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use aws_lc_rs::rand::SystemRandom;
use base64_simd::URL_SAFE_NO_PAD;

use crate::model::session_owner::Owner;

/// What of a MAC is kept: 128 bits, as much as there is to guess in a session id.
const TAG_BYTES: usize = 16;

/// What a text is for. A text sealed for one thing does not open as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The id of a session.
    Session,
    /// The id of an event of a stream.
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

/// Seals texts for their owners: `<text>.<tag>`, and `<text>` again for the same owner alone.
pub(crate) struct Seal {
    /// The one that seals. All open.
    key: Key,
    earlier: Vec<Key>,
}

impl Seal {
    /// Under a key that nobody knows and that ends with this value. Nothing if the system has no randomness.
    pub(crate) fn random() -> Option<Self> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Self { key, earlier: Vec::new() })
    }

    /// Under keys made of secrets, for one resource: two resources that share a secret do not open each
    /// other's texts. Nothing if there is no secret.
    pub(crate) fn of(secrets: &[impl AsRef<[u8]>], resource: &str) -> Option<Self> {
        let mut keys = secrets.iter().map(|secret| {
            let secret = Key::new(HMAC_SHA256, secret.as_ref());
            Key::new(HMAC_SHA256, mac(&secret, &[b"mcp-auth seal\0", resource.as_bytes()]).as_ref())
        });
        Some(Self { key: keys.next()?, earlier: keys.collect() })
    }

    /// The text with a tag that its owner's requests open.
    pub(crate) fn seal(&self, purpose: Purpose, owner: &Owner, text: &[u8]) -> Vec<u8> {
        let tag = tag(&self.key, purpose.label(), owner, text);
        [text, b".", URL_SAFE_NO_PAD.encode_to_string(tag).as_bytes()].concat()
    }

    /// The text that was sealed for this owner and purpose, by any of the keys.
    pub(crate) fn open<'s>(
        &self,
        purpose: Purpose,
        owner: &Owner,
        sealed: &'s [u8],
    ) -> Option<&'s [u8]> {
        let dot = sealed.iter().rposition(|byte| *byte == b'.')?;
        let (text, given) = (sealed.get(..dot)?, sealed.get(dot + 1..)?);
        let is_ours = |key: &Key| {
            // As text, and so there is but one way to write a tag, and one length.
            let tag = URL_SAFE_NO_PAD.encode_to_string(tag(key, purpose.label(), owner, text));
            verify_slices_are_equal(tag.as_bytes(), given).is_ok()
        };
        std::iter::once(&self.key).chain(&self.earlier).any(is_ours).then_some(text)
    }

    /// An id that nobody was ever given, in place of one that did not open: the same each time, of the
    /// form that most servers' ids have (a UUID), and not to be foreseen by who presented it.
    pub(crate) fn stand_in(&self, owner: &Owner, presented: &[u8]) -> String {
        let mut id = u128::from_be_bytes(tag(&self.key, b"stand-in\0", owner, presented));
        id = id & !(0xf << 76) | (4 << 76); // version 4, of RFC 9562 §5.4
        id = id & !(0x3 << 62) | (2 << 62); // its variant
        let digits = format!("{id:032x}");
        let (a, rest) = digits.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        format!("{a}-{b}-{c}-{d}-{e}")
    }
}

/// No two different questions are the same bytes: no label is the beginning of another, the owner comes
/// with its length, and the text is the rest.
fn tag(key: &Key, label: &[u8], owner: &Owner, text: &[u8]) -> [u8; TAG_BYTES] {
    let owner = owner.as_bytes();
    let length = (owner.len() as u64).to_be_bytes();
    let whole = mac(key, &[label, &length, owner, text]);
    let mut tag = [0; TAG_BYTES];
    for (kept, byte) in tag.iter_mut().zip(whole.as_ref()) {
        *kept = *byte;
    }
    tag
}

fn mac(key: &Key, parts: &[&[u8]]) -> aws_lc_rs::hmac::Tag {
    let mut context = Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
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

    fn principal(issuer: &str, subject: &str, client: Option<&str>) -> Owner {
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
            policy.permit(token, credentials, &Operation::default(), std::time::UNIX_EPOCH);
        Owner::of(Some(&caller.expect("admitted")))
    }

    fn alice() -> Owner {
        principal("https://a.example", "alice", Some("inspector"))
    }

    fn opens(seal: &Seal, purpose: Purpose, owner: &Owner, sealed: &str) -> Option<String> {
        let text = seal.open(purpose, owner, sealed.as_bytes())?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn sealed(seal: &Seal, text: &str) -> String {
        String::from_utf8(seal.seal(Purpose::Session, &alice(), text.as_bytes())).expect("ASCII")
    }

    #[test]
    fn a_text_opens_for_its_owner_with_dots_and_without() {
        let seal = Seal::random().expect("randomness");
        for text in ["", "0/0", "a.b.c", ".", "2f1ee1a4-0f3a-4d42-9d5c-000000000000", "a b"] {
            let sealed = sealed(&seal, text);
            assert_eq!(sealed.len(), text.len() + 23, "a dot and 16 bytes");
            assert_eq!(opens(&seal, Purpose::Session, &alice(), &sealed).as_deref(), Some(text));
        }
        let bytes = seal.seal(Purpose::Event, &alice(), b"\xff\xfe");
        assert_eq!(seal.open(Purpose::Event, &alice(), &bytes), Some(&b"\xff\xfe"[..]));
    }

    #[test]
    fn nobody_else_opens_it() {
        let seal = Seal::random().expect("randomness");
        let sealed = sealed(&seal, "s1");
        for other in [
            principal("https://a.example", "bob", Some("inspector")),
            principal("https://b.example", "alice", Some("inspector")),
            principal("https://a.example", "alice", Some("other")),
            principal("https://a.example", "alice", Some("")),
            principal("https://a.example", "alice", None),
            Owner::of(None),
        ] {
            assert_eq!(opens(&seal, Purpose::Session, &other, &sealed), None);
        }
        assert_eq!(opens(&seal, Purpose::Event, &alice(), &sealed), None, "another purpose");
        let restarted = Seal::random().expect("randomness");
        assert_eq!(opens(&restarted, Purpose::Session, &alice(), &sealed), None);
    }

    #[test]
    fn no_other_text_opens() {
        let seal = Seal::random().expect("randomness");
        let sealed = sealed(&seal, "s1.x");
        let last = if sealed.ends_with('A') { "B" } else { "A" };
        let (start, _) = sealed.split_at(sealed.len() - 1);
        for forged in [
            "".to_owned(),
            ".".to_owned(),
            "s1.x".to_owned(),
            "s1.x.".to_owned(),
            start.to_owned(),
            format!("{start}{last}"),
            format!("{sealed}="),
            format!("{sealed}A"),
            format!(" {sealed}"),
            sealed.replacen("s1", "s2", 1),
            sealed.replacen("s1.x", "s1", 1),
            sealed.replacen("s1.x.", "s1.x", 1),
            sealed.to_uppercase(),
            format!("{sealed}, {sealed}"),
        ] {
            assert_eq!(opens(&seal, Purpose::Session, &alice(), &forged), None, "{forged}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open_for_one_resource() {
        let (old, new) = ([1; 32], [2; 32]);
        let before = Seal::of(&[old], RESOURCE).expect("a key");
        let during = Seal::of(&[new, old], RESOURCE).expect("keys");
        let after = Seal::of(&[new], RESOURCE).expect("a key");
        let elsewhere = Seal::of(&[new, old], "https://api.example.com/mail").expect("keys");
        let (by_old, by_new) = (sealed(&before, "s"), sealed(&during, "s"));
        let opens = |seal: &Seal, sealed| opens(seal, Purpose::Session, &alice(), sealed).is_some();
        for (seal, old, new) in [
            (&before, true, false),
            (&during, true, true),
            (&after, false, true),
            (&elsewhere, false, false),
        ] {
            assert_eq!((opens(seal, &by_old), opens(seal, &by_new)), (old, new));
        }
        assert!(Seal::of(&[[0; 32]; 0], RESOURCE).is_none());
    }

    #[test]
    fn a_stand_in_is_a_uuid_that_only_the_key_knows() {
        let seal = Seal::random().expect("randomness");
        let id = seal.stand_in(&alice(), b"forged");
        assert_eq!(id, seal.stand_in(&alice(), b"forged"), "the same each time");
        let form: String =
            id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(form, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
        let bob = principal("https://a.example", "bob", None);
        let restarted = Seal::random().expect("randomness");
        for other in [
            seal.stand_in(&bob, b"forged"),
            seal.stand_in(&alice(), b"forged2"),
            restarted.stand_in(&alice(), b"forged"),
        ] {
            assert_ne!(id, other);
        }
    }
}
