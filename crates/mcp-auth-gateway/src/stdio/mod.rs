//! An MCP server that speaks stdio, behind the gateway: Streamable HTTP on one side, processes on the other.

mod framing;
mod message;
mod own_messages;
mod ids;
mod stream;
mod owner;
mod client;
mod dispatch;
mod environment;
mod group;
mod pumps;
mod process;
mod back_off;
mod pool;
mod events;
mod responses;
mod http;

pub(crate) use http::StdioUpstream;
pub(crate) use responses::StdioBody;
