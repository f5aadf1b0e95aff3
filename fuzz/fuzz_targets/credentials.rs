//! Fuzzes `Authorization` fields, one per line, next to a DPoP proof: only a valid token is accepted as one.

#![no_main]

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mcp_auth::{Credentials, MAX_TOKEN_BYTES, Scheme};

fuzz_target!(|data: &[u8]| {
    let fields: Vec<_> =
        data.split(|byte| *byte == b'\n').filter_map(|f| HeaderValue::from_bytes(f).ok()).collect();
    let mut headers = HeaderMap::new();
    for field in &fields {
        headers.append(AUTHORIZATION, field.clone());
    }
    headers.insert("dpop", HeaderValue::from_static("a.b.c"));
    let Ok(credentials) = Credentials::from_headers(&headers) else { return };

    let token = credentials.token().expose();
    assert_eq!(fields.len(), 1, "several fields were taken for one");
    let field = fields[0].to_str().expect("visible ASCII");
    let scheme = if credentials.scheme() == Scheme::Bearer { "bearer " } else { "dpop " };
    assert!(field.to_ascii_lowercase().starts_with(scheme) && field.trim_end().ends_with(token));
    assert!((1..=MAX_TOKEN_BYTES).contains(&token.len()));
    assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)));
    assert_eq!(format!("{:?}", credentials.token()), "AccessToken(redacted)");
});
