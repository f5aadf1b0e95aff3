//! The server for the official conformance suite: bare, or behind MCP Auth.
//!
//! ```sh
//! PORT=3000 PROTECTED=true cargo run --example conformance_server
//! ```
//!
//! Its tools and prompts answer as the suite's scenarios require; see `run.mjs` beside this file.

#![expect(deprecated, reason = "the older revision's scenarios ask for logging")]

mod rounds;
mod tasks;
mod words;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use mcp_auth::{
    AuthorizationServer, ConfigError, Credentials, Denial, McpAuth, Reason, ToolScopes,
    VerifiedToken,
};
use rmcp::model::*;
use rmcp::service::RequestContext;
use rmcp::task_manager::TaskManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use words::{PNG, WAV, asked, image, input, resource, sampled, text, tool};

const TOOLS: &[&str] = &[
    "greet",
    "test_audio_content",
    "test_custom_header",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_embedded_resource",
    "test_error_handling",
    "test_image_content",
    "test_input_required_result_capabilities",
    "test_input_required_result_elicitation",
    "test_input_required_result_list_roots",
    "test_input_required_result_multi_round",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_request_state",
    "test_input_required_result_sampling",
    "test_input_required_result_tampered_state",
    "test_logging_tool",
    "test_missing_capability",
    "test_multiple_content_types",
    "test_sampling",
    "test_simple_text",
    "test_streaming_elicitation",
    "test_tool_with_logging",
    "test_tool_with_progress",
];

type Result<T> = std::result::Result<T, ErrorData>;
type Context = RequestContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

