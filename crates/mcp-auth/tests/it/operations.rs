//! Rules for operations in front of a real rmcp server.
//!
//! A forbidden call never reaches a tool, however it is written, and is never a server error.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::stream;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{AuthContext as _, AuthInfo, Denial, McpAuth, Rule, ToolScopes, requires};
use mcp_auth_testkit::TestIssuer;
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    ErrorData, PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Role,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{
    RoleServer, ServerHandler, prompt, prompt_handler, prompt_router, tool, tool_handler,
    tool_router,
};
use tower::ServiceExt as _;

use crate::world::bearer;

const RESOURCE: &str = "http://localhost/mcp";

/// A server that counts the calls that reach it.
#[derive(Clone)]
struct Vault {
    reached: Arc<AtomicUsize>,
    tools: ToolRouter<Self>,
    prompts: PromptRouter<Self>,
}

#[derive(serde::Deserialize, rmcp::schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Draft {
    is_public: bool,
}

#[tool_router]
impl Vault {
    #[tool(description = "Needs nothing")]
    async fn note(&self) -> String {
        self.count("a note")
    }

    #[tool(description = "Needs admin", meta = requires(["admin"]))]
    async fn admin_x(&self) -> String {
        self.count("a secret")
    }

    #[tool(description = "Needs publish, if it is public")]
    async fn write(
        &self,
        auth: AuthInfo,
        Parameters(draft): Parameters<Draft>,
    ) -> Result<String, ErrorData> {
        if draft.is_public {
            auth.require(["publish"])?;
        }
        Ok(self.count("written"))
    }
}

#[prompt_router]
impl Vault {
    #[prompt(description = "Needs admin", meta = requires(["admin"]))]
    async fn speech(&self) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, self.count("a speech"))]
    }
}

#[tool_handler(router = self.tools)]
#[prompt_handler(router = self.prompts)]
impl ServerHandler for Vault {
    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri.ends_with("/inner") {
            context.require(["inner"])?;
        }
        self.count("a resource");
        Ok(ReadResourceResult::new(Vec::new()).into())
    }
}

