//! Fuzzes what a server that speaks stdio writes, and what is written to it: lines are the same in any chunks, and only
//! the numbers of requests change in a message.

#![no_main]
#![allow(dead_code, reason = "the modules of the gateway have more than is fuzzed")]

#[path = "../../crates/mcp-auth-gateway/src/stdio/framing.rs"]
mod framing;
#[path = "../../crates/mcp-auth-gateway/src/stdio/message.rs"]
mod message;

use framing::{Line, Lines, on_one_line};
use libfuzzer_sys::fuzz_target;
use message::{Kind, Message};
use serde_json::Value;

const PARTS: [&str; 7] = [
    "/id",
    "/params/progressToken",
    "/params/requestId",
    "/params/_meta/progressToken",
    "/params/_meta/io.modelcontextprotocol~1subscriptionId",
    "/result/_meta/io.modelcontextprotocol~1subscriptionId",
    "/error",
];

fn lines<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<Line> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for chunk in chunks {
        lines.buffer().extend_from_slice(chunk);
        while let Some(line) = lines.next() {
            found.push(line);
        }
    }
    found
}

fn check(line: &[u8]) {
    let Ok(message) = Message::parse(line) else { return };
    let id = match &message.kind {
        Kind::Request(id, _) | Kind::Response(id, _) => Some(id),
        Kind::Notification(_) => None,
    };
    let parts = [id, message.progress_token.as_ref(), message.cancels.as_ref(), message.subscription.as_ref()];
    let unchanged = message.with(&parts.map(|part| (part, part.map_or("", |part| message.get(part)))));
    assert_eq!(unchanged, line);
    let changed = message.with(&parts.map(|part| (part, "777")));
    let Ok(mut expected) = serde_json::from_slice::<Value>(line) else { return };
    let found: Value = serde_json::from_slice(&changed).expect("JSON");
    let mut number = 0;
    for part in PARTS {
        if found.pointer(part) != expected.pointer(part) {
            *expected.pointer_mut(part).expect("a part") = 777.into();
            number += 1;
        }
    }
    assert_eq!(expected, found);
    assert!(number <= parts.iter().flatten().count());
    assert!(Message::parse(&changed).is_ok(), "a message is one after it was changed");
}

fuzz_target!(|data: &[u8]| {
    let Some((sizes, stream)) = data.split_first_chunk::<4>() else { return };
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
    let found = lines(chunks);
    assert_eq!(found, lines([stream]), "in any chunks");
    for line in &found {
        if let Line::Whole(line) = line {
            assert!(!line.contains(&b'\n'));
            check(line);
        }
    }
    // What a client sends is put on one line, and means the same.
    let mut message = stream.to_vec();
    on_one_line(&mut message);
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    if let Some(value) = read(stream) {
        assert_eq!(read(&message), Some(value));
    }
    check(&message);
});
