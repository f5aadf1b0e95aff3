//! `AuthInfo` as an argument of tools and prompts, and `Denial` as their error.

use rmcp::handler::server::common::{AsRequestContext, FromContextPart};
use rmcp::model::ErrorCode;
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer};
use serde_json::Value;

use crate::integrations::rmcp::caller::{caller, is_anonymous, unauthenticated};
use crate::model::auth_info::AuthInfo;
use crate::model::denial::{Denial, DenialKind};
use crate::model::scope_requirement::Require;

/// The caller, where credentials are optional. `None` if the caller is anonymous.
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

/// The caller of the HTTP request that carried this call, never the caller that opened the session.
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
        let extensions = &context.as_request_context().extensions;
        caller(extensions).cloned().ok_or_else(|| {
            if !is_anonymous(extensions) {
                tracing::error!(target: "mcp_auth", "a tool or prompt asks for AuthInfo, and the service is not behind `bearer_auth()`");
            }
            unauthenticated()
        })
    }
}

impl<C: AsRequestContext> FromContextPart<C> for OptionalAuthInfo {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        Ok(Self(caller(&context.as_request_context().extensions).cloned()))
    }
}

/// Access to the caller in the methods of a `ServerHandler`, which have no extractors.
///
/// ```
/// use mcp_auth::AuthContext;
/// use rmcp::model::{ErrorData, ReadResourceRequestParams, ReadResourceResult};
/// use rmcp::service::RequestContext;
/// use rmcp::RoleServer;
///
/// async fn read_resource(
///     request: ReadResourceRequestParams,
///     context: RequestContext<RoleServer>,
/// ) -> Result<ReadResourceResult, ErrorData> {
///     let owner = context.require(["notes:read"])?.subject();
///     // ... the notes of this owner
/// #   let _ = (request, owner);
///     Ok(ReadResourceResult::new(Vec::new()))
/// }
/// ```
pub trait AuthContext {
    /// The caller of the HTTP request that carried this message. Returns `None` if the caller is anonymous, or
    /// if the service is not behind `bearer_auth()`.
    fn auth(&self) -> Option<&AuthInfo>;

    /// Returns the caller if the token grants these scopes: see [`AuthInfo::require`].
    ///
    /// # Errors
    ///
    /// A JSON-RPC error to return. The layer turns it into a 403 with a challenge if the head of the response
    /// has not been sent yet.
    fn require(&self, scopes: impl Into<Require>) -> Result<&AuthInfo, ErrorData> {
        let caller = self.auth().ok_or_else(unauthenticated)?;
        caller.require(scopes)?;
        Ok(caller)
    }
}

impl AuthContext for RequestContext<RoleServer> {
    fn auth(&self) -> Option<&AuthInfo> {
        caller(&self.extensions)
    }
}

impl AuthContext for NotificationContext<RoleServer> {
    fn auth(&self) -> Option<&AuthInfo> {
        caller(&self.extensions)
    }
}

/// A JSON-RPC error for a denial, for when it is too late for an HTTP status. Its code is the HTTP status,
/// which is outside the range that JSON-RPC and MCP reserve.
impl From<Denial> for ErrorData {
    fn from(denial: Denial) -> Self {
        let scope = match denial.kind() {
            DenialKind::InsufficientScope(scope) => Some(scope.as_str()),
            _ => None,
        };
        let data = Value::from_iter([("error", Some(denial.code())), ("scope", scope)]);
        let message = match denial.kind() {
            DenialKind::Unavailable { .. } => "this cannot be done at the moment; try again later",
            _ => "this is not permitted to this caller",
        };
        let code = ErrorCode(denial.status().as_u16().into());
        Self::new(code, message, Some(data))
    }
}
