//! A reverse proxy that protects MCP servers in any language with [`mcp_auth`].
//!
//! A request goes one straight way: [listener](Gateway) → resource, by host and path → the library's
//! [`BearerAuth`](mcp_auth::BearerAuth) → upstream, and back. Its body is passed on byte for byte.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = mcp_auth_config::Config::from_toml(&std::fs::read_to_string("gateway.toml")?)?;
//! let gateway = mcp_auth_gateway::Gateway::start(&config).await?;
//! println!("listening at {}", gateway.local_addr());
//! gateway.run_until(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

mod recorder;
mod prometheus;
mod telemetry;
mod headers;
mod because;
mod host;
mod asked_request;
mod trace_context;
mod span;
mod recorded;
mod budget;
mod log_limit;
mod open_files;
mod places;
mod connections;
mod under_way;
mod audit_line;
mod refusals;
mod buckets;
mod limits;
mod api_key;
mod hangups;
mod audit_limited;
mod audit_notes;
mod audit_writer;
mod audit;
mod lent;
mod upstream;
mod exporter;
mod traces;
mod start_error;
mod replicas;
mod shared;
mod upstreams;
mod identity_token;
mod identity;
mod exchange;
mod stdio;
mod backend;
mod summary;
mod proxy;
mod polls;
mod protected;
mod forward_auth;
mod routes;
mod sockets;
mod signing;
mod html;
mod history;
mod chart;
mod status_page;
mod serving;
mod reload;
mod ending;
mod admin;
mod tls;
mod opened;
mod listener;
mod gateway;

pub use audit_line::{
    AuditCaller, AuditDecision, AuditLimited, AuditLine, AuditLost, AuditRequest, AuditedCall,
    AuditedDecision, AuditedMessage,
};
pub use gateway::{Gateway, check, with_defaults};
pub use sockets::Sockets;
pub use start_error::StartError;
