//! List filtering by the rules of a resource: which items a caller sees, and which scopes a tool requires.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::model::auth_info::AuthInfo;
use crate::net::clock::Clock;
use crate::policy::authorization::Policy;
use crate::policy::list_filter::{ListItemKind, ListPredicate, ToolScopeLookup};
use crate::policy::operation::Operation;

/// Keeps the items that the rules permit the caller at the moment.
pub(super) fn permitted_items(policy: Arc<Policy>, clock: Arc<dyn Clock>) -> Box<ListPredicate> {
    Box::new(move |caller: Option<&AuthInfo>, listed, name| {
        let operation = operation_of(listed, name);
        let allowed = match caller {
            Some(caller) => policy.check_operation(caller.data(), &operation, clock.now()),
            None => policy.check_anonymous(&operation),
        };
        allowed.is_ok()
    })
}

/// A function of the application. An item about which it panics is left out.
pub(super) fn without_panics(keep: Box<ListPredicate>) -> Box<ListPredicate> {
    Box::new(move |caller, listed, name| {
        let kept = catch_unwind(AssertUnwindSafe(|| keep(caller, listed, name)));
        kept.unwrap_or_else(|_| {
            tracing::error!(target: "mcp_auth", "the function given to `.list_only(..)` panicked, so an item is left out of a list: correct it; the process has printed why");
            false
        })
    })
}

/// The scopes that a client must request to call a tool. Returns `None` if no rule covers the tool.
pub(super) fn required_scopes(policy: Arc<Policy>) -> Box<ToolScopeLookup> {
    Box::new(move |tool| policy.scopes_to_request(&Operation::of_tool(tool)))
}

fn operation_of(listed: ListItemKind, name: &str) -> Operation<'_> {
    match listed {
        ListItemKind::Tool => Operation::of_tool(name),
        ListItemKind::Prompt => Operation::of_prompt(name),
        ListItemKind::Resource | ListItemKind::Skill => Operation::of_resource(name),
        ListItemKind::ResourceTemplate => Operation::of_template(name),
    }
}
