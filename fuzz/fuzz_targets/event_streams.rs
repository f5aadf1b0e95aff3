//! Fuzzes event streams: whatever their chunks are, only event ids change, no event id of the inner service is sent, and
//! a list shows nothing that is hidden.

#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use libfuzzer_sys::fuzz_target;
use mcp_auth::{GuardedBody, McpAuth};
use mcp_auth_fuzz::{infallible, now, protected};
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};

static AUTH: LazyLock<McpAuth> = LazyLock::new(|| protected(|builder| builder));
static FILTERED: LazyLock<McpAuth> = LazyLock::new(|| {
    protected(|builder| builder.list_only(|_, _, name| !name.contains("hidden")))
});

/// What a client receives of a stream of these chunks.
fn received(auth: &McpAuth, chunks: &[&[u8]]) -> Vec<u8> {
    let chunks: Vec<_> = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect();
    let inner = service_fn(move |_: Request<GuardedBody<Full<Bytes>>>| {
        let frames = chunks.clone().into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
        let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
        response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
        std::future::ready(Ok(response))
    });
    let mut request = Request::get("/mcp").body(Full::default()).expect("a request");
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer alice"));
    let response = infallible(now(auth.bearer_auth().layer(inner).oneshot(request)));
    infallible(now(response.into_body().collect())).to_bytes().to_vec()
}

/// The lines of a stream, without their ends.
fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let stream = stream.strip_prefix("\u{feff}".as_bytes()).unwrap_or(stream);
    let mut lines = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        lines.push(&rest[..end]);
        let skip = match &rest[end..] {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        rest = &rest[end + skip..];
    }
    lines
}

fn is_id(line: &[u8]) -> bool {
    line == b"id" || line.starts_with(b"id:")
}

/// The value of a field. One space after the colon is not part of it.
fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest {
        [] => Some(rest),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// Whether a reader of this stream sees an item of a list whose name contains `hidden`.
fn shows_hidden(stream: &[u8]) -> bool {
    let mut data: Vec<u8> = Vec::new();
    for line in lines(stream).into_iter().chain([&b""[..]]) {
        if let Some(more) = value(line, b"data") {
            data.extend(more);
            data.push(b'\n');
        } else if line.is_empty() {
            let messages = match serde_json::from_slice::<Value>(&std::mem::take(&mut data)) {
                Ok(Value::Array(batch)) => batch,
                Ok(message) => vec![message],
                Err(_) => continue,
            };
            for message in messages {
                for (list, key) in
                    [("tools", "name"), ("prompts", "name"), ("resources", "uri"), ("resourceTemplates", "uriTemplate")]
                {
                    let items = message["result"][list].as_array().cloned().unwrap_or_default();
                    if items.iter().any(|item| item[key].as_str().is_some_and(|name| name.contains("hidden"))) {
                        return true;
                    }
                }
            }
        }
    }
    false
}

fuzz_target!(|data: &[u8]| {
    let Some((sizes, stream)) = data.split_first_chunk::<8>() else { return };
    let mut chunks = Vec::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(rest.len().min(1 + usize::from(*size)));
        chunks.push(chunk);
        rest = after;
    }
    let passed = received(&AUTH, &chunks);
    assert_eq!(passed, received(&AUTH, &[stream]), "in any chunks");
    let not_ids = |stream| lines(stream).into_iter().filter(|line| !is_id(line) && *line != b":").map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(not_ids(&passed), not_ids(stream));
    for id in lines(&passed).into_iter().filter_map(|line| value(line, b"id")) {
        assert!(id.is_empty() || id.contains(&b'.'), "an id without a signature");
    }
    assert!(!shows_hidden(&received(&FILTERED, &chunks)));
});