impl Vault {
    fn count(&self, what: &str) -> String {
        self.reached.fetch_add(1, Ordering::SeqCst);
        what.to_owned()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Stateful,
    Stateless,
    Modern,
}

const MODES: [Mode; 3] = [Mode::Stateful, Mode::Stateless, Mode::Modern];

struct World {
    issuer: TestIssuer,
    app: Router,
    reached: Arc<AtomicUsize>,
    mode: Mode,
    session: Option<HeaderValue>,
}

/// The response: the status, the challenge, the body.
type Answer = (u16, Option<String>, String);

impl World {
    /// A server with rules, and a session of bob if the mode has sessions.
    async fn new(mode: Mode) -> Self {
        let issuer = TestIssuer::new();
        let reached = Arc::<AtomicUsize>::default();
        let (tools, prompts) = (Vault::tool_router(), Vault::prompt_router());
        let rules = ToolScopes::new()
            .declared_by_tools(&tools)
            .declared_by_prompts(&prompts)
            .tool("hidden", Rule::never())
            .resource("vault://{name}/*", ["admin"])
            .resource("vault://public/*", ["read"])
            .method("tasks/*", ["admin"]);
        let auth = issuer.protects(RESOURCE).required_scopes(["read"]).tools(rules).build();
        let auth: McpAuth = auth.expect("a description");
        let vault = Vault {
            reached: reached.clone(),
            tools: auth.guard_tools(tools),
            prompts: auth.guard_prompts(prompts),
        };
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(mode == Mode::Stateful)
            .with_json_response(mode == Mode::Stateless);
        let app = auth.protect_mcp(StreamableHttpService::new(
            move || Ok(vault.clone()),
            Arc::new(LocalSessionManager::default()),
            config,
        ));
        let mut world = Self { issuer, app, reached, mode, session: None };
        if mode == Mode::Stateful {
            let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
            let answer =
                world.app.clone().oneshot(world.post("read", initialize)).await.expect("an answer");
            world.session = answer.headers().get("mcp-session-id").cloned();
            assert!(world.session.is_some());
            world
                .send(
                    world.post("read", r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
                )
                .await;
        }
        world
    }

    /// A POST by bob, whose token grants these scopes.
    fn post(&self, scopes: &str, body: impl Into<Body>) -> Request<Body> {
        let token = self.issuer.token().subject("bob").scopes([scopes]).sign();
        let mut request = Request::post("/mcp").body(body.into()).expect("a request");
        *request.headers_mut() = bearer(&token);
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(session) = &self.session {
            headers.insert("mcp-session-id", session.clone());
        }
        request
    }

    /// A well-formed request of the mode's protocol revision, with matching headers.
    fn ask(&self, scopes: &str, method: &str, name: Option<&str>, params: &str) -> Request<Body> {
        let comma = if params.is_empty() { "" } else { "," };
        let meta = match self.mode {
            Mode::Modern => format!(
                r#"{comma}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"t","version":"1"}}}}"#
            ),
            _ => String::new(),
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}{meta}}}}}"#
        );
        let mut request = self.post(scopes, body);
        if self.mode == Mode::Modern {
            let fields = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
            for (field, value) in fields.into_iter().chain(name.map(|name| ("mcp-name", name))) {
                let value = value.parse().expect("a value");
                request.headers_mut().insert(HeaderName::from_static(field), value);
            }
        }
        request
    }

    fn call(&self, scopes: &str, tool: &str) -> Request<Body> {
        self.ask(scopes, "tools/call", Some(tool), &format!(r#""name":"{tool}","arguments":{{}}"#))
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let challenge = response
            .headers()
            .get(WWW_AUTHENTICATE)
            .map(|value| value.to_str().expect("text").to_owned());
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, challenge, String::from_utf8_lossy(&body).into_owned())
    }

    fn reached(&self) -> usize {
        self.reached.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn each_operation_has_its_own_rule_in_every_mode() {
    for mode in MODES {
        let world = World::new(mode).await;
        let rows = [
            (world.call("read", "note"), 200, 1, None),
            (world.call("read", "admin_x"), 403, 0, Some("read admin")),
            (world.call("read admin", "admin_x"), 200, 1, None),
            (world.call("other", "note"), 403, 0, Some("read")),
            (world.call("other", "admin_x"), 403, 0, Some("read admin")),
            (
                world.ask("read", "prompts/get", Some("speech"), r#""name":"speech""#),
                403,
                0,
                Some("read admin"),
            ),
            (
                world.ask("read admin", "prompts/get", Some("speech"), r#""name":"speech""#),
                200,
                1,
                None,
            ),
            (
                world.ask(
                    "read",
                    "resources/read",
                    Some("vault://public/a"),
                    r#""uri":"vault://public/a""#,
                ),
                200,
                1,
                None,
            ),
            (
                world.ask("read", "resources/read", Some("vault://x/a"), r#""uri":"vault://x/a""#),
                403,
                0,
                Some("read admin"),
            ),
            (world.ask("read", "tools/list", None, ""), 200, 0, None),
        ];
        for (i, (request, status, reached, scope)) in rows.into_iter().enumerate() {
            let (got, challenge, body) = world.send(request).await;
            assert_eq!((got, world.reached()), (status, reached), "{mode:?} {i}: {body}");
            let expected = scope.map(|scope| format!(
                r#"Bearer error="insufficient_scope", scope="{scope}", resource_metadata="http://localhost/.well-known/oauth-protected-resource/mcp", error_description="The access token does not grant the scopes that this operation requires"#
            ));
            let begin = challenge.as_deref().map(|it| it.rsplit_once(": ").map_or(it, |it| it.0));
            assert_eq!(begin, expected.as_deref(), "{mode:?} {i}");
        }
    }
}

#[tokio::test]
async fn a_forbidden_tool_is_never_reached_however_the_call_is_written() {
    let call = |name: &str, more: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{name},"arguments":{{}}{more}}}}}"#
        )
    };
    let plain = call(r#""name":"admin_x""#, "");
    let utf16: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("plainly", plain.clone().into()),
        ("with escapes", call(r#""name":"admin\u005fx""#, "").into()),
        ("with the name escaped", call(r#""n\u0061me":"admin_x""#, "").into()),
        ("with the method escaped", plain.replace("tools/call", r"tools\/call").into()),
        ("the name last", call(r#""arguments2":{},"name":"admin_x""#, "").into()),
        ("params before the method", r#"{"params":{"arguments":{},"name":"admin_x"},"method":"tools/call","id":7,"jsonrpc":"2.0"}"#.into()),
        ("behind another name", call(r#""name":"note","name":"admin_x""#, "").into()),
        ("before another name", call(r#""name":"admin_x","name":"note""#, "").into()),
        ("beside a name in capitals", call(r#""name":"note","Name":"admin_x""#, "").into()),
        ("beside a name with a NUL", call(r#""name":"note","name\u0000":"admin_x""#, "").into()),
        ("behind other params", plain.replacen(r#""params""#, r#""params":{"name":"note","arguments":{}},"params""#, 1).into()),
        ("behind another method", plain.replacen(r#""method""#, r#""method":"ping","method""#, 1).into()),
        ("before another method", plain.replacen(r#""params""#, r#""method":"ping","params""#, 1).into()),
        ("with a byte order mark", format!("\u{feff}{plain}").into()),
        ("in UTF-16", utf16),
        ("behind a message", format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping"}}{plain}"#).into()),
        ("before a message", format!(r#"{plain}{{"jsonrpc":"2.0","id":1,"method":"ping"}}"#).into()),
        ("in a batch", format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"ping"}},{plain}]"#).into()),
        ("in a batch of one", format!("[{plain}]").into()),
        ("as a task", call(r#""name":"admin_x""#, r#","task":{"ttl":60000}"#).into()),
        ("as an answer", plain.replacen(r#""params""#, r#""result":{},"params""#, 1).into()),
        ("without an id", plain.replace(r#""id":7,"#, "").into()),
        ("with padding", format!("{}{plain}", " ".repeat(5 * 1024 * 1024)).into()),
        ("in 5 MiB", call(r#""name":"admin_x""#, &format!(r#","x":"{}""#, "x".repeat(5 * 1024 * 1024))).into()),
    ];
    for mode in MODES {
        let world = World::new(mode).await;
        for (how, body) in &bodies {
            let versions: [&[(&'static str, &str)]; 6] = [
                &[],
                &[("mcp-protocol-version", "2025-03-26"), ("mcp-method", "ping")],
                &[
                    ("mcp-protocol-version", "2025-11-25"),
                    ("mcp-method", "tools/call"),
                    ("mcp-name", "note"),
                ],
                &[
                    ("mcp-protocol-version", "2026-07-28"),
                    ("mcp-method", "tools/call"),
                    ("mcp-name", "note"),
                ],
                &[
                    ("mcp-protocol-version", "2026-07-28"),
                    ("mcp-method", "tools/call"),
                    ("mcp-name", "admin_x"),
                ],
                &[
                    ("mcp-protocol-version", "2026-07-28"),
                    ("mcp-method", "tools/list"),
                    ("mcp-name", "=?base64?bm90ZQ==?="),
                ],
            ];
            for fields in versions {
                for method in [Method::POST, Method::PUT, Method::GET, Method::DELETE] {
                    let mut request = world.post("read", body.clone());
                    *request.method_mut() = method.clone();
                    for (field, value) in fields {
                        let value = value.parse().expect("a value");
                        request.headers_mut().insert(HeaderName::from_static(field), value);
                    }
                    let (status, _, answer) = world.send(request).await;
                    let is_refused = (400..500).contains(&status);
                    assert!(
                        is_refused && world.reached() == 0,
                        "{mode:?} {method} {how} {fields:?}: {status} {answer}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn mismatched_mcp_headers_are_400_from_2026_07_28_on() {
    let world = World::new(Mode::Modern).await;
    let honest = || world.call("read", "note");
    let with = |field: &'static str, value: &'static str| {
        let mut request = honest();
        request.headers_mut().append(field, HeaderValue::from_static(value));
        request
    };
    let set = |field: &'static str, value: &'static str| {
        let mut request = honest();
        request.headers_mut().insert(field, HeaderValue::from_static(value));
        request
    };
    let without = |field: &'static str| {
        let mut request = honest();
        request.headers_mut().remove(field);
        request
    };
    let rows = [
        set("mcp-name", "admin_x"),
        set("mcp-name", "=?base64?YWRtaW5feA==?="),
        set("mcp-name", "=?base64?bm90ZQ=?="),
        set("mcp-method", "tools/list"),
        with("mcp-name", "note"),
        with("mcp-method", "tools/call"),
        with("mcp-protocol-version", "2026-07-28"),
        without("mcp-name"),
        without("mcp-method"),
        set("mcp-protocol-version", "2025-11-25"),
        without("mcp-protocol-version"),
    ];
    for request in rows {
        let shown = format!("{:?}", request.headers());
        let (status, challenge, body) = world.send(request).await;
        assert_eq!((status, challenge, world.reached()), (400, None, 0), "{shown}");
        let body: serde_json::Value = serde_json::from_str(&body).expect(&body);
        assert_eq!((&body["id"], &body["error"]["code"]), (&7.into(), &(-32020).into()), "{shown}");
    }
    assert_eq!(world.send(set("mcp-name", "=?base64?bm90ZQ==?=")).await.0, 200);

    let world = World::new(Mode::Stateless).await;
    for version in [None, Some("2025-11-25")] {
        let mut request = world.call("read", "note");
        request.headers_mut().insert("mcp-name", HeaderValue::from_static("admin_x"));
        if let Some(version) = version {
            request
                .headers_mut()
                .insert("mcp-protocol-version", version.parse().expect("a version"));
        }
        assert_eq!((world.send(request).await.0, world.reached()), (200, 1), "ignored before 2026");
    }
}

#[tokio::test]
async fn an_endless_body_is_413() {
    let world = World::new(Mode::Stateless).await;
    let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b' '; 65536])));
    let (status, challenge, body) =
        world.send(world.post("read", Body::from_stream(endless))).await;
    assert_eq!((status, challenge, world.reached()), (413, None, 0), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_is_408() {
    let world = World::new(Mode::Stateless).await;
    let half = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
    let stuck = futures_util::StreamExt::chain(half, stream::pending());
    let (status, challenge, _) = world.send(world.post("read", Body::from_stream(stuck))).await;
    assert_eq!((status, challenge, world.reached()), (408, None, 0));
}

#[tokio::test]
async fn a_body_is_not_read_for_a_token_of_another_resource() {
    let world = World::new(Mode::Stateless).await;
    let unread = stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, Infallible>>> {
        panic!("the body was read")
    });
    let mut request = world.post("read", Body::from_stream(unread));
    let token = world.issuer.token().audience("https://api.example.com/mail").sign();
    request.headers_mut().extend(bearer(&token));
    assert_eq!(world.send(request).await.0, 401);
}

#[tokio::test]
async fn a_scope_required_by_a_handler_is_403_with_a_challenge_in_every_mode() {
    for mode in [Mode::Modern, Mode::Stateless, Mode::Stateful] {
        let world = World::new(mode).await;
        let write = |scopes, is_public: bool| {
            let params = format!(r#""name":"write","arguments":{{"is_public":{is_public}}}"#);
            world.ask(scopes, "tools/call", Some("write"), &params)
        };
        for _ in 0..2 {
            for (scopes, is_public) in [("read", false), ("read publish", true)] {
                let (status, ..) = world.send(write(scopes, is_public)).await;
                assert_eq!((status, world.reached()), (200, 1), "{mode:?}");
            }
            let (status, challenge, body) = world.send(write("read", true)).await;
            assert_eq!((status, world.reached()), (403, 0), "{mode:?} {body}");
            let challenge = challenge.expect("a challenge");
            let expected = r#"error="insufficient_scope", scope="read publish""#;
            assert!(challenge.contains(expected), "{challenge}");
        }
        let uri = "vault://public/inner";
        let inner = world.ask("read", "resources/read", Some(uri), &format!(r#""uri":"{uri}""#));
        assert_eq!((world.send(inner).await.0, world.reached()), (403, 0), "{mode:?}");
    }
}

#[tokio::test]
async fn a_rule_that_no_scope_satisfies_is_a_json_rpc_error_or_403_without_challenge() {
    let world = World::new(Mode::Stateless).await;
    let (status, challenge, body) = world.send(world.call("read admin", "hidden")).await;
    assert_eq!((status, challenge, world.reached()), (200, None, 0));
    assert_eq!(
        body,
        r#"{"error":{"code":403,"message":"This is not permitted to this caller, whatever the scopes of the access token"},"id":7,"jsonrpc":"2.0"}"#
    );
    let quiet = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"hidden"}}"#;
    let (status, challenge, body) = world.send(world.post("read", quiet)).await;
    assert_eq!((status, challenge, world.reached()), (403, None, 0), "{body}");
}

#[tokio::test]
async fn contradictory_acr_rules_forbid_a_call_without_asking_for_a_login() {
    let issuer = TestIssuer::new();
    let by = |ways: &[&str]| Rule::default().acr_values(ways.to_vec());
    let rules = ToolScopes::new().tool("wire", by(&["mfa"])).tool("look", by(&["mfa", "password"]));
    let described = issuer.protects(RESOURCE).required(by(&["password", "key"])).tools(rules);
    let auth = described.build().expect("a description");
    let call = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
    };
    let refusal = async |acr: &str, tool: &str| {
        let mut request = Request::post("/mcp").body(()).expect("a request").into_parts().0;
        request.headers = bearer(&issuer.token().claim("acr", acr).sign());
        let denied = auth.admit(&request, Full::<Bytes>::from(call(tool))).await.err();
        denied.map(|denial| denial.code())
    };
    for acr in ["mfa", "password", "key", "none"] {
        assert_eq!(refusal(acr, "wire").await, Some("forbidden"), "{acr}: no login is both");
    }
    assert_eq!(refusal("password", "look").await, None);
    let again = Some("insufficient_user_authentication");
    assert_eq!((refusal("key", "look").await, refusal("none", "look").await), (again, again));
    assert_eq!(refusal("key", "other").await, None);
}

#[tokio::test]
async fn lists_are_filtered_by_rules_and_show_security_schemes() {
    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"note"},{"name":"admin_x"},{"name":"hidden"}],"prompts":[{"name":"speech"}],"resources":[{"uri":"vault://public/a"},{"uri":"vault://x/a"}],"resourceTemplates":[{"uriTemplate":"vault://{name}/a"}]}}"#;
    let issuer = TestIssuer::new();
    let described = || {
        let rules = ToolScopes::new()
            .tool("admin_x", ["admin"])
            .tool("hidden", Rule::never())
            .prompt("speech", ["admin"])
            .resource("vault://{name}/*", ["admin"])
            .resource("vault://public/*", ["read"]);
        issuer.protects(RESOURCE).required_scopes(["read"]).tools(rules)
    };
    let listed = async |auth: McpAuth, scopes: &str| -> serde_json::Value {
        let app = auth.protect(axum::routing::post(|| async {
            ([(CONTENT_TYPE, "application/json")], LIST)
        }));
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let mut request = Request::post("/mcp").body(Body::from(ping)).expect("a request");
        *request.headers_mut() = bearer(&issuer.token().scopes([scopes]).sign());
        let answer = app.oneshot(request).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice::<serde_json::Value>(&body).expect("JSON")["result"].take()
    };
    let filtering = || described().filter_lists().build().expect("a description");
    let few = serde_json::json!({
        "tools": [{"name": "note"}], "prompts": [], "resources": [{"uri": "vault://public/a"}],
        "resourceTemplates": [],
    });
    assert_eq!(listed(filtering(), "read").await, few);
    let most = listed(filtering(), "read admin").await;
    let names: Vec<_> =
        most["tools"].as_array().expect("tools").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["note", "admin_x"], "what is forbidden to all is shown to nobody");
    assert_eq!(most["resources"].as_array().map(Vec::len), Some(2));

    let telling = described().requested_as("admin", "api://x/admin").security_schemes().build();
    let all = listed(telling.expect("a description"), "read").await;
    let schemes = |i: usize| &all["tools"][i]["securitySchemes"];
    assert!(schemes(0).is_null(), "no rule speaks of it");
    assert_eq!(
        schemes(1),
        &serde_json::json!([{"type": "oauth2", "scopes": ["api://x/admin", "read"]}])
    );
    assert!(all["cacheScope"].is_null(), "the same for everybody");
}

#[tokio::test]
async fn a_guarded_tool_is_guarded_without_the_layer() {
    let issuer = TestIssuer::new();
    let reached = Arc::<AtomicUsize>::default();
    let auth = issuer
        .protects(RESOURCE)
        .tools(ToolScopes::new().tool("admin_x", ["admin"]))
        .build()
        .expect("a description");
    let vault = Vault {
        reached: reached.clone(),
        tools: auth.guard_tools(Vault::tool_router()),
        prompts: auth.guard_prompts(Vault::prompt_router()),
    };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let bare = StreamableHttpService::new(
        move || Ok(vault.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let listed = auth.guard_tools(Vault::tool_router());
    assert!(listed.map.values().all(|route| route.attr.meta.is_none()), "the declaration is ours");
    for tool in ["note", "admin_x"] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
        );
        let request = Request::post("/mcp")
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(Body::from(body))
            .expect("a request");
        let answer = bare.clone().oneshot(request).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("this needs an authenticated caller"));
        assert_eq!(reached.load(Ordering::SeqCst), 0, "{tool}");
    }
}

#[tokio::test]
async fn anonymous_callers_may_use_operations_without_rules() {
    let issuer = TestIssuer::new();
    let rules = ToolScopes::new().tool("admin_x", ["admin"]);
    let auth = issuer.protects(RESOURCE).optional().tools(rules).build().expect("a description");
    let app = auth.protect(axum::routing::any(|| async { "reached" }));
    for (body, status) in [
        (r#"{"method":"tools/list"}"#, 200),
        (r#"{"method":"tools/call","params":{"name":"note"}}"#, 200),
        (r#"{"method":"tools/call","params":{"name":"admin_x"}}"#, 401),
        (r#"[{"method":"ping"},{"method":"tools/call","params":{"name":"admin_x"}}]"#, 401),
        ("nonsense", 400),
    ] {
        let request = Request::post("/mcp").body(Body::from(body)).expect("a request");
        assert_eq!(
            app.clone().oneshot(request).await.expect("an answer").status(),
            status,
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_handler_may_answer_with_a_denial() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let app = auth.protect(axum::routing::any(|auth: AuthInfo| async move {
        assert!(!auth.has(["admin"]));
        auth.require(["read"])?;
        Err::<(), Denial>(auth.require(["admin"]).expect_err("not granted"))
    }));
    let mut request = Request::post("/mcp").body(Body::empty()).expect("a request");
    *request.headers_mut() = bearer(&issuer.token().scopes(["read"]).sign());
    let answer = app.oneshot(request).await.expect("an answer");
    assert_eq!(answer.status(), 403);
    let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().expect("text");
    assert!(challenge.contains(r#"scope="admin""#), "{challenge}");
}
