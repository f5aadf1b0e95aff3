//! Requests for a resource that arrive at another path: each kind is one line, that says what to change.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use mcp_auth::{AuthInfo, ConfigError, McpAuth};
use mcp_auth_testkit::TestIssuer;
use tower::{Service as _, ServiceExt as _};
use tracing::Level;

use crate::logs::Log;

fn resource(url: &str) -> McpAuth {
    TestIssuer::new().protects(url).build().expect("a description")
}

fn router(auth: &McpAuth) -> Router {
    auth.protect(get(|_: AuthInfo| async { "hello" }))
}

fn post(path: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::empty()).expect("a request")
}

async fn status(app: &Router, request: Request<Body>) -> u16 {
    app.clone().oneshot(request).await.expect("an answer").status().as_u16()
}

const REMOVED: &str = "the beginning of the path is missing";
const ADDED: &str = "the path has more than that of the resource";
const OTHER: &str = "no resource is at this path";

#[tokio::test]
async fn a_request_at_another_path_is_one_line_that_says_what_differs() {
    const METADATA: &str = "/.well-known/oauth-protected-resource";
    for (url, arrived, line) in [
        ("/files/mcp", "/mcp".to_owned(), REMOVED),
        ("/files/mcp", "/".to_owned(), REMOVED),
        ("/files", "/".to_owned(), REMOVED),
        ("/mcp", "/api/mcp".to_owned(), ADDED),
        ("/mcp", "/api/mcp/".to_owned(), ADDED),
        ("/mcp", "/sse".to_owned(), OTHER),
        ("/mcp", "/xmcp".to_owned(), OTHER),
        ("/files/mcp", "/les/mcp".to_owned(), OTHER),
        ("/mcp", format!("{METADATA}/sse"), OTHER),
        ("/mcp", format!("/api{METADATA}/mcp"), ADDED),
        ("/mcp", "/a=\"b\"".to_owned(), OTHER),
    ] {
        let (log, _guard) = Log::at(Level::INFO);
        let auth = resource(&format!("https://api.example.com{url}"));
        let app = router(&auth);
        let before = log.text().lines().count();
        for _ in 0..5 {
            assert_eq!(status(&app, post(&arrived)).await, 404, "{url} {arrived}");
        }
        let text = log.text();
        assert_eq!(text.lines().count(), before + 1, "{url} {arrived}: {text}");
        assert!(text.contains(line), "{url} {arrived}: {text}");
        assert_eq!(text.contains("WARN"), line == REMOVED, "{text}");
        assert!(text.contains("arrived=") && text.contains("expected="), "{text}");
        assert!(!text.contains("a=\"b"), "{text}");
    }
}

#[tokio::test]
async fn other_requests_are_no_line_and_hold_none_back() {
    let (log, _guard) = Log::at(Level::INFO);
    let app = router(&resource("https://api.example.com/files/mcp"));
    let before = log.text().lines().count();
    for path in ["/", "/favicon.ico", "/mcp", "/wp-admin", "/.well-known/openid-configuration"] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        assert_eq!(status(&app, request).await, 404, "{path}");
    }
    assert_eq!(log.text().lines().count(), before, "{}", log.text());
    for path in ["/x", "/y/files/mcp", "/mcp"] {
        assert_eq!(status(&app, post(path)).await, 404);
    }
    let text = log.text();
    assert!([REMOVED, ADDED, OTHER].iter().all(|line| text.contains(line)), "{text}");
    let listening = Request::get("/mcp").header("accept", "text/event-stream").body(Body::empty());
    assert_eq!(status(&app, listening.expect("a request")).await, 404);
    assert_eq!(log.text().lines().count(), before + 3);
}

#[tokio::test]
async fn the_line_changes_no_router() {
    let (notes, mail) = (resource("https://a.example/notes"), resource("https://a.example/mail"));
    let (log, _guard) = Log::at(Level::INFO);
    let merged = router(&notes).merge(router(&mail));
    assert_eq!(status(&merged, post("/x")).await, 404);
    assert!(log.text().contains(OTHER), "{}", log.text());
    let own = || Router::new().route("/health", get(|| async { "ok" }));
    let health = || Request::get("/health").body(Body::empty()).expect("a request");
    let fallback = || async { (http::StatusCode::IM_A_TEAPOT, "own") };
    for app in [
        own().merge(router(&notes)),
        router(&notes).merge(own()),
        router(&notes).merge(own()).fallback(fallback),
        own().fallback(fallback).merge(router(&notes)),
        router(&notes).merge(own().fallback(fallback)),
    ] {
        assert_eq!(status(&app, health()).await, 200);
        assert!([404, 418].contains(&status(&app, post("/x")).await));
        assert_eq!(status(&app, post("/notes")).await, 401);
    }
    let app = router(&notes).merge(own().fallback(fallback));
    assert_eq!(status(&app, post("/x")).await, 418);
}

#[tokio::test]
async fn the_metadata_service_and_routers_of_ones_own_say_so_too() {
    let auths = ["https://a.example/files/notes", "https://a.example/mail"].map(resource);
    let (log, _guard) = Log::at(Level::INFO);
    let mut service = auths[0].metadata_service();
    let response = service.call(post("/notes")).await.expect("an answer");
    assert_eq!(response.status(), 404);
    assert!(log.text().contains("expected=\"/files/notes\""), "{}", log.text());
    let (parts, _) = post("/x/mail").into_parts();
    McpAuth::report_unknown_path(&auths, &parts);
    let text = log.text();
    assert!(text.contains("expected=\"/mail\"") && text.contains(ADDED), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    McpAuth::report_unknown_path([], &parts);
}

#[test]
fn resources_with_the_same_path_cannot_share_a_router() {
    for (first, second, is_shared) in [
        ("https://a.example/mcp", "https://b.example/mcp", true),
        ("https://a.example/mcp", "https://a.example/mcp/", true),
        ("https://a.example", "https://b.example/", true),
        ("https://a.example/mcp", "https://b.example/notes", false),
        ("https://a.example/mcp", "https://a.example/mcp/v2", false),
    ] {
        let resources = [first, second].map(resource);
        let error = McpAuth::check_paths(&resources).err();
        let expected = ConfigError::SamePath { first: first.into(), second: second.into() };
        assert_eq!(error, is_shared.then_some(expected), "{first} {second}");
        if !is_shared {
            let _ = router(&resources[0]).merge(router(&resources[1]));
        }
    }
}
