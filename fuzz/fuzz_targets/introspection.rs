//! Any bytes as the answer of an introspection endpoint: nothing panics, and what is taken for a good
//! token is active, of the issuer that was asked, and somebody's, to a parser that builds everything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_auth::jwt;
use serde_json::Value;

const ISSUER: &str = "https://auth.example.com";

fuzz_target!(|data: &[u8]| {
    let Ok(token) = jwt::introspected(data, ISSUER) else { return };
    let said: Value = serde_json::from_slice(data).expect("what is taken is JSON");
    assert_eq!(said["active"], true);
    assert!(said["iss"].is_null() || said["iss"] == ISSUER);
    assert!(said["cnf"].is_null());
    let kind = said["token_type"].as_str().unwrap_or("Bearer");
    assert!(kind.eq_ignore_ascii_case("Bearer"));
    let subject = if said["sub"].is_null() { &said["client_id"] } else { &said["sub"] };
    assert_eq!(subject, token.subject());
    assert!(!token.subject().is_empty());
    assert!(!said["sub"].is_null() || said["username"].is_null());
});
