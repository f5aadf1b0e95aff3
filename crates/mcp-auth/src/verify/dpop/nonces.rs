//! Stateless DPoP nonces: the current minute and a MAC over it.

use http::HeaderValue;

use crate::verify::jwt::{HmacSha256, from_base64url, is_same_secret, random, to_base64url};

/// How often the nonce changes, in seconds.
const ROTATION_SECS: u64 = 60;

/// How long a nonce is accepted after the start of its minute, in seconds. A client has at least four minutes
/// for its next request. If it takes longer, it receives the current nonce and tries again.
const LIFETIME: u64 = 5 * 60;

/// The length to which a tag is truncated: 128 bits.
const TAG_BYTES: usize = 16;

/// Makes and verifies nonces ([RFC 9449 §9](https://www.rfc-editor.org/rfc/rfc9449#section-9)).
pub(crate) struct Nonces {
    /// Makes nonces. Nonces of this key and of the earlier ones are accepted.
    key: HmacSha256,
    previous_keys: Vec<HmacSha256>,
}

impl Nonces {
    /// Uses a random key. Returns `None` if the system has no randomness.
    pub(crate) fn random() -> Option<Self> {
        Some(Self { key: HmacSha256::new(&random::<32>()?), previous_keys: Vec::new() })
    }

    /// Derives keys for one resource from secrets. Returns `None` if there is no secret.
    pub(crate) fn new(secrets: &[Box<[u8]>], resource: &str) -> Option<Self> {
        let mut keys = secrets.iter().map(|secret| {
            let label: &[u8] = b"mcp-auth dpop nonce\0";
            HmacSha256::new(&HmacSha256::new(secret).tag(&[label, resource.as_bytes()]))
        });
        Some(Self { key: keys.next()?, previous_keys: keys.collect() })
    }

    /// The nonce of this minute. It is the same in each response, and in each process that has the same secrets.
    pub(super) fn current(&self, now: u64) -> Option<HeaderValue> {
        let minute = (now / ROTATION_SECS).to_be_bytes();
        let nonce = to_base64url(&[&minute[..], &tag(&self.key, &minute)].concat());
        HeaderValue::try_from(nonce).ok()
    }

    /// Whether a nonce was made with one of the keys and has not expired.
    pub(super) fn is_valid(&self, nonce: &str, now: u64) -> bool {
        let Some(bytes) = from_base64url(nonce) else { return false };
        let Some((minute, given)) = bytes.split_first_chunk::<8>() else { return false };
        let is_ours = |key: &HmacSha256| is_same_secret(&tag(key, minute), given);
        let begin = u64::from_be_bytes(*minute).saturating_mul(ROTATION_SECS);
        // The clock of another process may be a minute ahead.
        (begin.saturating_sub(ROTATION_SECS)..begin.saturating_add(LIFETIME)).contains(&now)
            && std::iter::once(&self.key).chain(&self.previous_keys).any(is_ours)
    }
}

fn tag(key: &HmacSha256, minute: &[u8; 8]) -> [u8; TAG_BYTES] {
    let whole = key.tag(&[minute]);
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&whole[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = "https://api.example.com/mcp";
    const NOW: u64 = 1_785_196_800; // the start of a minute

    fn under(secrets: &[[u8; 32]], resource: &str) -> Nonces {
        let secrets: Vec<Box<[u8]>> = secrets.iter().map(|it| it[..].into()).collect();
        Nonces::new(&secrets, resource).expect("secrets")
    }

    fn random() -> Nonces {
        Nonces::random().expect("randomness")
    }

    fn nonce(nonces: &Nonces, now: u64) -> String {
        nonces.current(now).expect("a nonce").to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn a_nonce_lives_for_five_minutes_and_changes_each_minute() {
        let nonces = random();
        let first = nonce(&nonces, NOW);
        assert_eq!(first, nonce(&nonces, NOW + 59));
        assert_ne!(first, nonce(&nonces, NOW + 60));
        for (now, expected) in [
            (NOW - 61, false),
            (NOW - 60, true), // made by a process whose clock is ahead
            (NOW, true),
            (NOW + 299, true),
            (NOW + 300, false),
            (u64::MAX, false),
            (0, false),
        ] {
            assert_eq!(nonces.is_valid(&first, now), expected, "{now}");
        }
    }

    #[test]
    fn forged_nonces_are_refused() {
        let nonces = random();
        let first = nonce(&nonces, NOW);
        let mut later = from_base64url(&first).expect("base64url");
        later[7] += 1;
        for forged in [
            String::new(),
            "a".to_owned(),
            first[..first.len() - 1].to_owned(),
            format!("{first}="),
            format!("{first}AAAA"),
            first.to_lowercase(),
            to_base64url(&later),
            to_base64url(&[&later[..8], &[0; 16]].concat()),
            to_base64url(&[0xff; 24]),
            nonce(&random(), NOW),
        ] {
            assert!(!nonces.is_valid(&forged, NOW), "{forged}");
        }
    }

    #[test]
    fn processes_with_the_same_keys_share_nonces_and_resources_do_not() {
        let (old, new) = ([1; 32], [2; 32]);
        let (before, during, after) =
            (under(&[old], RESOURCE), under(&[new, old], RESOURCE), under(&[new], RESOURCE));
        let (by_old, by_new) = (nonce(&before, NOW), nonce(&during, NOW));
        for (nonces, takes_old, takes_new) in
            [(&before, true, false), (&during, true, true), (&after, false, true)]
        {
            assert_eq!(
                (nonces.is_valid(&by_old, NOW), nonces.is_valid(&by_new, NOW)),
                (takes_old, takes_new)
            );
        }
        assert!(!under(&[old], "https://api.example.com/mail").is_valid(&by_old, NOW));
        assert!(Nonces::new(&[], RESOURCE).is_none());
    }
}
