//! Fuzzes `WWW-Authenticate`: nothing panics, and a challenge that can be written is parsed as the same again.

#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use mcp_auth::Challenge;

/// Whether all characters are allowed in a description (RFC 6750 §3). A scope or a URL has no spaces.
fn may_be_written(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

fuzz_target!(|header: &str| {
    let Some(challenge) = Challenge::parse(header) else { return };
    assert!(header.to_ascii_lowercase().contains("bearer"));

    let values = [
        challenge.error.as_deref(),
        challenge.scope.as_ref().map(|scope| scope.as_str()),
        challenge.resource_metadata.as_deref(),
        challenge.error_description.as_deref(),
    ];
    if values.into_iter().flatten().all(may_be_written) {
        let written = challenge.to_string();
        assert!(written.starts_with("Bearer") && !written.contains('\\'));
        assert!(HeaderValue::from_str(&written).is_ok(), "{written}");
        assert_eq!(Challenge::parse(&written), Some(challenge), "{written}");
        // In one field with a challenge of another scheme, before or after it.
        for both in
            [format!("Basic realm=\"x\", {written}"), format!("{written}, DPoP algs=\"ES256\"")]
        {
            assert_eq!(
                Challenge::parse(&both).map(|read| read.to_string()),
                Some(written.clone()),
                "{both}"
            );
        }
    }
});
