//! Runs a protected MCP server and its authorization server, and prints a line for each decision.

mod journal;
mod server;
mod walk;

use axum::serve::ListenerExt as _;
use mcp_auth::{AuthorizationServer, McpAuth};
use mcp_auth_testkit::{ServedIssuer, TestIssuer, TestIssuerBuilder};
use tokio::net::TcpListener;

use crate::issuer;

/// The default port. A free port is used if it is taken.
const SERVER_PORT: u16 = 7070;

/// How the MCP server introspects opaque tokens. The issuer is for this machine only, and has no passwords either.
const CLIENT: &str = "notes-server";
const SECRET: &str = "demo";

/// Any error, for a program that can only print it.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run the complete flow with a real client, print each step, and exit
    #[arg(long)]
    once: bool,

    /// Let the issuer also issue tokens for a server of yours
    #[arg(long, value_name = "URL")]
    resource: Option<String>,

    /// The scopes of your server
    #[arg(long, value_name = "SCOPES", default_value = "read write", requires = "resource")]
    scopes: String,
}

/// The running demo. The issuer stops when this is dropped.
struct Demo {
    resource: String,
    issuer: ServedIssuer,
    other: Option<Other>,
}

/// A server of the user: its URL and its scopes.
struct Other {
    url: String,
    scopes: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let Arguments { once, resource, scopes } = arguments;
    let other = resource.map(|url| Other { url, scopes });
    if once {
        // No user is present, so alice is logged in and approves everything.
        let issuer = TestIssuer::builder().auto_approve("alice");
        let demo = Demo::start(issuer, other).await?;
        return walk::walk(&demo).await;
    }
    let demo = Demo::start(TestIssuer::builder(), other).await?;
    demo.introduce();
    tokio::signal::ctrl_c().await?;
    Ok(())
}

impl Demo {
    async fn start(issuer: TestIssuerBuilder, other: Option<Other>) -> Result<Self> {
        let issuer = issuer.client(CLIENT, SECRET).build();
        let listener = issuer::listen(SERVER_PORT)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let resource = format!("http://{}/mcp", listener.local_addr()?);
        if let Some(Other { url, scopes }) = &other {
            issuer.resource(url, scopes.split(' '));
        }
        issuer.resource(&resource, ["notes:read", "notes:write"]);
        let issuer = issuer::serve(issuer).await?;

        let auth = McpAuth::builder(&resource)
            .authorization_server(AuthorizationServer::discover(issuer.url()))
            .introspect(CLIENT, SECRET) // for opaque tokens; JWTs are verified with the issuer's keys
            .required_scopes(["notes:read"]) // for every request; a client asks for more when it needs more
            .tools(server::rules())
            .allowed_origins(["http://localhost:*", "http://127.0.0.1:*"]) // the Inspector's page
            .metadata(|it| it.resource_name("Notes"))
            .build()?;
        let app = journal::keep(&auth, server::notes(&auth));
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { resource, issuer, other })
    }

    fn introduce(&self) {
        let Self { resource, issuer, other } = self;
        let hour = std::time::Duration::from_secs(60 * 60);
        let token = || issuer.token().subject("alice").client_id("curl").expires_in(hour);
        let notes_token = token().scopes(["notes:read"]).sign();
        let opaque_token = token().scopes(["notes:read"]).opaque();
        println!(
            r#"A protected MCP server and a development authorization server, for this machine only.

  MCP server   {resource}
  issuer       {url}   (log in as alice or bob; there are no passwords)

Connect a client. It registers itself, sends you to the login page, and comes back with a token:

  Claude Code  claude mcp add --transport http notes {resource}
  VS Code      code --add-mcp '{{"name":"notes","type":"http","url":"{resource}"}}'
  Inspector    npx @modelcontextprotocol/inspector   (transport: Streamable HTTP, URL: {resource})

It gets the scope notes:read. When it calls add_note, it is told to ask for notes:write, and sends you there again.

Or call a tool yourself, with a token that alice got for an hour, for notes:read only:

  curl -i {resource} \
    -H 'Authorization: Bearer {notes_token}' \
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"whoami","arguments":{{}}}}}}'

The same as an opaque token, about which the server asks the issuer (introspection):

  {opaque_token}

Leave the token out to see how a client is told to log in. Or call add_note, with "arguments":{{"text":"buy milk"}},
to see how it is told to ask for more. Ctrl-C ends the demo.
"#,
            url = issuer.url(),
        );
        if let Some(Other { url, scopes }) = other {
            let token = token().audience(&**url).scopes(scopes.split(' ')).sign();
            println!(
                r#"What tools does {url} have? With a token for it, with the scopes {scopes}, for an hour:

  curl -i {url} \
    -H 'Authorization: Bearer {token}' \
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/list' \
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"curl","version":"1"}}}}}}}}'
"#
            );
        }
    }
}
