//! Fuzzes keys in PEM: nothing panics, and only a key that is in the text verifies a token.

#![no_main]

use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use mcp_auth::jwt::{self, JwtRules, KeySet};

/// Signed by the key of RFC 8037 A.1.
const TOKEN: &str = include_str!("../seeds/jws/signed.jwt");
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// Checks once that the right key verifies the token. Otherwise the target could find nothing.
static GOOD: Once = Once::new();

fn verifies(keys: &KeySet) -> bool {
    jwt::verify(TOKEN.trim(), keys, &JwtRules::new("https://auth.example.com")).is_ok()
}

/// Whether a decoded block contains the bytes of the key, at any offset.
fn holds_the_key(pem: &str) -> bool {
    let key = URL_SAFE_NO_PAD.decode(PUBLIC).expect("base64url");
    pem.split("-----").any(|text| {
        let text: String = text.split_ascii_whitespace().collect();
        STANDARD.decode(text).is_ok_and(|der| der.windows(32).any(|bytes| bytes == key))
    })
}

fuzz_target!(|data: &[u8]| {
    GOOD.call_once(|| {
        let good = KeySet::from_pem(include_str!("../seeds/pem/ed25519")).expect("a key");
        assert!(verifies(&good));
    });
    let Ok(pem) = std::str::from_utf8(data) else { return };
    let Ok(keys) = KeySet::from_pem(pem) else { return };
    assert!((1..=100).contains(&keys.len()));
    assert!(KeySet::from_pem_named("a \"name\"", pem).is_ok_and(|named| named.len() == keys.len()));
    let _ = format!("{keys:?}");
    if verifies(&keys) {
        assert!(holds_the_key(pem));
    }
});
