//! Scopes declared next to a tool or prompt: rules for the layer, and guards in the handler.

use std::future::ready;
use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{Extensions, MetaObject};
use serde_json::Value;

use crate::integrations::rmcp::caller::{caller, is_anonymous, unauthenticated};
use crate::model::scope_requirement::{AnyOf, Require};
use crate::policy::operation::Operation;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::ToolScopes;
use crate::resource::mcp_auth::McpAuth;

/// The `_meta` key of a declaration, which the guard removes.
const KEY: &str = "io.github.mcp-auth/requires";

/// Declares which scopes a tool or prompt requires, next to its function: `meta = requires(["notes:write"])`.
///
/// One declaration serves three purposes: the layer answers 403 by it ([`ToolScopes::declared_by_tools`]), the
/// handler is guarded by it ([`McpAuth::guard_tools`]), and lists are filtered by it.
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
    /// Adds rules for what the tools of a router declare with [`requires`].
    #[must_use]
    pub fn declared_by_tools<S>(self, router: &ToolRouter<S>) -> Self {
        let declared = router.map.values().map(|route| (&route.attr.name, &route.attr.meta));
        declared.fold(self, |rules, (name, meta)| match declaration(meta.as_ref()) {
            Some(rule) => rules.exact_tool(name, rule),
            None => rules,
        })
    }

    /// Adds rules for what the prompts of a router declare with [`requires`].
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
    /// Also guards the tools of a router in the handler, by the rules of this resource.
    ///
    /// For servers that can be reached without passing the layer. An anonymous caller can call only tools that
    /// have no rule; a request that did not pass the layer is refused. Declarations are removed from what
    /// clients see. Tools that are added to the router later are not guarded.
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

    /// Also guards the prompts of a router in the handler: see [`guard_tools`](Self::guard_tools).
    ///
    /// `#[prompt_handler]` silently replaces a `get_prompt` that you write yourself, so a check in it would
    /// never run. This guard does run.
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

/// The declared rule. A declaration that cannot be read forbids the tool to everyone.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unreadable_declaration_forbids_the_tool() {
        let declared = |value: Value| {
            let mut meta = MetaObject::new();
            meta.insert(KEY.to_owned(), value);
            declaration(Some(&meta))
        };
        assert_eq!(declared(json!(["read"])), Some(Rule::from("read")));
        for value in [json!("read"), json!(null), json!({}), json!([1]), json!(["read", null])] {
            assert_eq!(declared(value.clone()), Some(Rule::never()), "{value}");
        }
        assert_eq!(declaration(None), None);
        assert_eq!(declaration(Some(&MetaObject::new())), None);
    }
}
