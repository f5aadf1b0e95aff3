//! Operating a gateway: its file changes, it ends, and what it writes down and limits.

mod audit;
mod hidden;
mod drain;
mod limits;
mod reload;
mod status_page;
mod traces;
mod replicas;
#[path = "../../../mcp-auth-redis/tests/it/server.rs"]
mod server;
mod upstreams;
mod world;
