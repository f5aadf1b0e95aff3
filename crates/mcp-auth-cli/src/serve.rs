//! `mcp-auth serve`: a gateway, from flags or from a file.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mcp_auth_config::{Config, ConfigFile, IssuerConfig, ResourceConfig, Strings, parse_address};
use mcp_auth_gateway::{Gateway, Sockets};

use crate::development::Development;
use crate::signals::{self, By};
use crate::systemd;

/// Any error, for a program that can only print it.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The origins of the Inspector's page, which calls from a browser.
const INSPECTOR: [&str; 2] = ["http://localhost:*", "http://127.0.0.1:*"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A file with the whole configuration, in TOML, or in JSON if it ends in .json
    #[arg(conflicts_with_all = ["issuer", "provider", "url", "upstream", "scopes", "import", "command"])]
    file: Option<PathBuf>,

    /// The authorization server: its issuer URL
    #[arg(long, env = "MCP_AUTH_ISSUER", value_name = "URL", conflicts_with = "provider")]
    issuer: Option<String>,

    /// The authorization server: a provider, and what identifies the tenant there: auth0:acme.eu.auth0.com
    #[arg(long, env = "MCP_AUTH_PROVIDER", value_name = "NAME:VALUE")]
    provider: Option<String>,

    /// The URL that users give to their clients
    #[arg(long, env = "MCP_AUTH_URL", value_name = "URL", required_unless_present_any = ["file", "schema", "demo"])]
    url: Option<String>,

    /// Instead of --issuer and --url: try it on this machine, with a development issuer that lets anyone in
    #[arg(long, conflicts_with_all = ["file", "issuer", "provider", "url", "check", "print_config", "schema"])]
    demo: bool,

    /// The MCP server that is protected
    #[arg(long, env = "MCP_AUTH_UPSTREAM", value_name = "URL")]
    upstream: Option<String>,

    /// Each stdio server that another client has configured (.mcp.json), at the URL followed by its name
    #[arg(long, value_name = "FILE", conflicts_with_all = ["upstream", "command"])]
    import: Option<PathBuf>,

    /// The scopes that every token needs, separated by spaces
    #[arg(long, env = "MCP_AUTH_SCOPES", value_name = "SCOPES", default_value = "")]
    scopes: String,

    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, env = "MCP_AUTH_LISTEN", value_name = "ADDRESS", value_parser = parse_address)]
    listen: Option<SocketAddr>,

    /// Where to answer the operator: / (a page), /livez, /readyz, /metrics [default: nowhere]
    #[arg(long, env = "MCP_AUTH_ADMIN", value_name = "ADDRESS", value_parser = parse_address)]
    admin: Option<SocketAddr>,

    /// Instead of --upstream: the program that is started for each session, which speaks MCP over stdio
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "upstream")]
    command: Vec<String>,

    /// Check the configuration, and exit
    #[arg(long)]
    check: bool,

    /// Print the configuration in TOML, without secrets, and exit
    #[arg(long)]
    print_config: bool,

    /// Print the JSON Schema of the file, and exit
    #[arg(long)]
    schema: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    if arguments.schema {
        let schema = serde_json::to_string_pretty(&Config::schema())?;
        return Ok(writeln!(std::io::stdout(), "{schema}")?);
    }
    let (development, sockets) = match arguments.demo {
        true => {
            let (development, sockets) =
                Development::start(arguments.listen, arguments.admin).await?;
            (Some(development), sockets)
        }
        false => (None, Sockets::default()),
    };
    let (file, config) = match &arguments.file {
        Some(file) => {
            let (file, mut config) = ConfigFile::read(file)?;
            // Where to listen depends on the machine, as in a container.
            config.listen = arguments.listen.or(config.listen);
            config.admin = arguments.admin.or(config.admin);
            (Some(file), config)
        }
        None => (None, arguments.to_config(development.as_ref())?),
    };
    if arguments.print_config {
        mcp_auth_gateway::check(&config)?;
        print!("{}", mcp_auth_gateway::with_defaults(&config).to_toml()?);
        return Ok(());
    }
    if arguments.check {
        // Nothing is asked, so what the log would say about that is not true.
        let silent = tracing::subscriber::NoSubscriber::default();
        tracing::subscriber::with_default(silent, || mcp_auth_gateway::check(&config))?;
        config.check_api_keys().await?;
        println!("the configuration is valid; number of resources: {}", config.resources.len());
        return Ok(());
    }
    let sockets = match &development {
        Some(development) => {
            development.issue_for(&config);
            sockets
        }
        None => systemd::sockets()?,
    };
    // Before it answers anybody, so that no signal ends it otherwise.
    let mut told = signals::Told::listen()?;
    let gateway = Gateway::start_at(sockets, &config, file).await?;
    introduce(&config, &gateway, development.as_ref())?;
    systemd::notify(systemd::READY);
    let by = told.next().await;
    systemd::notify(systemd::STOPPING);
    tracing::info!(target: "mcp_auth", "ends; a second signal ends it at once");
    let now = std::future::ready(());
    let ends = async {
        match by {
            By::System => gateway.run_until_replaced(now).await,
            By::Person => gateway.run_until(now).await,
        }
    };
    tokio::select! {
        () = ends => {}
        _ = told.next() => tracing::warn!(target: "mcp_auth", "ends at once"),
    }
    Ok(())
}

