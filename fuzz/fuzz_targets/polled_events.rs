//! Fuzzes the answers of transmitters of security events.
//!
//! Nothing panics and nothing is revoked. Another parser finds in the answer what the next request reports.

#![no_main]

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use mcp_auth::jwt::KeySet;
use mcp_auth::{AuthorizationServer, BoxFuture, EventPoll, Fetch, FetchError, Limits, McpAuth};
use serde_json::Value;

/// The key of RFC 8037 A.1.
const JWKS: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static AUTH: LazyLock<McpAuth> = LazyLock::new(|| {
    let keys = KeySet::parse(JWKS).expect("a key set");
    McpAuth::builder("https://api.example.com/mcp")
        .authorization_server(AuthorizationServer::with_keys("https://auth.example.com", keys))
        .build()
        .expect("a description")
});

/// Answers only the first request. Records the bodies of all requests.
#[derive(Clone, Default)]
struct Once {
    answer: Vec<u8>,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Fetch for Once {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let mut asked = self.asked.lock().expect("a list");
        asked.push(request.into_body().to_vec());
        let is_first = asked.len() == 1;
        Box::pin(async move {
            if is_first {
                Ok(Response::new(self.answer.clone().into()))
            } else {
                std::future::pending().await
            }
        })
    }
}

fuzz_target!(|data: &[u8]| {
    let transmitter = Once { answer: data.to_vec(), ..Once::default() };
    let events =
        EventPoll::at("https://auth.example.com/poll", ["client"]).fetch(transmitter.clone());
    let polling = AUTH.poll_security_events(events).expect("a description");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        assert!(tokio::time::timeout(Duration::from_secs(11), polling).await.is_err(), "it ends");
    });
    assert!(AUTH.revocations().is_empty(), "nothing here is signed");

    let asked = transmitter.asked.lock().expect("a list");
    let told: Value = serde_json::from_slice(&asked[1]).expect("JSON");
    assert!(asked.len() == 2 && told.get("ack").is_none());
    let Some(faults) = told.get("setErrs") else { return };
    let faults = faults.as_object().expect("an object");
    assert!((1..=50).contains(&faults.len()));
    // Nested too deeply for serde_json, or an unpaired surrogate: there is nothing to compare with.
    let Ok(said) = serde_json::from_slice::<Value>(data) else { return };
    let sets = said["sets"].as_object().expect("an object");
    assert!(faults.keys().all(|jti| sets.contains_key(jti)), "{told}");
});
