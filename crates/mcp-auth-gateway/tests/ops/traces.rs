//! Spans, and the trace to which requests belong.

use serde_json::Value;

use crate::world::{OK, Upstream, World, call, exchange, header, status, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CAUSE: &str = "00f067aa0ba902b7";

fn file(upstream: &Upstream, top: &str) -> String {
    format!(
        "{top}\n{{issuer}}\n[[resources]]\nurl = \"http://127.0.0.1:{{port}}/files\"\nupstream = \"http://{}/mcp\"\nscopes = [\"read\"]\n[resources.tools]\n\"delete_*\" = [\"write\"]\n\"*\" = []\n",
        upstream.address
    )
}

/// The spans that a collector has received.
fn spans(collector: &Upstream) -> Vec<Value> {
    let body = |request: String| {
        let (_, body) = request.split_once("\r\n\r\n").expect("a head");
        serde_json::from_str::<Value>(body).expect("JSON")
    };
    let of = |export: Value| export["resourceSpans"][0]["scopeSpans"][0]["spans"].clone();
    let lists = collector.requests().into_iter().map(body).map(of);
    lists.filter_map(|spans| spans.as_array().cloned()).flatten().collect()
}

fn attribute<'s>(span: &'s Value, name: &str) -> Option<&'s str> {
    let all = span["attributes"].as_array()?;
    let value = &all.iter().find(|attribute| attribute["key"] == name)?["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_a_span_for_each_request_and_no_token() {
    let (upstream, collector) = (Upstream::answering(OK).await, Upstream::answering(OK).await);
    let top = format!(
        "traces = {{ url = \"http://{}/v1/traces\", headers = {{ x-api-key = \"file:{{folder}}/key\" }} }}",
        collector.address
    );
    let folder = std::env::temp_dir().join(format!("mcp-auth-traces-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("key"), "of-the-collector\n").expect("written");
    let world = World::new("traces", &file(&upstream, &top)).await;
    let token = world.token("/files", "alice", &["read"]);
    let lines = |token: &str, more: &str| format!("Authorization: Bearer {token}\r\n{more}");
    let send = async |token: &str, more: &str, tool: &str| {
        status(&world.send(&world.post("/files", &lines(token, more), &call(tool))).await)
    };
    let parent = format!("traceparent: 00-{TRACE}-{CAUSE}-01\r\ntracestate: a=b\r\n");
    assert_eq!(send(&token, &parent, "list").await, 200);
    assert_eq!(
        send(&token, "traceparent: 00-x-y-01\r\ntracestate: a=b\r\n", "delete_all").await,
        403
    );
    let hidden = format!("traceparent: 00-{TRACE}-{CAUSE}-00\r\n");
    assert_eq!(send(&token, &hidden, "unsampled").await, 200);
    let forged = token.split('.').next().map(|head| format!("{head}.e30.e30")).expect("a head");
    assert_eq!(send(&forged, "Mcp-Name: secret\r\n", "secret").await, 401);

    let spans = until(async || Some(spans(&collector)).filter(|spans| spans.len() >= 3)).await;
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let by = |decision: &str| {
        let found = spans.iter().find(|it| attribute(it, "mcp_auth.decision") == Some(decision));
        found.unwrap_or_else(|| panic!("{decision}: {spans:#?}"))
    };

    let admitted = by("passed_on");
    assert_eq!((&admitted["traceId"], &admitted["parentSpanId"]), (&TRACE.into(), &CAUSE.into()));
    assert_eq!(
        (admitted["name"].as_str(), admitted["kind"].as_u64()),
        (Some("tools/call list"), Some(2))
    );
    for (name, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "list"),
        ("gen_ai.operation.name", "execute_tool"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("mcp_auth.resource", &*world.url("/files")),
    ] {
        assert_eq!(attribute(admitted, name), Some(value), "{name}");
    }
    let time = |name: &str| admitted[name].as_str().and_then(|it| it.parse::<u128>().ok());
    assert!(
        time("startTimeUnixNano") <= time("endTimeUnixNano") && time("endTimeUnixNano").is_some()
    );
    // The server is told which span has caused its request.
    let told = format!("00-{TRACE}-{}-01", admitted["spanId"].as_str().expect("an id"));
    let received = upstream.requests();
    assert_eq!(header(&received[0], "traceparent"), Some(&*told));
    assert_eq!(header(&received[0], "tracestate"), Some("a=b"));
    let as_sent = format!("00-{TRACE}-{CAUSE}-00");
    assert_eq!(header(&received[1], "traceparent"), Some(&*as_sent), "a trace that is not sampled");

    let refused = by("insufficient_scope");
    assert_eq!(attribute(refused, "error.type"), Some("insufficient_scope"));
    assert_eq!(attribute(refused, "gen_ai.tool.name"), Some("delete_all"));
    assert_eq!(attribute(refused, "http.response.status_code"), Some("403"));
    assert!(refused.get("parentSpanId").is_none(), "its `traceparent` is not valid");

    let stranger =
        spans.iter().find(|it| attribute(it, "http.response.status_code") == Some("401"));
    let stranger = stranger.expect("a span");
    assert_eq!(stranger["name"], "POST", "who has no token writes nothing");
    for request in collector.requests() {
        assert_eq!(header(&request, "x-api-key"), Some("of-the-collector"));
        assert!(
            !request.contains(&token) && !request.contains(&forged) && !request.contains("secret")
        );
        assert!(!request.contains("alice"), "who called is in the audit log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_keeps_nobody_waiting_and_what_is_lost_is_counted() {
    let upstream = Upstream::answering(OK).await;
    let down = Upstream::answering(OK).await.end().await;
    let top = format!("traces = {{ url = \"http://{down}/v1/traces\" }}");
    let world = World::new("traces-down", &file(&upstream, &top)).await;
    let token = world.token("/files", "alice", &["read"]);
    for _ in 0..20 {
        assert_eq!(status(&world.call("/files", &token, "list").await), 200);
    }
    let metrics = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", world.admin);
    let lost = until(async || {
        let text = exchange(world.admin, &metrics).await?;
        let mut lines = text.lines();
        let line =
            lines.find_map(|it| it.strip_prefix("mcp_auth_gateway_spans_total{outcome=\"lost\"} "));
        line?.parse::<u64>().ok().filter(|lost| *lost > 0)
    });
    assert!(lost.await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_passes_without_a_collector_if_it_is_valid() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new("untraced", &file(&upstream, "")).await;
    let token = world.token("/files", "alice", &["read"]);
    let valid = format!("00-{TRACE}-{CAUSE}-01");
    for (value, expected) in [(&*valid, Some(&*valid)), ("00-1-2-01", None), ("x", None)] {
        let lines =
            format!("Authorization: Bearer {token}\r\ntraceparent: {value}\r\ntracestate: a=b\r\n");
        assert_eq!(status(&world.send(&world.post("/files", &lines, &call("list"))).await), 200);
        let received = upstream.requests().pop().expect("a request");
        assert_eq!(header(&received, "traceparent"), expected, "{value}");
        assert_eq!(header(&received, "tracestate").is_some(), expected.is_some(), "{value}");
    }
}
