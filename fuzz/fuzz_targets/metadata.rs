//! Fuzzes an issuer's metadata.
//!
//! Nothing panics. Every rule has its finding. The stored document is the same when it is parsed again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_auth::metadata::{ServerMetadata, Severity, validate};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(metadata) = ServerMetadata::parse(data) else { return };

    let findings = validate(&metadata);
    assert_eq!(findings.len(), 9);
    for finding in &findings {
        assert!(!finding.code.is_empty() && !finding.message.is_empty());
        if finding.code == "jwks_uri_present" {
            let url = metadata.jwks_uri().expect("a URL").to_ascii_lowercase();
            assert!(url.starts_with("https://") || url.starts_with("http://"), "{url}");
        }
        if finding.code == "server_metadata_valid" {
            assert_eq!(finding.severity, Severity::Pass);
            assert!(!metadata.issuer().is_empty());
        }
    }

    // Compares with another parser, and then with the document that is served to old clients.
    let document: Value = serde_json::from_slice(data).expect("JSON");
    assert!(document.is_object());
    assert_eq!(document["issuer"].as_str().unwrap_or_default(), metadata.issuer());
    assert_eq!(document["jwks_uri"].as_str(), metadata.jwks_uri());
    let mirrored = serde_json::to_vec(metadata.document()).expect("JSON");
    let again = ServerMetadata::parse(&mirrored).expect("the same document");
    assert_eq!(again.issuer(), metadata.issuer());
    assert_eq!(again.document().len(), metadata.document().len());
    assert_eq!(validate(&again), findings);
});
