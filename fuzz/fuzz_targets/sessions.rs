//! Fuzzes session ids and event ids: the inner service sees only ids that it issued to the same caller, or ids that
//! the sender did not choose.

#![no_main]

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use mcp_auth::{GuardedBody, McpAuth};
use mcp_auth_fuzz::{infallible, now, protected};
use tower::{Layer as _, ServiceExt as _, service_fn};

const NAMES: [&str; 2] = ["mcp-session-id", "last-event-id"];

static AUTH: LazyLock<McpAuth> = LazyLock::new(|| protected(|builder| builder));

/// Sends these headers as a user. Returns what the inner service sees, and the response's session id if it issues
/// `issued`.
fn send(user: &str, sent: &HeaderMap, issued: Option<&HeaderValue>) -> (HeaderMap, Option<HeaderValue>) {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let (recorded, issued) = (seen.clone(), issued.cloned());
    let inner = service_fn(move |request: Request<GuardedBody<Full<Bytes>>>| {
        *recorded.lock().expect("it") = request.headers().clone();
        let mut response = Response::new(Full::<Bytes>::default());
        if let Some(id) = issued.clone() {
            response.headers_mut().insert(NAMES[0], id);
        }
        std::future::ready(Ok(response))
    });
    let mut request = Request::post("/mcp").body(Full::default()).expect("a request");
    *request.headers_mut() = sent.clone();
    let bearer = format!("Bearer {user}").parse().expect("a value");
    request.headers_mut().insert("authorization", bearer);
    let response = infallible(now(AUTH.bearer_auth().layer(inner).oneshot(request)));
    let id = response.headers().get(NAMES[0]).cloned();
    let seen = seen.lock().expect("it").clone();
    (seen, id)
}

fuzz_target!(|data: &[u8]| {
    let mut sent = HeaderMap::new();
    for (i, value) in data.split(|byte| *byte == b'\n').take(8).enumerate() {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            sent.append(NAMES[i % 2], value);
        }
    }
    let (seen, _) = send("alice", &sent, None);
    for value in sent.get_all(NAMES[0]) {
        let given = seen.get(NAMES[0]).expect("an id that is unknown");
        assert!(seen.get_all(NAMES[0]).iter().count() == 1 && given != value);
        assert!(given.len() == 36 && given.as_bytes().iter().all(|b| b.is_ascii_hexdigit() || *b == b'-'));
    }
    assert!(!seen.contains_key(NAMES[1]), "an event id that was not issued is removed");

    // An id of the inner service returns unchanged from its caller, and from nobody else.
    let Some(inner) = sent.get(NAMES[0]).filter(|id| !id.is_empty()).cloned() else { return };
    let signed = send("alice", &HeaderMap::new(), Some(&inner)).1.expect("a signed id");
    assert_ne!(signed, inner);
    let back: HeaderMap = [(NAMES[0].parse().expect("a name"), signed.clone())].into_iter().collect();
    assert_eq!(send("alice", &back, None).0.get(NAMES[0]), Some(&inner));
    assert_ne!(send("bob", &back, None).0.get(NAMES[0]), Some(&inner));
    // Nor after any change of one byte.
    let mut changed = signed.as_bytes().to_vec();
    let at = data.len() % changed.len();
    changed[at] ^= 1;
    if let Ok(changed) = HeaderValue::from_bytes(&changed) {
        let back: HeaderMap = [(NAMES[0].parse().expect("a name"), changed)].into_iter().collect();
        assert_ne!(send("alice", &back, None).0.get(NAMES[0]), Some(&inner));
    }
});