/// A resource for each stdio server in a file of another client, like one that is described.
fn imported(file: &Path, like: &ResourceConfig) -> Result<Vec<ResourceConfig>> {
    let place = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| place(&error))?;
    let servers = mcp_auth_config::import_mcp_json(&text, |name| std::env::var(name).ok());
    let servers = servers.map_err(|error| place(&error))?;
    let base = like.url.trim_end_matches('/');
    let resource = |server: mcp_auth_config::ImportedServer| ResourceConfig {
        url: format!("{base}/{}", server.name),
        command: Some(server.command),
        env: server.env,
        ..like.clone()
    };
    Ok(servers.into_iter().map(resource).collect())
}

impl Arguments {
    fn to_config(&self, development: Option<&Development>) -> Result<Config> {
        let issuer = match (development, &self.issuer, &self.provider) {
            (Some(development), ..) => development.issuer(),
            (None, Some(url), _) => {
                IssuerConfig { url: Some(url.clone()), ..IssuerConfig::default() }
            }
            (None, None, Some(provider)) => IssuerConfig::of_provider(provider)?,
            (None, None, None) => {
                return Err(
                    "set --issuer, the URL of your authorization server, or --provider".into()
                );
            }
        };
        let (url, allowed_origins) = match development {
            Some(development) => (development.url(), INSPECTOR.map(str::to_owned).into()),
            None => (self.url.clone().unwrap_or_default(), Vec::new()),
        };
        let resource = ResourceConfig {
            url,
            allowed_origins,
            scopes: self.scopes.split_whitespace().map(str::to_owned).collect(),
            ..ResourceConfig::default()
        };
        let resources = match (&self.import, &self.upstream, &*self.command) {
            (Some(file), ..) => imported(file, &resource)?,
            (None, Some(url), _) => {
                vec![ResourceConfig { upstream: Some(Strings::One(url.clone())), ..resource }]
            }
            (None, None, []) => {
                return Err("set --upstream, the URL of your MCP server, or write `--` and the command that starts it".into());
            }
            (None, None, command) => {
                vec![ResourceConfig { command: Some(command.to_vec()), ..resource }]
            }
        };
        Ok(Config {
            listen: self.listen,
            admin: self.admin,
            issuers: [("issuer".to_owned(), issuer)].into(),
            resources,
            ..Config::default()
        })
    }
}

/// Prints what was started, and how a client is connected.
fn introduce(
    config: &Config,
    gateway: &Gateway,
    development: Option<&Development>,
) -> io::Result<()> {
    // The standard output may be the audit log.
    let is_log = config.audit.as_ref().is_some_and(|audit| audit.file.is_none());
    let mut out: Box<dyn io::Write> =
        if is_log { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    writeln!(out, "listening at {}", gateway.local_addr())?;
    if let Some(admin) = gateway.admin_addr() {
        writeln!(out, "  for its operator: http://{admin}/")?;
    }
    for resource in &config.resources {
        let rules = match resource.rule_count() {
            0 if resource.optional => "no rules: every tool is open to everyone".to_owned(),
            0 => "no rules: every tool is open to every admitted caller".to_owned(),
            number => format!("number of rules: {number}"),
        };
        let url = &resource.url;
        let role = match (&resource.upstream, &resource.command, &resource.forward_auth) {
            (_, _, Some(asks)) => {
                format!("passed on by a proxy ({:?}), which asks here", asks.proxy)
            }
            (Some(upstream), _, None) => format!("in front of {}", upstream.to_vec().join(" and ")),
            // Not its arguments, which may have been keys in the file of another client.
            (None, command, None) => {
                let program: String = command.iter().flatten().take(1).cloned().collect();
                format!("in front of {program}")
            }
        };
        writeln!(out, "\n  {url}\n  {role}; {rules}")?;
        writeln!(out, "  Claude Code  claude mcp add --transport http protected {url}")?;
    }
    if let Some(development) = development {
        development.introduce(config, &mut out)?;
    }
    Ok(())
}
