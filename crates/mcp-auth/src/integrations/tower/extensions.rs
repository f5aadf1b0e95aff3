//! Extensions of requests and responses.

use crate::model::denial::Denial;
use crate::resource::mcp_auth::McpAuth;

/// In the extensions of an anonymous request: the resource, which can build the challenge to log in.
#[derive(Clone)]
pub(crate) struct Anonymous(pub(crate) McpAuth);

/// In the extensions of a response: the denial with which a handler answered.
#[derive(Clone)]
pub(crate) struct HandlerDenial(pub(crate) Denial);
