//! The command line program: `mcp-auth demo` shows a protected MCP server at work.

mod demo;

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
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command: Command::Demo(arguments) } = Arguments::parse();
    match demo::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp-auth: {error}");
            ExitCode::FAILURE
        }
    }
}
