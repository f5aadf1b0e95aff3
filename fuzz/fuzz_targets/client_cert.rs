//! Fuzzes the headers in which proxies send client certificates.
//!
//! Nothing panics. A token is admitted only if the header has the certificate that it is bound to, and no other.

#![no_main]

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use mcp_auth::{
    AuthorizationServer, ClientCertHeader, Credentials, Denial, McpAuth, PeerAddr, Reason,
    VerifiedToken,
};

const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://api.example.com/mcp";

/// What is taken for a certificate here: `SEQUENCE { INTEGER 1 }`.
const BASE64: &str = "MAMCAQE=";

const FORMS: [(ClientCertHeader, &str); 2] = [
    (ClientCertHeader::Rfc9440, "client-cert"),
    (ClientCertHeader::Xfcc, "x-forwarded-client-cert"),
];

static RESOURCES: LazyLock<[McpAuth; 2]> = LazyLock::new(|| FORMS.map(|(form, _)| protected(form)));

fn digest() -> aws_lc_rs::digest::Digest {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[0x30, 0x03, 0x02, 0x01, 0x01])
}

fn protected(form: ClientCertHeader) -> McpAuth {
    let verifier = |_: Credentials| {
        use base64::Engine as _;
        let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest());
        let cnf = serde_json::json!({"cnf": {"x5t#S256": thumbprint}});
        let token = VerifiedToken::assert(ISSUER, "alice").audience(RESOURCE).with_claims(&cnf);
        std::future::ready(token.map_err(|_| Denial::invalid(Reason::Claims)))
    };
    McpAuth::builder(RESOURCE)
        .authorization_server(AuthorizationServer::external(ISSUER))
        .verifier(verifier)
        .client_certificates_from(form, ["127.0.0.1"])
        .build()
        .expect("a description")
}

fn admits(auth: &McpAuth, peer: &str, name: &str, fields: &[&HeaderValue]) -> bool {
    let mut request = Request::post("/mcp").header("authorization", "Bearer abc");
    for field in fields {
        request = request.header(name, *field);
    }
    let peer = PeerAddr(peer.parse().expect("an address"));
    let request = request.extension(peer).body(String::new()).expect("a request");
    let (parts, body) = request.into_parts();
    let mut admission = pin!(auth.admit(&parts, body));
    match admission.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.is_ok(),
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(field) = HeaderValue::from_bytes(data) else { return };
    for ((form, name), auth) in FORMS.iter().zip(&*RESOURCES) {
        assert!(!admits(auth, "127.0.0.2", name, &[&field]), "an untrusted address is trusted");
        if !admits(auth, "127.0.0.1", name, &[&field]) {
            continue;
        }
        assert!(!admits(auth, "127.0.0.1", name, &[&field, &field]), "twice");
        let text = field.to_str().expect("ASCII");
        match form {
            ClientCertHeader::Rfc9440 => assert_eq!(text.trim_matches(' '), format!(":{BASE64}:")),
            // The hash of the certificate, and no other one before or after it.
            _ => {
                let hex: String = digest().as_ref().iter().map(|b| format!("{b:02x}")).collect();
                let text = text.to_ascii_lowercase();
                let (before, after) = text.split_once("hash=").expect("a digest");
                assert!(after.starts_with(&hex) && !after.contains("hash="), "{text}");
                assert!(!before.contains(','), "{text}");
                for longer in [format!("{text},hash=00"), format!("hash=00;uri={text}")] {
                    let longer = HeaderValue::from_str(&longer).expect("a header value");
                    assert!(!admits(auth, "127.0.0.1", name, &[&longer]), "another is there too");
                }
            }
        }
    }
});
