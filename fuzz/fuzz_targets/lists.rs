//! Fuzzes filtered lists: no reader of the answer finds an item that the caller may not see.
//!
//! The first byte says whether the answer is JSON or a stream of events. The rest is the answer of the server.

#![no_main]

use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use libfuzzer_sys::fuzz_target;
use mcp_auth::{GuardedBody, ListItemKind, McpAuth};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tokio::runtime::{Builder, Runtime};
use tower_layer::Layer as _;
use tower_service::Service as _;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

static AUTH: LazyLock<McpAuth> = LazyLock::new(|| {
    McpAuth::builder("https://api.example.com/mcp")
        .authorization_server("https://auth.example.com")
        .optional()
        .list_only(|_, _: ListItemKind, name| !name.contains("admin"))
        .build()
        .expect("a description")
});

/// JSON in which each member counts, also one that comes twice.
enum Json {
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    String(String),
    Other,
}

impl Json {
    fn members<'j>(&'j self, name: &str) -> impl Iterator<Item = &'j Json> {
        let members = if let Self::Object(members) = self { &members[..] } else { &[] };
        members.iter().filter(move |(given, _)| given == name).map(|(_, value)| value)
    }

    fn elements(&self) -> &[Json] {
        if let Self::Array(elements) = self { elements } else { &[] }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }
}

/// Checks that no reader finds a forbidden item in a message.
fn check(message: &Json) {
    const LISTS: [(&str, &str); 5] = [
        ("tools", "name"),
        ("prompts", "name"),
        ("resources", "uri"),
        ("resourceTemplates", "uriTemplate"),
        ("skills", "uri"),
    ];
    let is_forbidden = |item: &Json, key| {
        item.members(key).any(|name| matches!(name, Json::String(name) if name.contains("admin")))
    };
    for result in message.members("result") {
        for (list, key) in LISTS {
            for item in result.members(list).flat_map(Json::elements) {
                assert!(!is_forbidden(item, key), "{list}");
                let files = item.members("resources").filter(|_| list == "skills");
                assert!(!files.flat_map(Json::elements).any(|file| is_forbidden(file, "uri")));
            }
        }
    }
}

/// What a client receives of an answer.
async fn through(content_type: &'static str, answer: &[u8]) -> Option<Bytes> {
    let mut inner = Response::new(Full::new(Bytes::copy_from_slice(answer)));
    inner.headers_mut().insert("content-type", content_type.parse().expect("a type"));
    let server = tower::service_fn(move |_: Request<GuardedBody<Full<Bytes>>>| {
        ready(Ok::<_, Infallible>(inner.clone()))
    });
    let request = Request::post("/mcp").body(Full::new(Bytes::new())).expect("a request");
    let answer = AUTH.bearer_auth().layer(server).call(request).await;
    let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
    let mut body = Box::pin(body);
    let mut whole = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        whole.extend(frame.into_data().unwrap_or_default());
    }
    (head.status == StatusCode::OK).then(|| whole.into())
}

fuzz_target!(|data: &[u8]| {
    let Some((first, answer)) = data.split_first() else { return };
    let content_type = if first & 1 == 0 { "application/json" } else { "text/event-stream" };
    let Some(shown) = RUNTIME.block_on(through(content_type, answer)) else { return };
    let text = String::from_utf8_lossy(&shown);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let messages: Vec<String> = if first & 1 == 0 {
        vec![text]
    } else {
        let data = |line: &str| {
            let data = line.strip_prefix("data:")?;
            Some(data.strip_prefix(' ').unwrap_or(data).to_owned())
        };
        text.split("\n\n").map(|event| event.lines().filter_map(data).collect::<Vec<_>>().join("\n")).collect()
    };
    for message in messages {
        match serde_json::from_str(&message) {
            Ok(Json::Array(messages)) => messages.iter().for_each(check),
            Ok(message) => check(&message),
            // Nested too deeply for serde_json, or an unpaired surrogate: there is nothing to compare with.
            Err(_) => _ = serde_json::from_str::<IgnoredAny>(&message),
        }
    }
});
