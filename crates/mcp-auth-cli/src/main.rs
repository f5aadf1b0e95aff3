//! The command line program: `mcp-auth serve` protects an MCP server in any language, and `mcp-auth demo` shows a
//! protected one at work.

mod api_key;
mod issuer;
mod demo;
mod development;
mod log;
mod signals;
mod systemd;
mod serve;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::log::Log;

#[derive(Parser)]
#[command(name = "mcp-auth", version, about = "OAuth 2.1 for MCP servers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an API key for a program that cannot log in
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// Runs a protected MCP server and a development authorization server on this machine
    Demo(demo::Arguments),
    /// Protects an MCP server in any language: a reverse proxy that admits only verified tokens
    Serve(Box<serve::Arguments>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let ended = match command {
        Command::ApiKey(command) => api_key::run(command),
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Serve(arguments) => {
            let levels = EnvFilter::builder().with_default_directive(Level::INFO.into());
            let levels = levels.from_env_lossy(); // RUST_LOG
            let is_terminal = std::io::stderr().is_terminal();
            tracing_subscriber::fmt()
                .with_env_filter(levels)
                .with_writer(Log::new)
                .with_ansi(is_terminal)
                .init();
            serve::run(*arguments).await
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp-auth: {error}");
            ExitCode::FAILURE
        }
    }
}
