//! The shape of a message decides which rules apply to it, not a list of methods.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http_body_util::BodyExt as _;
use mcp_auth::{Rule, ToolScopes};
use mcp_auth_testkit::TestIssuer;
use rmcp::model::{
    ErrorData, GetSkillRequestParams, GetSkillResult, ListResourcesResult, ListSkillsResult,
    PaginatedRequestParams, ReadResourceDirectoryRequestParams, ReadResourceDirectoryResult,
    Resource, ServerCapabilities, ServerConfig, Skill, SkillFrontmatter, SkillResource,
    SkillResources,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::attacks_on_operations::World;
use crate::world::bearer;

#[tokio::test]
async fn every_method_is_authorized_by_what_it_names() {
    let tools = || ToolScopes::new().tool("admin_*", ["admin"]);
    let prompts = || ToolScopes::new().prompt("admin_*", ["admin"]);
    let resources = || ToolScopes::new().resource("vault://*", ["admin"]);
    let rows = [
        // the method, its parameters, and the status with rules for tools, for prompts, for resources
        ("tools/call", r#"{"name":"admin_x"}"#, [403, 200, 200]),
        ("tools/call", r#"{"name":"x","uri":"vault://a"}"#, [200, 200, 403]),
        ("prompts/get", r#"{"name":"admin_x"}"#, [200, 403, 200]),
        ("tools/callMany", r#"{"name":"admin_x"}"#, [403, 403, 200]),
        ("tools/callMany", r#"{"names":["x","admin_x"]}"#, [403, 403, 200]),
        ("tools/describe", r#"{"name":["admin_x"]}"#, [400, 400, 200]),
        ("tools/describe", r#"{"names":"admin_x"}"#, [400, 400, 200]),
        ("tools/list", r#"{"name":"admin_x"}"#, [403, 403, 200]),
        ("skills/get", r#"{"uri":"vault://a"}"#, [200, 200, 403]),
        ("resources/directory/read", r#"{"uri":"vault://a"}"#, [200, 200, 403]),
        ("resources/write", r#"{"uri":"vault://a"}"#, [200, 200, 403]),
        ("resources/write", r#"{"uri":"vault://a/../b"}"#, [200, 200, 400]),
        ("resources/write", r#"{"uri":["vault://a"]}"#, [200, 200, 400]),
        ("resources/write", r#"{"uri":{"href":"vault://a"}}"#, [200, 200, 400]),
        ("resources/readMany", r#"{"uris":["notes://a","vault://a"]}"#, [200, 200, 403]),
        ("resources/readMany", r#"{"uris":["notes://a",1]}"#, [200, 200, 400]),
        (
            "resources/watch",
            r#"{"notifications":{"resourceSubscriptions":["vault://a"]}}"#,
            [200, 200, 403],
        ),
        (
            "resources/watch",
            r#"{"notifications":{"resource_subscriptions":["vault://a"]}}"#,
            [400, 400, 400],
        ),
        (
            "completion/more",
            r#"{"ref":{"type":"ref/resource","uri":"vault://{a}"}}"#,
            [200, 200, 403],
        ),
        ("completion/more", r#"{"ref":{"type":"ref/prompt","name":"admin_x"}}"#, [403, 403, 200]),
        ("completion/more", r#"{"ref":{"type":"ref/tool","name":"admin_x"}}"#, [403, 403, 200]),
        ("notifications/x", r#"{"uri":"vault://a"}"#, [200, 200, 403]),
        // what names nothing, or nothing that has rules
        ("vendor/set", r#"{"name":"x","uri":"notes://a"}"#, [200, 200, 200]),
        ("vendor/set", r#"{"name":5}"#, [400, 400, 200]),
        ("vendor/set", r#"{"uri":5}"#, [200, 200, 400]),
        (
            "vendor/set",
            r#"{"name":null,"uri":null,"ref":null,"names":null,"uris":null}"#,
            [200, 200, 200],
        ),
        (
            "vendor/set",
            r#"{"notifications":true,"value":{"name":"admin_x","uri":"vault://a"}}"#,
            [200, 200, 200],
        ),
        ("vendor/set", "{}", [200, 200, 200]),
        ("logging/setLevel", r#"{"level":"debug"}"#, [200, 200, 200]),
        (
            "initialize",
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"admin_x","version":"1"}}"#,
            [200, 200, 200],
        ),
    ];
    for (i, rules) in [tools(), prompts(), resources()].into_iter().enumerate() {
        let world = World::new(rules);
        for (method, params, statuses) in rows {
            let expected = (statuses[i], statuses[i] == 200);
            assert_eq!(world.ask(method, params).await, expected, "{i} {method} {params}");
        }
    }
}

/// A server of two skills, one of which has a private file.
#[derive(Clone)]
struct Skills;

fn skill(name: &str) -> Skill {
    let uri = |file: &str| format!("skill://{name}/{file}");
    let files = ["SKILL.md", "private/key"];
    let files = files.map(|file| SkillResource::from_bytes(uri(file), b"")).into();
    let frontmatter = SkillFrontmatter::new(name, "a skill");
    Skill::new(uri("SKILL.md"), frontmatter, SkillResources::Files(files))
}

impl ServerHandler for Skills {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_resources();
        ServerConfig::new(capabilities.enable_skills_with_directory_read().build())
    }

    async fn list_skills(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListSkillsResult, ErrorData> {
        Ok(ListSkillsResult::with_all_items(vec![skill("a"), skill("b")]))
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetSkillResult, ErrorData> {
        assert_eq!(request.uri, "skill://a/SKILL.md");
        Ok(GetSkillResult::new(skill("a")))
    }

    async fn read_resource_directory(
        &self,
        _: ReadResourceDirectoryRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceDirectoryResult, ErrorData> {
        let child = |uri: &str| Resource::new(uri, "a child");
        Ok(ListResourcesResult::with_all_items(vec![
            child("skill://a/SKILL.md"),
            child("skill://a/private/key"),
        ]))
    }
}

#[tokio::test]
async fn skills_and_directories_are_authorized_and_filtered_as_resources() {
    let issuer = TestIssuer::new();
    let answer = async |rules: ToolScopes, method: &str, uri: &str| -> Value {
        let described = issuer.protects("http://localhost/mcp").filter_lists().tools(rules);
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true);
        let app =
            described.build().expect("a description").protect_mcp(StreamableHttpService::new(
                || Ok(Skills),
                Arc::new(NeverSessionManager::default()),
                config,
            ));
        let params = if uri.is_empty() { "{}".to_owned() } else { format!(r#"{{"uri":"{uri}"}}"#) };
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let mut request = Request::post("/mcp").body(Body::from(body)).expect("a request");
        *request.headers_mut() = bearer(&issuer.token().scopes(["read"]).sign());
        let headers = request.headers_mut();
        headers.insert(HOST, "localhost".parse().expect("a host"));
        headers.insert(CONTENT_TYPE, "application/json".parse().expect("a type"));
        headers.insert(ACCEPT, "application/json, text/event-stream".parse().expect("types"));
        let response = app.oneshot(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    };
    let uris = |list: &Value| -> Vec<String> {
        let items = list.as_array().expect("a list").iter();
        items.map(|item| item["uri"].as_str().expect("a URI").to_owned()).collect()
    };
    let never = || ToolScopes::new().resource("*", Rule::never());
    for (method, uri) in [
        ("skills/get", "skill://a/SKILL.md"),
        ("resources/directory/read", "skill://a/"),
        ("resources/directory/read", "skill://a"),
    ] {
        let body = answer(never(), method, uri).await;
        assert_eq!(body["error"]["code"], 403, "{method} {body}");
    }
    assert_eq!(answer(never(), "skills/list", "").await["result"]["skills"], serde_json::json!([]));

    let some = || {
        let rules = ToolScopes::new().resource("skill://a/*", ["read"]);
        rules.resource("skill://a/private/*", ["admin"]).resource("skill://b/*", ["admin"])
    };
    let listed = answer(some(), "skills/list", "").await;
    assert_eq!(uris(&listed["result"]["skills"]), ["skill://a/SKILL.md"], "{listed}");
    let files = &listed["result"]["skills"][0]["resources"];
    assert_eq!(uris(files), ["skill://a/SKILL.md"], "{listed}");
    let got = answer(some(), "skills/get", "skill://a/SKILL.md").await;
    assert_eq!(uris(&got["result"]["skill"]["resources"]), ["skill://a/SKILL.md"], "{got}");
    let children = answer(some(), "resources/directory/read", "skill://a").await;
    assert_eq!(uris(&children["result"]["resources"]), ["skill://a/SKILL.md"], "{children}");
}
