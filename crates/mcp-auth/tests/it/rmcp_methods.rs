//! The methods of rmcp, and what their parameters name: the layer knows all of them.
//!
//! These tests fail when rmcp gains a method or a parameter. Then decide which rules apply to it, here and in
//! `policy/operation`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mcp_auth::{Rule, ToolScopes};
use mcp_auth_testkit::TestIssuer;
use rmcp::model::{ClientNotification, ClientRequest};
use rmcp::schemars::{Schema, schema_for};
use serde_json::Value;

use crate::world::{RESOURCE, bearer};

/// For each method in the schema of a type, the schemas of its parameters.
fn methods(schema: &Schema) -> BTreeMap<String, Vec<Value>> {
    let root = schema.as_value().clone();
    let mut methods = BTreeMap::<_, Vec<_>>::new();
    visit(&root, &mut |object| {
        let properties = &resolved(&root, object)["properties"];
        let method = resolved(&root, &properties["method"]);
        if let Some(method) = method["const"].as_str() {
            let params = resolved(&root, &properties["params"]).clone();
            methods.entry(method.to_owned()).or_default().push(params);
        }
    });
    methods
}

/// Calls `show` for each part of a schema.
fn visit(part: &Value, show: &mut impl FnMut(&Value)) {
    show(part);
    match part {
        Value::Object(members) => members.values().for_each(|part| visit(part, show)),
        Value::Array(elements) => elements.iter().for_each(|part| visit(part, show)),
        _ => {}
    }
}

/// A schema, or the one that it refers to.
fn resolved<'s>(root: &'s Value, part: &'s Value) -> &'s Value {
    let referred = part["$ref"].as_str().and_then(|at| root.pointer(at.strip_prefix('#')?));
    referred.map_or(part, |part| resolved(root, part))
}

/// The names of all members of an object with this schema, in all of its variants.
fn members(root: &Value, schema: &Value) -> BTreeSet<String> {
    let schema = resolved(root, schema);
    let own = schema["properties"].as_object().into_iter().flat_map(|it| it.keys().cloned());
    let variants = ["anyOf", "oneOf", "allOf"].map(|of| schema[of].as_array());
    let variants = variants.into_iter().flatten().flatten();
    own.chain(variants.flat_map(|variant| members(root, variant))).collect()
}

#[tokio::test]
async fn every_method_of_rmcp_is_known() {
    let issuer = TestIssuer::new();
    let rules = ToolScopes::new().unknown_methods(Rule::never());
    let auth = issuer.protects(RESOURCE).tools(rules).build().expect("a description");
    let is_known = async |method: &str| {
        let params =
            r#"{"name":"x","uri":"a:b","taskId":"t","ref":{"type":"ref/prompt","name":"p"}}"#;
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let mut request = Request::post("/mcp").body(()).expect("a request").into_parts().0;
        request.headers = bearer(&issuer.token().sign());
        auth.admit(&request, Full::<Bytes>::from(body)).await.is_ok()
    };
    assert!(!is_known("vendor/unknown").await);
    let (requests, notifications) =
        (methods(&schema_for!(ClientRequest)), methods(&schema_for!(ClientNotification)));
    assert!(requests.len() >= 21 && notifications.len() >= 4, "{requests:?} {notifications:?}");
    for method in requests.keys().chain(notifications.keys()) {
        assert!(is_known(method).await, "rmcp has gained {method}");
    }
}

#[test]
fn every_parameter_of_rmcp_is_reviewed() {
    // Members that rules judge: `policy/operation/params.rs`.
    let judged = ["_meta", "name", "notifications", "ref", "taskId", "uri"];
    // Members that name nothing to which rules apply.
    let others = [
        "argument",
        "arguments",
        "capabilities",
        "clientInfo",
        "context",
        "cursor",
        "inputResponses",
        "level",
        "message",
        "progress",
        "progressToken",
        "protocolVersion",
        "reason",
        "requestId",
        "requestState",
        "task",
        "total",
    ];
    for schema in [schema_for!(ClientRequest), schema_for!(ClientNotification)] {
        for (method, all_params) in methods(&schema) {
            for params in all_params {
                for member in members(schema.as_value(), &params) {
                    let is_reviewed = judged.contains(&&*member) || others.contains(&&*member);
                    assert!(
                        is_reviewed,
                        "rmcp has gained `{member}` in the parameters of {method}"
                    );
                }
            }
        }
    }
}
