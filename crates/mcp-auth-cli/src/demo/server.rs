//! The MCP server of the demo: notes, and a tool that tells who is calling.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use mcp_auth::{AuthInfo, McpAuth, ToolScopes, requires};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};

/// The notes of each user, by issuer and subject: a subject is unique only with its issuer.
type Notes = BTreeMap<(String, String), Vec<String>>;

#[derive(Clone)]
pub(super) struct NotesServer {
    notes: Arc<Mutex<Notes>>,
    tool_router: ToolRouter<Self>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct NewNote {
    /// What to write down
    text: String,
}

/// The scopes that the tools declare.
pub(super) fn rules() -> ToolScopes {
    ToolScopes::new().declared_by_tools(&NotesServer::tool_router())
}

/// The service, without sessions, so that a single `curl` can call it.
pub(super) fn notes(auth: &McpAuth) -> StreamableHttpService<NotesServer, NeverSessionManager> {
    let tool_router = auth.guard_tools(NotesServer::tool_router());
    let server = NotesServer { notes: Arc::default(), tool_router };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    StreamableHttpService::new(move || Ok(server.clone()), Arc::default(), config)
}

#[tool_router]
impl NotesServer {
    #[tool(description = "Who is calling?")]
    fn whoami(&self, auth: AuthInfo) -> String {
        let client = auth.client_id().unwrap_or("an unnamed client");
        format!(
            "{} via {}, with {client} and the scopes {}",
            auth.subject(),
            auth.issuer(),
            auth.scopes()
        )
    }

    #[tool(description = "Your notes", meta = requires(["notes:read"]))]
    fn list_notes(&self, auth: AuthInfo) -> String {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(&owner(&auth)).map_or_else(|| "no notes yet".to_owned(), |notes| notes.join("\n"))
    }

    #[tool(description = "Writes down a note", meta = requires(["notes:write"]))]
    fn add_note(&self, auth: AuthInfo, Parameters(note): Parameters<NewNote>) -> String {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = notes.entry(owner(&auth)).or_default();
        notes.push(note.text);
        format!("written down; number of notes: {}", notes.len())
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for NotesServer {}

fn owner(auth: &AuthInfo) -> (String, String) {
    (auth.issuer().to_owned(), auth.subject().to_owned())
}
