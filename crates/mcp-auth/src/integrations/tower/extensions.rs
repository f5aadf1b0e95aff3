//! Extensions of requests and responses.

use crate::model::denial::Denial;
use crate::resource::mcp_auth::McpAuth;

/// In the extensions of an anonymous request: the resource, which can build the challenge to log in, and the name by
/// which the client called it.
#[derive(Clone)]
pub(crate) struct Anonymous(pub(crate) McpAuth, pub(crate) usize);

/// In the extensions of a response: the denial with which a handler answered.
#[derive(Clone)]
pub(crate) struct HandlerDenial(pub(crate) Denial);
