//! The command line program: `mcp-auth serve` protects an MCP server in any language, and `mcp-auth demo` shows a
//! protected one at work.

mod demo;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "mcp-auth", version, about = "OAuth 2.1 for MCP servers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a protected MCP server and a development authorization server on this machine
    Demo(demo::Arguments),
    /// Protects an MCP server in any language: a reverse proxy that admits only verified tokens
    Serve(serve::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let ended = match command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Serve(arguments) => {
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_max_level(tracing::Level::INFO)
                .init();
            serve::run(arguments).await
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
