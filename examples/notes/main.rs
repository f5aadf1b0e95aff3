//! Notes with scopes per tool: a refusal names the missing scopes, and clients that support it request them.
//!
//! ```sh
//! cargo run -- demo --resource http://127.0.0.1:3000/mcp --scopes 'notes:read notes:write notes:delete admin'    # an issuer
//! cargo run --example notes
//! cargo run --example step_up    # a client that logs in, and asks for more
//! ```

use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::serve::ListenerExt as _;
use mcp_auth::{AnyOf, AuthContext as _, AuthInfo, McpAuth, ToolScopes, requires};
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    ErrorData, ListResourcesResult, PaginatedRequestParams, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents, Role, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{
    RoleServer, ServerHandler, prompt, prompt_handler, prompt_router, schemars, tool, tool_handler,
    tool_router,
};

/// The URI of a resource with the notes of all users.
const EVERYBODY: &str = "notes://everybody";

struct Notes {
    /// By issuer and subject: a subject is unique only with its issuer.
    notes: Mutex<BTreeMap<(String, String), Vec<String>>>,
    tools: ToolRouter<Self>,
    prompts: PromptRouter<Self>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct NewNote {
    /// What to write down
    text: String,
    /// For whom, if not for yourself
    owner: Option<String>,
}

#[tool_router]
impl Notes {
    #[tool(description = "Your notes", meta = requires(["notes:read"]))]
    async fn list_notes(&self, auth: AuthInfo) -> String {
        self.lock().get(&person(&auth)).map(|notes| notes.join("\n")).unwrap_or_default()
    }

    #[tool(description = "Writes a note", meta = requires(["notes:write"]))]
    async fn add_note(
        &self,
        auth: AuthInfo,
        Parameters(NewNote { text, owner }): Parameters<NewNote>,
    ) -> Result<String, ErrorData> {
        let (issuer, myself) = person(&auth);
        let owner = owner.unwrap_or_else(|| myself.clone());
        if owner != myself {
            auth.require(["admin"])?; // required only for some arguments
        }
        let mut notes = self.lock();
        let notes = notes.entry((issuer, owner)).or_default();
        notes.push(text);
        Ok(notes.len().to_string())
    }

    #[tool(description = "Deletes your notes", meta = requires(AnyOf(["notes:delete", "admin"])))]
    async fn delete_all(&self, auth: AuthInfo) -> String {
        self.lock().remove(&person(&auth)).map_or(0, |notes| notes.len()).to_string()
    }
}

#[prompt_router]
impl Notes {
    #[prompt(description = "Sums up your notes", meta = requires(["notes:read"]))]
    async fn sum_up(&self, auth: AuthInfo) -> Vec<PromptMessage> {
        let notes = self.list_notes(auth).await;
        vec![PromptMessage::new_text(Role::User, format!("Sum up these notes:\n{notes}"))]
    }
}

#[tool_handler(router = self.tools)]
#[prompt_handler(router = self.prompts)]
impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        let all = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources();
        ServerConfig::new(all.build())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new(EVERYBODY, "everybody's notes")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        context.require(["admin"])?; // rmcp has no router for resources that could be guarded
        if request.uri != EVERYBODY {
            return Err(ErrorData::resource_not_found("there is no such resource", None));
        }
        let all: Vec<_> = self.lock().values().flatten().cloned().collect();
        let text = ResourceContents::text(all.join("\n"), request.uri);
        Ok(ReadResourceResult::new(vec![text]).into())
    }
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Vec<String>>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn person(auth: &AuthInfo) -> (String, String) {
    (auth.issuer().to_owned(), auth.subject().to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("info,mcp_auth=debug").init();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port = setting("PORT", "3000");
    let resource = setting("RESOURCE", &format!("http://127.0.0.1:{port}/mcp"));
    let issuer = setting("ISSUER", "http://127.0.0.1:7071");
    let scopes = setting("REQUIRED_SCOPES", "notes:read");
    let has_sessions = setting("SESSIONS", "true").parse()?;

    let (tools, prompts) = (Notes::tool_router(), Notes::prompt_router());
    let rules = ToolScopes::new()
        .declared_by_tools(&tools)
        .declared_by_prompts(&prompts)
        .resource("notes://*", ["admin"]);
    let auth = McpAuth::builder(&resource)
        .authorization_server(issuer)
        .required_scopes(&*scopes) // for every request; also what a client requests first
        .tools(rules)
        .implies("admin", ["notes:read", "notes:write", "notes:delete"])
        .build()?;
    let notes = Arc::new(Notes {
        notes: Mutex::default(),
        tools: auth.guard_tools(tools),
        prompts: auth.guard_prompts(prompts),
    });
    let mcp = StreamableHttpService::new(
        move || Ok(notes.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(has_sessions)
            .with_json_response(!has_sessions),
    );
    let mut app = auth.protect_mcp(mcp);
    // The issuer says here that a user has logged out, if it knows the URL (OpenID Connect Back-Channel Logout).
    if let Ok(client) = env::var("LOGOUTS_OF") {
        app = app.route_service("/security-events", auth.security_event_receiver([client]));
    }

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{resource}");
    // Without TCP_NODELAY, a response streamed in several parts may be delayed by 40 ms.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
