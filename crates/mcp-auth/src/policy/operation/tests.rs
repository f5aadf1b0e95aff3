//! Tests of how messages are read, and which are refused.

use http::{HeaderMap, HeaderValue, Method};

use super::Operation;
use crate::model::denial::Denial;
use crate::model::denial::DenialKind;
use crate::model::error_codes::BadMessage;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

fn read(fields: &[(&'static str, &str)], body: &[u8]) -> Result<String, Denial> {
    Operation::read(&Method::POST, &headers(fields), body).map(|operation| operation.to_string())
}

fn why(outcome: Result<String, Denial>) -> Result<String, BadMessage> {
    outcome.map_err(|denial| match denial.kind() {
        DenialKind::BadMessage(why) => *why,
        other => panic!("{other:?}"),
    })
}

fn message(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

#[test]
fn operations_are_parsed() {
    let rows = [
        (
            "tools/call",
            r#"{"name":"add","arguments":{"name":"x","method":1,"a":[{}]}}"#,
            "tools/call add",
        ),
        ("tools\\/call", r#"{"n\u0061me":"admin\u005fx"}"#, "tools/call admin_x"),
        ("prompts/get", r#"{"name":"p"}"#, "prompts/get p"),
        ("resources/read", r#"{"uri":"a://b"}"#, "resources/read a://b"),
        ("resources/subscribe", r#"{"uri":"a://b"}"#, "resources/subscribe a://b"),
        ("resources/unsubscribe", r#"{"uri":"a://b"}"#, "resources/unsubscribe a://b"),
        (
            "subscriptions/listen",
            r#"{"notifications":{"resourceSubscriptions":["a:b","c:d"],"toolsListChanged":true}}"#,
            "subscriptions/listen a:b c:d",
        ),
        ("subscriptions/listen", r#"{"notifications":{}}"#, "subscriptions/listen"),
        ("subscriptions/listen", "{}", "subscriptions/listen"),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}}"#,
            "completion/complete p",
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","uri":"n://{x}"}}"#,
            "completion/complete n://{x}",
        ),
        ("tasks/get", r#"{"taskId":"t"}"#, "tasks/get t"),
        ("tasks/result", r#"{"taskId":"t"}"#, "tasks/result t"),
        ("tasks/list", "{}", "tasks/list"),
        ("tools/list", r#"{"cursor":"2"}"#, "tools/list"),
        ("tools/list", "null", "tools/list"),
        ("server/discover", "{}", "server/discover"),
        ("initialize", r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#, "initialize"),
        ("vendor/method", r#"{"name":"x"}"#, "vendor/method x"),
        (
            "vendor/method",
            r#"{"uri":"a:b","names":["x",5],"uris":["c:d"],"ref":{"name":"y","uri":"e:f"},"notifications":{"resourceSubscriptions":["g:h"]}}"#,
            "vendor/method g:h a:b x c:d y e:f",
        ),
        (
            "vendor/method",
            r#"{"name":5,"uri":null,"names":"x","uris":{},"ref":"main","notifications":true}"#,
            "vendor/method main main",
        ),
        ("tools/call", r#"{"name":"x","uri":"a:b"}"#, "tools/call x a:b"),
        ("skills/get", r#"{"uri":"a:b"}"#, "skills/get a:b"),
        ("skills/list", "{}", "skills/list"),
        ("resources/directory/read", r#"{"uri":"a:b"}"#, "resources/directory/read a:b"),
        ("notifications/cancelled", r#"{"requestId":1}"#, "notifications/cancelled"),
    ];
    for (method, params, asked) in rows {
        let body = message(method, params);
        assert_eq!(why(read(&[], body.as_bytes())).as_deref(), Ok(asked), "{body}");
    }
    let others = [
        (r#"{"method":"ping"}"#, "ping"),
        (r#" {"params":{"name":"x"},"method":"tools/call"} "#, "tools/call x"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#, "an answer"),
        (r#"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":""}}"#, "an answer"),
        (
            r#"[{"method":"ping"},{"method":"tools/call","params":{"name":"x"}}]"#,
            "ping, tools/call x",
        ),
        (r#"{"method":"ping","unknown":1,"unknown":2}"#, "ping"),
    ];
    for (body, asked) in others {
        assert_eq!(why(read(&[], body.as_bytes())).as_deref(), Ok(asked), "{body}");
    }
    for method in [Method::GET, Method::DELETE, Method::HEAD, Method::PUT] {
        let nothing = Operation::read(&method, &HeaderMap::new(), b"").expect("nothing");
        assert!(nothing.calls().is_empty());
        let smuggled = Operation::read(&method, &HeaderMap::new(), br#"{"method":"ping"}"#);
        assert_eq!(smuggled.expect("a message").to_string(), "ping", "whatever the HTTP method");
    }
}

#[test]
fn ambiguous_messages_are_refused() {
    use BadMessage::{Ambiguous, Batch, NotAMessage, NotJson, Target};
    let rows: &[(&[u8], BadMessage)] = &[
        (b"", NotJson),
        (b" ", NotJson),
        (b"{", NotJson),
        (b"\xef\xbb\xbf{\"method\":\"ping\"}", NotJson),
        (b"{\0\"\0m\0\"\0", NotJson),
        (b"\xfe\xff\0{", NotJson),
        (b"{\"method\":\"p\xffing\"}", NotJson),
        (b"{\"method\":\"ping\"}x", NotJson),
        (b"{\"method\":\"ping\"}{}", NotJson),
        (b"{\"method\":\"ping\"}\0", NotJson),
        (b"{\"method\":\"ping\",}", NotJson),
        (b"{'method':'ping'}", NotJson),
        (b"{\"method\":\"ping\"/**/}", NotJson),
        (b"{\"method\":\"ping\",\"params\":{\"a\":01}}", NotJson),
        (b"{\"method\":\"ping\",\"params\":{\"a\":NaN}}", NotJson),
        (b"{\"method\":\"p\ning\"}", NotJson),
        (b"\"ping\"", NotAMessage),
        (b"1", NotAMessage),
        (b"null", NotAMessage),
        (b"true", NotAMessage),
        (b"{}", NotAMessage),
        (b"[]", NotAMessage),
        (b"[1]", NotAMessage),
        (b"[[{\"method\":\"ping\"}]]", NotAMessage),
        (b"{\"id\":1}", NotAMessage),
        (b"{\"method\":1}", NotAMessage),
        (b"{\"method\":null}", NotAMessage),
        (b"{\"method\":\"\"}", NotAMessage),
        (b"{\"method\":\"ping\\u0000\"}", NotAMessage),
        (b"{\"method\":\"ping\",\"id\":{}}", NotAMessage),
        (b"{\"method\":\"ping\",\"id\":[1]}", NotAMessage),
        (b"{\"method\":\"ping\",\"id\":true}", NotAMessage),
        (b"{\"method\":\"ping\",\"result\":{}}", NotAMessage),
        (b"{\"method\":\"tools/call\",\"params\":[\"name\"]}", NotAMessage),
        (b"{\"method\":\"tools/call\",\"params\":\"x\"}", NotAMessage),
        (b"{\"method\":\"ping\",\"params\":{\"_meta\":1}}", NotAMessage),
        (b"{\"method\":\"ping\",\"method\":\"ping\"}", Ambiguous),
        (b"{\"method\":\"ping\",\"\\u006dethod\":\"tools/call\"}", Ambiguous),
        (b"{\"method\":\"ping\",\"Method\":\"tools/call\"}", Ambiguous),
        (b"{\"method\":\"ping\",\"METHOD\":\"tools/call\"}", Ambiguous),
        (b"{\"method\":\"ping\",\"method\\u0000\":\"tools/call\"}", Ambiguous),
        (b"{\"method\":\"ping\",\"x\\u0000\":1}", Ambiguous),
        ("{\"method\":\"ping\",\"param\u{17f}\":{}}".as_bytes(), Ambiguous),
        (b"{\"method\":\"ping\",\"id\":1,\"id\":2}", Ambiguous),
        (b"{\"method\":\"ping\",\"ID\":2}", Ambiguous),
        (b"{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"1.0\",\"method\":\"ping\"}", Ambiguous),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"},\"params\":{\"name\":\"b\"}}", Ambiguous),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"name\":\"b\"}}", Ambiguous),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"Name\":\"b\"}}", Ambiguous),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"\\u006eame\":\"b\"}}", Ambiguous),
        (b"{\"method\":\"resources/read\",\"params\":{\"uri\":\"a:b\",\"URI\":\"c:d\"}}", Ambiguous),
        (b"{\"method\":\"tasks/get\",\"params\":{\"taskId\":\"a\",\"task_id\":\"b\"}}", Ambiguous),
        ("{\"method\":\"tasks/get\",\"params\":{\"taskId\":\"a\",\"tas\u{212a}Id\":\"b\"}}".as_bytes(), Ambiguous),
        (b"{\"method\":\"ping\",\"params\":{\"_meta\":{},\"_META\":{}}}", Ambiguous),
        (b"{\"method\":\"ping\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"a\",\"io.modelcontextprotocol/protocolVersion\":\"b\"}}}", Ambiguous),
        (b"{\"$serde_json::private::RawValue\":\"{}\"}", Ambiguous),
        (b"{\"method\":\"subscriptions/listen\",\"params\":{\"notifications\":{\"\\u0024serde_json::private::RawValue\":\"{}\"}}}", Ambiguous),
        (b"{\"method\":\"Tools/Call\",\"params\":{\"name\":\"a\"}}", Ambiguous),
        (b"{\"method\":\"tools/call\"}", Target),
        (b"{\"method\":\"tools/call\",\"params\":{}}", Target),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":1}}", Target),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":\"\"}}", Target),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":[\"a\"]}}", Target),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\\u0000b\"}}", Target),
        (b"{\"method\":\"tools/call\",\"params\":{\"name\":\"\\ud800\"}}", Target),
        (b"{\"method\":\"resources/read\",\"params\":{\"name\":\"a\"}}", Target),
        (b"{\"method\":\"completion/complete\",\"params\":{}}", Target),
        (b"{\"method\":\"completion/complete\",\"params\":{\"ref\":{\"type\":\"ref/tool\",\"name\":\"a\"}}}", Target),
        (b"{\"method\":\"completion/complete\",\"params\":{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"a\",\"Name\":\"b\"}}}", Ambiguous),
        (b"{\"method\":\"subscriptions/listen\",\"params\":{\"notifications\":{\"resourceSubscriptions\":\"a:b\"}}}", Target),
        (b"{\"method\":\"subscriptions/listen\",\"params\":{\"notifications\":{\"resourceSubscriptions\":[1]}}}", Target),
        (b"{\"method\":\"subscriptions/listen\",\"params\":{\"notifications\":{\"resourceSubscriptions\":[],\"resourcesubscriptions\":[]}}}", Ambiguous),
    ];
    for (body, expected) in rows {
        assert_eq!(why(read(&[], body)), Err(*expected), "{}", String::from_utf8_lossy(body));
    }
    let batch = format!("[{}]", [r#"{"method":"ping"}"#; 65].join(","));
    assert_eq!(why(read(&[], batch.as_bytes())), Err(Batch));
    let long_name = message("tools/call", &format!(r#"{{"name":"{}"}}"#, "a".repeat(8193)));
    assert_eq!(why(read(&[], long_name.as_bytes())), Err(Target));
    let deep = message(
        "tools/call",
        &format!(r#"{{"name":"a","arguments":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000)),
    );
    assert_eq!(why(read(&[], deep.as_bytes())).as_deref(), Ok("tools/call a"));
}

type Fields<'f> = &'f [(&'static str, &'f str)];

const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const NEW: &str = "2026-07-28";
const OLD: &str = "2025-11-25";

#[test]
fn mcp_headers_must_match_the_body() {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let call = message("tools/call", &format!(r#"{{"name":"héllo",{meta}}}"#));
    let plain = message("tools/call", r#"{"name":"héllo"}"#);
    let list = message("tools/list", &format!("{{{meta}}}"));
    let initialize = message("initialize", "{}");
    let notification = r#"{"method":"notifications/cancelled"}"#.to_owned();
    let hello = "=?base64?aMOpbGxv?=";
    let rows: &[(Fields<'_>, &str, bool)] = &[
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, hello)], &call, true),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, hello)], &plain, true),
        (&[(VERSION, "2027-01-01"), (METHOD, "tools/call"), (NAME, hello)], &plain, true),
        (&[(VERSION, NEW), (METHOD, "tools/call")], &call, false),
        (&[(VERSION, NEW), (NAME, hello)], &call, false),
        (&[(VERSION, NEW)], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/list"), (NAME, hello)], &call, false),
        (&[(VERSION, NEW), (METHOD, "Tools/call"), (NAME, hello)], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, "hello")], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, "=?base64?aMOpbGxv")], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, "=?BASE64?aMOpbGxv?=")], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, "=?base64?aMOpbGx?=")], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, "=?base64?aMO!!!xv?=")], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, "=?base64?/w==?=")], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, "h\u{e9}llo")], &call, false),
        (&[(VERSION, NEW), (METHOD, "tools/call"), (NAME, hello), (NAME, hello)], &call, false),
        (
            &[(VERSION, NEW), (METHOD, "tools/call"), (METHOD, "tools/call"), (NAME, hello)],
            &call,
            false,
        ),
        (&[(VERSION, NEW), (VERSION, NEW), (METHOD, "tools/call"), (NAME, hello)], &call, false),
        (
            &[
                (VERSION, NEW),
                (METHOD, "tools/call"),
                (NAME, hello),
                ("mcp-param-a", "1"),
                ("mcp-param-a", "1"),
            ],
            &call,
            false,
        ),
        (&[(VERSION, "2027-01-01"), (METHOD, "tools/call"), (NAME, hello)], &call, false),
        (&[], &call, false),
        (&[(VERSION, OLD)], &call, false),
        (&[(VERSION, OLD), (METHOD, "tools/list"), (NAME, "lie")], &plain, true),
        (&[(METHOD, "tools/list"), (NAME, "lie")], &plain, true),
        (&[(VERSION, OLD), (METHOD, "tools/list"), (METHOD, "tools/call")], &plain, false),
        (&[("mcp-session-id", "a"), ("mcp-session-id", "b")], &plain, false),
        (&[("x-other", "a"), ("x-other", "b")], &plain, true),
        (&[(VERSION, NEW), (METHOD, "tools/list")], &list, true),
        (&[(VERSION, NEW), (METHOD, "tools/list"), (NAME, "ignored")], &list, true),
        (&[(VERSION, NEW)], &initialize, true),
        (&[(VERSION, NEW), (METHOD, "initialize")], &initialize, true),
        (&[(VERSION, NEW), (METHOD, "tools/call")], &initialize, false),
        (&[(VERSION, NEW)], &notification, true),
        (&[(VERSION, NEW), (METHOD, "notifications/initialized")], &notification, false),
    ];
    for (fields, body, fine) in rows {
        let expected = if *fine { Ok(()) } else { Err(BadMessage::HeaderMismatch) };
        assert_eq!(why(read(fields, body.as_bytes())).map(drop), expected, "{fields:?} {body}");
    }
}

#[test]
fn a_mismatch_says_which_header_and_what_is_wrong_with_it() {
    let call = message("tools/call", r#"{"name":"hello"}"#);
    let versioned = message(
        "tools/call",
        r#"{"name":"hello","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
    );
    let (new, method, name) = ((VERSION, NEW), (METHOD, "tools/call"), (NAME, "hello"));
    /// Headers, a body, and what is wrong.
    type Row<'t> = (&'t [(&'static str, &'t str)], &'t str, &'t str);
    let rows: &[Row<'_>] = &[
        (&[new, method], &call, "Mcp-Name is missing"),
        (&[new, name], &call, "Mcp-Method is missing"),
        (&[method, name], &versioned, "MCP-Protocol-Version is missing"),
        (
            &[(VERSION, "2027-01-01"), method, name],
            &versioned,
            "MCP-Protocol-Version differs from the body",
        ),
        (&[new, (METHOD, "tools/list"), name], &call, "Mcp-Method differs from the body"),
        (&[new, method, (NAME, "bye")], &call, "Mcp-Name differs from the body"),
        (&[new, method, (NAME, "=?base64?!?=")], &call, "Mcp-Name is not valid base64"),
        (&[new, method, (NAME, "h\u{e9}llo")], &call, "Mcp-Name has bytes beyond ASCII"),
        (&[new, (METHOD, "\u{e9}"), name], &call, "Mcp-Method has bytes beyond ASCII"),
        (
            &[(VERSION, "\u{e9}"), method, name],
            &call,
            "MCP-Protocol-Version has bytes beyond ASCII",
        ),
        (&[new, method, name, name], &call, "Mcp-Name comes twice"),
        (&[new, method, method, name], &call, "Mcp-Method comes twice"),
        (&[new, new, method, name], &call, "MCP-Protocol-Version comes twice"),
        (
            &[new, method, name, ("mcp-param-forged", "1"), ("mcp-param-forged", "2")],
            &call,
            "a header that begins with Mcp- comes twice",
        ),
    ];
    for (fields, body, what) in rows {
        let denial = read(fields, body.as_bytes()).expect_err(what);
        let told = denial.client_message().map(str::to_owned);
        assert_eq!(told, Some(format!("Header mismatch: {what}")), "{fields:?}");
        let detail = format!("{what}: the client, or a proxy on the way, is at fault");
        assert_eq!(denial.operator_detail(), Some(&*detail), "{fields:?}");
        assert_eq!(denial.request_id(), Some("1"), "{fields:?}");
    }
}

#[test]
fn batches_are_refused_from_2025_06_18_on() {
    let batch = br#"[{"method":"ping"}]"#;
    for (version, fine) in [
        ("2025-03-26", true),
        ("2024-11-05", true),
        ("2025-06-18", false),
        (OLD, false),
        (NEW, false),
    ] {
        let expected = if fine { Ok(()) } else { Err(BadMessage::Batch) };
        assert_eq!(why(read(&[(VERSION, version)], batch)).map(drop), expected, "{version}");
    }
}

#[test]
fn the_request_id_is_returned_if_it_is_valid() {
    let rows = [
        (r#"{"id":7,"method":"Tools/call"}"#, Some("7")),
        (r#"{"id":7,"method":"tools/call","params":{"name":"a","_meta":[]}}"#, Some("7")),
        (
            r#"{"params":{"_meta":{"a":{},"__proto__":1},"name":"a"},"method":"tools/call","id":7}"#,
            Some("7"),
        ),
        (
            r#"{"id":7,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}"#,
            Some("7"),
        ),
        (r#"{"id":"a\"b","method":"Tools/call"}"#, Some(r#""a\"b""#)),
        (r#"{"id":-1.5e3,"method":"Tools/call"}"#, Some("-1.5e3")),
        (r#"{"id":null,"method":"Tools/call"}"#, None),
        (r#"{"id":{"a":1},"method":"ping"}"#, None),
        (r#"[{"id":7,"method":"Tools/call"}]"#, None),
    ];
    for (body, id) in rows {
        let denial = read(&[], body.as_bytes()).expect_err(body);
        assert_eq!(denial.request_id(), id, "{body}");
    }
    let long = format!(r#"{{"id":"{}","method":"ping"}}"#, "a".repeat(300));
    assert_eq!(read(&[], long.as_bytes()).expect_err("too long").request_id(), None);
}

#[test]
fn a_removed_method_without_a_uri_is_left_to_the_server() {
    let body = r#"{"id":1,"method":"resources/subscribe","params":{"_meta":{}}}"#;
    let speaking = |version| {
        let fields = [("mcp-protocol-version", version), ("mcp-method", "resources/subscribe")];
        why(read(&fields, body.as_bytes()))
    };
    assert_eq!(speaking("2026-07-28").as_deref(), Ok("resources/subscribe"));
    assert_eq!(speaking("2025-11-25"), Err(BadMessage::Target));
    let (method, uri) = ("resources/unsubscribe", r#"{"uri":"a://b"}"#);
    let fields =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method), ("mcp-name", "a://b")];
    let asked = why(read(&fields, message(method, uri).as_bytes()));
    assert_eq!(asked.as_deref(), Ok("resources/unsubscribe a://b"), "one with its URI is judged");
}
