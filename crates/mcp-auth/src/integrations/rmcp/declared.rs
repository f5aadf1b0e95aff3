//! Scopes written next to a tool or prompt: read by the layer, and guarded in the handler.

use std::future::ready;
use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{Extensions, MetaObject};
use serde_json::Value;

use crate::integrations::rmcp::caller::{caller, is_anonymous, unauthenticated};
use crate::model::require::{AnyOf, Require};
use crate::policy::operation::Operation;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::ToolScopes;
use crate::resource::mcp_auth::McpAuth;

/// Where a declaration stands until the guard takes it away.
const KEY: &str = "io.github.mcp-auth/requires";

/// Declares what a tool or prompt requires, next to its function: `meta = requires(["notes:write"])`.
///
/// The one declaration is what the layer answers 403 by ([`ToolScopes::declared_by_tools`]), what the
/// handler is guarded by ([`McpAuth::guard_tools`]) and what lists are filtered by.
///
/// ```
/// use mcp_auth::{AuthInfo, McpAuth, ToolScopes, requires};
/// use rmcp::handler::server::router::tool::ToolRouter;
/// use rmcp::{ServerHandler, tool, tool_handler, tool_router};
///
/// #[derive(Clone)]
/// struct Notes {
///     tools: ToolRouter<Self>,
/// }
///
/// #[tool_router]
/// impl Notes {
///     #[tool(description = "Adds a note", meta = requires(["notes:write"]))]
///     async fn add_note(&self, auth: AuthInfo) -> String {
///         format!("added for {}", auth.subject())
///     }
/// }
///
/// #[tool_handler(router = self.tools)]
/// impl ServerHandler for Notes {}
///
/// let tools = Notes::tool_router();
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com")
///     .tools(ToolScopes::new().declared_by_tools(&tools))
///     .build()?;
/// let notes = Notes { tools: auth.guard_tools(tools) };
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[must_use]
pub fn requires(scopes: impl Into<Require>) -> MetaObject {
    let conditions: Vec<Value> = scopes.into().alternatives().map(Value::from).collect();
    let mut meta = MetaObject::default();
    meta.insert(KEY.to_owned(), Value::from(conditions));
    meta
}

impl ToolScopes {
    /// Takes over what the tools of a router declare with [`requires`].
    #[must_use]
    pub fn declared_by_tools<S>(self, router: &ToolRouter<S>) -> Self {
        let declared = router.map.values().map(|route| (&route.attr.name, &route.attr.meta));
        declared.fold(self, |rules, (name, meta)| match declaration(meta.as_ref()) {
            Some(rule) => rules.exact_tool(name, rule),
            None => rules,
        })
    }

    /// Takes over what the prompts of a router declare with [`requires`].
    #[must_use]
    pub fn declared_by_prompts<S>(self, router: &PromptRouter<S>) -> Self {
        let declared = router.map.values().map(|route| (&route.attr.name, &route.attr.meta));
        declared.fold(self, |rules, (name, meta)| match declaration(meta.as_ref()) {
            Some(rule) => rules.exact_prompt(name, rule),
            None => rules,
        })
    }
}

impl McpAuth {
    /// Guards the tools of a router in the handler as well, by the rules of this resource: for servers
    /// that can be reached by other ways than the layer. Without an admitted caller nothing is called
    /// that a rule speaks of. Declarations are taken out of what clients see. Tools that are added to the
    /// router afterwards are not guarded here.
    #[must_use]
    pub fn guard_tools<S: Send + Sync + 'static>(
        &self,
        mut router: ToolRouter<S>,
    ) -> ToolRouter<S> {
        for route in router.map.values_mut() {
            let (auth, call) = (self.clone(), route.call.clone());
            remove_declaration(&mut route.attr.meta);
            route.call = Arc::new(move |context| {
                let operation = Operation::of_tool(&context.name);
                match auth.guard(&context.request_context.extensions, &operation) {
                    Ok(()) => call(context),
                    Err(error) => Box::pin(ready(Err(error))),
                }
            });
        }
        router
    }

    /// Guards the prompts of a router in the handler as well: see [`guard_tools`](Self::guard_tools).
    ///
    /// `#[prompt_handler]` replaces a `get_prompt` that you write yourself without a word: a check in
    /// there would never run. This one does.
    #[must_use]
    pub fn guard_prompts<S: Send + Sync + 'static>(
        &self,
        mut router: PromptRouter<S>,
    ) -> PromptRouter<S> {
        for route in router.map.values_mut() {
            let (auth, get) = (self.clone(), route.get.clone());
            remove_declaration(&mut route.attr.meta);
            route.get = Arc::new(move |context| {
                let operation = Operation::of_prompt(&context.name);
                match auth.guard(&context.context.extensions, &operation) {
                    Ok(()) => get(context),
                    Err(error) => Box::pin(ready(Err(error))),
                }
            });
        }
        router
    }

    fn guard(&self, extensions: &Extensions, operation: &Operation<'_>) -> Result<(), ErrorData> {
        match caller(extensions) {
            Some(caller) => Ok(self.check_operation(caller, operation)?),
            None if is_anonymous(extensions) => Ok(self.check_anonymous(operation)?),
            None => Err(unauthenticated()),
        }
    }
}

/// The rule that was declared. What cannot be read forbids the tool to everybody.
fn declaration(meta: Option<&MetaObject>) -> Option<Rule> {
    let declared = meta?.get(KEY)?;
    let alternatives = |condition: &Value| Some(Require::from(AnyOf(condition.as_str()?)));
    let conditions = declared.as_array().and_then(|all| {
        all.iter().try_fold(Require::default(), |all, one| Some(all.and(alternatives(one)?)))
    });
    Some(conditions.map_or_else(Rule::never, Rule::from))
}

fn remove_declaration(meta: &mut Option<MetaObject>) {
    if let Some(object) = meta {
        object.remove(KEY);
    }
    *meta = meta.take().filter(|object| !object.is_empty());
}
