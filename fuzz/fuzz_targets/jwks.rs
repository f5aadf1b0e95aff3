//! Fuzzes key sets: nothing panics, and only a key that is in the set verifies a token.

#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use mcp_auth::jwt::{self, JwtRules, KeySet};
use serde_json::Value;

/// Signed by the key of RFC 8037 A.1.
const TOKEN: &str = include_str!("../seeds/jws/signed.jwt");
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// Checks once that a good key set verifies the token. Otherwise the target could find nothing.
static GOOD: Once = Once::new();

fn verifies(keys: &KeySet) -> bool {
    jwt::verify(TOKEN.trim(), keys, &JwtRules::new("https://auth.example.com")).is_ok()
}

fuzz_target!(|data: &[u8]| {
    GOOD.call_once(|| {
        let good = KeySet::parse(include_bytes!("../seeds/jwks/ed25519")).expect("a key set");
        assert!(verifies(&good));
    });
    let Ok(keys) = KeySet::parse(data) else { return };
    assert!((1..=100).contains(&keys.len()) && !keys.is_empty());
    let _ = format!("{keys:?}");

    if verifies(&keys) {
        // Nested too deeply for serde_json: there is nothing to compare with.
        let Ok(set) = serde_json::from_slice::<Value>(data) else { return };
        let keys = set["keys"].as_array().expect("an array");
        assert!(keys.iter().any(|key| key["x"] == PUBLIC && key["kty"] == "OKP"));
    }
});