#[derive(Clone, Default)]
struct Server {
    tasks: TaskManager,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tasks()
            .enable_tools();
        ServerConfig::new(capabilities.build())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let is_known = TOOLS.iter().chain(tasks::TOOLS).any(|known| *known == name);
        is_known.then(|| read(tool(name)).ok())?
    }

    async fn list_tools(&self, _: Page, context: Context) -> Result<ListToolsResult> {
        let tools: Vec<_> = TOOLS.iter().chain(tasks::TOOLS).map(|name| tool(name)).collect();
        listed("tools", tools, &context)
    }

    async fn list_prompts(&self, _: Page, context: Context) -> Result<ListPromptsResult> {
        let argument =
            |name: &str| json!({ "name": name, "description": "Any text", "required": true });
        let prompt = |name: &str, arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|name| argument(name)).collect();
            json!({ "name": name, "description": "For a scenario", "arguments": arguments })
        };
        let prompts = vec![
            prompt("test_simple_prompt", &[]),
            prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
            prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
            prompt("test_prompt_with_image", &[]),
            prompt("test_input_required_result_prompt", &[]),
        ];
        listed("prompts", prompts, &context)
    }

    async fn list_resources(&self, _: Page, context: Context) -> Result<ListResourcesResult> {
        let resource = |uri: &str, mime: &str| json!({ "uri": uri, "name": uri, "description": "For a scenario", "mimeType": mime });
        let resources = vec![
            resource("test://static-text", "text/plain"),
            resource("test://static-binary", "image/png"),
            resource("test://watched-resource", "text/plain"),
        ];
        listed("resources", resources, &context)
    }

    async fn list_resource_templates(
        &self,
        _: Page,
        context: Context,
    ) -> Result<ListResourceTemplatesResult> {
        let uri = "test://template/{id}/data";
        let template = json!({ "uriTemplate": uri, "name": "template", "description": "For a scenario", "mimeType": "application/json" });
        listed("resourceTemplates", vec![template], &context)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse> {
        let uri = &*request.uri;
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let contents = match (uri, id) {
            ("test://static-text", _) => {
                json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource." })
            }
            ("test://static-binary", _) => {
                json!({ "uri": uri, "mimeType": "image/png", "blob": PNG })
            }
            ("test://watched-resource", _) => {
                json!({ "uri": uri, "mimeType": "text/plain", "text": "Watched." })
            }
            (_, Some(id)) => {
                let text =
                    json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                json!({ "uri": uri, "mimeType": "application/json", "text": text.to_string() })
            }
            _ => {
                let data = Some(json!({ "uri": uri }));
                return Err(ErrorData::invalid_params("Resource not found", data));
            }
        };
        let result: ReadResourceResult = listed("contents", vec![contents], &context)?;
        Ok(result.into())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<()> {
        Ok(())
    }

    async fn get_task(&self, request: GetTaskParams, context: Context) -> Result<GetTaskResult> {
        tasks::expect_known(&context)?;
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(&self, request: UpdateTaskParams, context: Context) -> Result<()> {
        tasks::expect_known(&context)?;
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, context: Context) -> Result<()> {
        tasks::expect_known(&context)?;
        self.tasks.cancel_task(&request.task_id)
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<()> {
        Ok(())
    }

    async fn complete(&self, _: CompleteRequestParams, _: Context) -> Result<CompleteResult> {
        read(
            json!({ "resultType": "complete", "completion": { "values": ["paris", "park"], "total": 2, "hasMore": false } }),
        )
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse> {
        let argument = |name: &str| {
            let arguments = request.arguments.as_ref();
            arguments.and_then(|all| all.get(name)?.as_str()).unwrap_or_default()
        };
        let contents = match &*request.name {
            "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
            "test_prompt_with_arguments" => vec![text(&format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                argument("arg1"),
                argument("arg2")
            ))],
            "test_prompt_with_embedded_resource" => vec![
                resource(
                    argument("resourceUri"),
                    "text/plain",
                    "Embedded resource content for testing.",
                ),
                text("Please process the embedded resource above."),
            ],
            "test_prompt_with_image" => vec![image(), text("Please analyze the image above.")],
            "test_input_required_result_prompt" if request.input_responses.is_none() => {
                let asked = asked(
                    "What context should the prompt use?",
                    json!({ "context": { "type": "string" } }),
                );
                return Ok(
                    read::<InputRequiredResult>(input(&[("user_context", asked)], None))?.into()
                );
            }
            "test_input_required_result_prompt" => vec![text("With the context that was given.")],
            _ => return Err(ErrorData::invalid_params("there is no such prompt", None)),
        };
        let messages: Vec<_> = contents
            .into_iter()
            .map(|content| json!({ "role": "user", "content": content }))
            .collect();
        Ok(read::<GetPromptResult>(json!({ "resultType": "complete", "messages": messages }))?
            .into())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse> {
        let contents = match &*request.name {
            "greet" => vec![text(&format!("Hello, {}!", argument(&request, "name")))],
            "test_logging_tool" => vec![text("nothing was logged")],
            "test_simple_text" => vec![text("This is a simple text response for testing.")],
            "test_image_content" => vec![image()],
            "test_audio_content" => {
                vec![json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" })]
            }
            "test_embedded_resource" => vec![resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content.",
            )],
            "test_multiple_content_types" => vec![
                text("Multiple content types test:"),
                image(),
                resource(
                    "test://mixed-content-resource",
                    "application/json",
                    r#"{"test":"data","value":123}"#,
                ),
            ],
            "test_error_handling" => {
                let error = text("This tool intentionally returns an error for testing");
                return Ok(read::<CallToolResult>(
                    json!({ "resultType": "complete", "isError": true, "content": [error] }),
                )?
                .into());
            }
            "test_tool_with_logging" => {
                for (i, data) in
                    ["Tool execution started", "Tool processing data", "Tool execution completed"]
                        .into_iter()
                        .enumerate()
                {
                    pause(i).await;
                    notify(
                        &context,
                        "notifications/message",
                        json!({ "level": "info", "data": data }),
                    )
                    .await?;
                }
                vec![text("logged")]
            }
            "test_tool_with_progress" => {
                let token = context.meta.get_progress_token();
                for (i, progress) in [0, 50, 100].into_iter().enumerate() {
                    pause(i).await;
                    if let Some(token) = &token {
                        notify(
                            &context,
                            "notifications/progress",
                            json!({ "progressToken": token, "progress": progress, "total": 100 }),
                        )
                        .await?;
                    }
                }
                vec![text("done")]
            }
            "test_sampling" => {
                let prompt = argument(&request, "prompt");
                let answer = ask(&context, sampled(&prompt, 100)).await?;
                vec![text(&format!(
                    "LLM response: {}",
                    answer["content"]["text"].as_str().unwrap_or_default()
                ))]
            }
            "test_elicitation" => {
                let schema = json!({
                    "username": { "type": "string", "description": "User's response" },
                    "email": { "type": "string", "description": "User's email address" },
                });
                let answer = ask(&context, asked(&argument(&request, "message"), schema)).await?;
                vec![text(&format!("User response: {answer}"))]
            }
            "test_elicitation_sep1034_defaults" => {
                let schema = json!({
                    "name": { "type": "string", "default": "John Doe" },
                    "age": { "type": "integer", "default": 30 },
                    "score": { "type": "number", "default": 95.5 },
                    "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                    "verified": { "type": "boolean", "default": true },
                });
                let answer = ask(&context, asked("Please look at the defaults", schema)).await?;
                vec![text(&format!("Elicitation completed: {answer}"))]
            }
            "test_elicitation_sep1330_enums" => {
                let titled = |all: &[(&str, &str)]| -> Vec<_> {
                    all.iter()
                        .map(|(value, title)| json!({ "const": value, "title": title }))
                        .collect()
                };
                let titles = titled(&[
                    ("value1", "First Option"),
                    ("value2", "Second Option"),
                    ("value3", "Third Option"),
                ]);
                let schema = json!({
                    "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
                    "titledSingle": { "type": "string", "oneOf": titles },
                    "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"] },
                    "untitledMulti": { "type": "array", "items": { "type": "string", "enum": ["option1", "option2", "option3"] } },
                    "titledMulti": { "type": "array", "items": { "anyOf": titles } },
                });
                let answer = ask(&context, asked("Please choose", schema)).await?;
                vec![text(&format!("Elicitation completed: {answer}"))]
            }
            "test_missing_capability" if !declares(&context, "sampling") => {
                let required = read(json!({ "sampling": {} }))?;
                return Err(ErrorData::missing_required_client_capability(required));
            }
            "test_custom_header" | "test_missing_capability" => vec![text("called")],
            name if tasks::TOOLS.contains(&name) => {
                return tasks::call(&self.tasks, request, &context).await;
            }
            "test_streaming_elicitation" => {
                let question = asked("What is your name?", json!({ "name": { "type": "string" } }));
                return Ok(
                    read::<InputRequiredResult>(input(&[("user_name", question)], None))?.into()
                );
            }
            name if name.starts_with("test_input_required_result_") => {
                return rounds::call(&request, &context);
            }
            _ => return Err(ErrorData::invalid_params("there is no such tool", None)),
        };
        Ok(read::<CallToolResult>(json!({ "resultType": "complete", "content": contents }))?.into())
    }
}

/// A list result, which clients of the newer protocol may cache for a while.
fn listed<T: DeserializeOwned>(member: &str, items: Vec<Value>, context: &Context) -> Result<T> {
    let mut result = json!({ "resultType": "complete", member: items });
    if context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
        result["ttlMs"] = json!(1000);
        result["cacheScope"] = json!("private");
    }
    read(result)
}

fn argument(request: &CallToolRequestParams, name: &str) -> String {
    let arguments = request.arguments.as_ref();
    arguments.and_then(|all| all.get(name)?.as_str()).unwrap_or_default().to_owned()
}

fn declares(context: &Context, capability: &str) -> bool {
    let declared = context.client_capabilities().and_then(|it| serde_json::to_value(it).ok());
    declared.is_some_and(|declared| !declared[capability].is_null())
}

async fn ask(context: &Context, question: Value) -> Result<Value> {
    let answer = context.peer.send_request(read(question)?).await;
    let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    serde_json::to_value(answer).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

async fn notify(context: &Context, method: &str, params: Value) -> Result<()> {
    let notification = read(json!({ "method": method, "params": params }))?;
    let sent = context.peer.send_notification(notification).await;
    sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

async fn pause(before: usize) {
    if before > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// Has a rule for everything, so that each body is read, each header compared, and each list filtered.
fn protection(resource: &str) -> std::result::Result<McpAuth, ConfigError> {
    let rules = ToolScopes::new()
        .tool("*", ["tools"])
        .method("tasks/*", ["tools"])
        .prompt("test_*", ["prompts"])
        .resource("test://static-*", ["resources"])
        .resource("test://template/{id}/data", ["resources"])
        .method("*/list", ["lists"])
        .method("completion/complete", ["prompts"]);
    let token = async |credentials: Credentials| match credentials.token().expose() {
        "conformance" => Ok(VerifiedToken::assert("http://127.0.0.1:1", "suite")
            .audience("http://127.0.0.1:1/mcp")
            .scopes(["tools", "prompts", "resources", "lists"])),
        _ => Err(Denial::invalid(Reason::Inactive)),
    };
    McpAuth::builder(resource)
        .authorization_server(AuthorizationServer::external("http://127.0.0.1:1"))
        .audience("http://127.0.0.1:1/mcp")
        .verifier(token)
        .tools(rules)
        .filter_lists()
        .allowed_origins(["http://localhost:*", "http://127.0.0.1:*"])
        .build()
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port = setting("PORT", "3000");
    let server = Server::default();
    let mcp = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let app = match &*setting("PROTECTED", "false") {
        "true" => protection(&format!("http://127.0.0.1:{port}/mcp"))?.protect_mcp(mcp),
        _ => Router::new().route_service("/mcp", mcp),
    };
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://127.0.0.1:{port}/mcp");
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
