//! Requests to leave HTTP: rules for operations could not see what follows.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{Denial, GuardedBody, McpAuth, Rule, ToolScopes};
use mcp_auth_testkit::TestIssuer;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::world::{RESOURCE, bearer, request};

/// The answer to a request with these headers. The server switches protocols if it is asked to.
async fn answer(auth: &McpAuth, method: Method, headers: HeaderMap) -> Response<String> {
    let server = service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async move {
        let of_connection = ["connection", "http2-settings", "upgrade"];
        let kept = of_connection.map(|name| request.headers().get(name).is_some());
        let mut response = Response::new(Full::<Bytes>::from(format!("{kept:?}")));
        if request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE) {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        Ok::<_, Infallible>(response)
    });
    let mut request = request(headers).map(|_| Full::from(r#"{"method":"ping"}"#));
    *request.method_mut() = method;
    let answer = auth.bearer_auth().layer(server).oneshot(request).await;
    let (parts, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
    let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    Response::from_parts(parts, String::from_utf8_lossy(&body).into_owned())
}

fn with(mut headers: HeaderMap, upgrade: &'static str) -> HeaderMap {
    headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade, HTTP2-Settings"));
    headers.insert(
        "http2-settings",
        HeaderValue::from_static("AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
    );
    headers
}

#[tokio::test]
async fn nothing_leaves_http_where_operations_have_rules() {
    let issuer = TestIssuer::new();
    let rules = || ToolScopes::new().tool("*", Rule::never());
    let ruled = issuer.protects(RESOURCE).tools(rules()).build().expect("a description");
    let optional = issuer.protects(RESOURCE).optional().tools(rules()).build().expect("one");
    let token = bearer(&issuer.token().sign());
    let anonymous = HeaderMap::new();
    for (auth, headers, expected) in [
        (&ruled, &token, 400),
        (&ruled, &anonymous, 401),
        (&optional, &token, 400),
        (&optional, &anonymous, 400),
    ] {
        for upgrade in
            ["websocket", "WebSocket", "h2c, websocket", "TLS/1.2, mcp", "TLS/1.3", "mcp"]
        {
            for method in [Method::GET, Method::POST] {
                let answer = answer(auth, method, with(headers.clone(), upgrade)).await;
                assert_eq!(answer.status(), expected, "{upgrade}");
                if expected == 400 {
                    let denial = answer.extensions().get::<Denial>().expect("a denial");
                    assert_eq!(denial.code(), "upgrade");
                    let detail = denial.operator_detail().expect("a detail");
                    assert!(detail.contains("could not see the messages"), "{detail}");
                }
            }
        }
        let connect = answer(auth, Method::CONNECT, headers.clone()).await;
        assert_eq!(connect.status(), expected);
    }
}

#[tokio::test]
async fn what_honest_clients_offer_is_removed_so_that_they_are_served() {
    let issuer = TestIssuer::new();
    let rules = ToolScopes::new().tool("*", Rule::never());
    let auth = issuer.protects(RESOURCE).optional().tools(rules).build().expect("a description");
    for headers in [bearer(&issuer.token().sign()), HeaderMap::new()] {
        for upgrade in ["h2c", "H2C", "", "TLS/1.2", "TLS/1.2, h2c", "h2c,"] {
            let answer = answer(&auth, Method::POST, with(headers.clone(), upgrade)).await;
            assert_eq!(
                (answer.status().as_u16(), &**answer.body()),
                (200, "[false, false, false]")
            );
        }
    }
    let kept = answer(
        &auth,
        Method::POST,
        [(CONNECTION, HeaderValue::from_static("close"))].into_iter().collect(),
    );
    assert_eq!(kept.await.body(), "[true, false, false]");
}

#[tokio::test]
async fn upgrades_pass_where_operations_have_no_rules() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let headers = bearer(&issuer.token().sign());
    assert!(headers.contains_key(AUTHORIZATION));
    for upgrade in ["websocket", "h2c"] {
        let answer = answer(&auth, Method::GET, with(headers.clone(), upgrade)).await;
        assert_eq!((answer.status().as_u16(), &**answer.body()), (101, "[true, true, true]"));
    }
    assert_eq!(answer(&auth, Method::CONNECT, headers).await.status(), 101);
}
