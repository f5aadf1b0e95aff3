//! Fuzzes the answers of introspection endpoints.
//!
//! Nothing panics. According to another parser, an accepted answer is about an active token of the issuer
//! that was asked, and names a subject.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_auth::introspected;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

const ISSUER: &str = "https://auth.example.com";

/// The members of an answer that are read. Others do not matter, even with an unpaired surrogate.
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
    // Whether the sender may use a bound token is checked later, by its `cnf`.
    let is_bound = said.cnf.is_some();
    assert!(said.token_type.is_none_or(|kind| {
        kind.eq_ignore_ascii_case("Bearer") || (is_bound && kind.eq_ignore_ascii_case("DPoP"))
    }));
    assert!(said.sub.is_some() || said.username.is_none());
    assert_eq!(said.sub.or(said.client_id).as_deref(), Some(token.subject()));
    assert!(!token.subject().is_empty());
});
