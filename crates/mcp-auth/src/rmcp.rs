//! The door for rmcp: the caller as an argument of tools and prompts.

use http::request::Parts;
use rmcp::handler::server::common::{AsRequestContext, FromContextPart};
use rmcp::{ErrorData, RoleServer, service::RequestContext};

use crate::token::AuthInfo;
use crate::tower::Anonymous;

/// The caller, where credentials are optional: nothing for an anonymous one.
///
/// ```
/// use mcp_auth::OptionalAuthInfo;
///
/// fn greet(OptionalAuthInfo(caller): OptionalAuthInfo) -> String {
///     caller.map_or("Hello, whoever you are".into(), |caller| format!("Hello, {}", caller.subject()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct OptionalAuthInfo(pub Option<AuthInfo>);

/// The caller of the HTTP request that carried this call, never of the session.
///
/// ```
/// use mcp_auth::AuthInfo;
/// use rmcp::{tool, tool_router};
///
/// struct Server;
///
/// #[tool_router]
/// impl Server {
///     #[tool(description = "Who is calling?")]
///     async fn whoami(&self, auth: AuthInfo) -> String {
///         format!("{} via {}", auth.subject(), auth.issuer())
///     }
/// }
/// ```
impl<C: AsRequestContext> FromContextPart<C> for AuthInfo {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let context = context.as_request_context();
        caller(context).ok_or_else(|| {
            if !is_anonymous(context) {
                tracing::error!(target: "mcp_auth", "a tool or prompt asks for AuthInfo, and the service is not behind `bearer_auth()`");
            }
            ErrorData::invalid_request("this needs an authenticated caller", None)
        })
    }
}

impl<C: AsRequestContext> FromContextPart<C> for OptionalAuthInfo {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        Ok(Self(caller(context.as_request_context())))
    }
}

/// The layer puts the caller into the HTTP request; rmcp puts the head of that into its context.
fn caller(context: &RequestContext<RoleServer>) -> Option<AuthInfo> {
    context.extensions.get::<Parts>()?.extensions.get::<AuthInfo>().cloned()
}

/// Whether the layer let the request pass without credentials.
fn is_anonymous(context: &RequestContext<RoleServer>) -> bool {
    context
        .extensions
        .get::<Parts>()
        .is_some_and(|parts| parts.extensions.get::<Anonymous>().is_some())
}
