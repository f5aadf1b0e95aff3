//! Any bytes as the answer of an introspection endpoint: nothing panics, and what is taken for a good
//! token is active, of the issuer that was asked, and somebody's, to another parser.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_auth::jwt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

const ISSUER: &str = "https://auth.example.com";

/// What is read of an answer. What else it has is nobody's business, even half a surrogate pair.
#[derive(Deserialize)]
struct Said {
    active: Value,
    iss: Option<String>,
    cnf: Option<IgnoredAny>,
    token_type: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    username: Option<IgnoredAny>,
}

fuzz_target!(|data: &[u8]| {
    let Ok(token) = introspected(data, ISSUER) else { return };
    let said: Said = serde_json::from_slice(data).expect("what is taken is such an answer");
    assert_eq!(said.active, true);
    assert!(said.iss.is_none_or(|issuer| issuer == ISSUER));
    // Whether the sender owns a token that is bound is judged later, by its `cnf`.
    let is_bound = said.cnf.is_some();
    assert!(said.token_type.is_none_or(|kind| {
        kind.eq_ignore_ascii_case("Bearer") || (is_bound && kind.eq_ignore_ascii_case("DPoP"))
    }));
    assert!(said.sub.is_some() || said.username.is_none());
    assert_eq!(said.sub.or(said.client_id).as_deref(), Some(token.subject()));
    assert!(!token.subject().is_empty());
});
