//! Lists by the rules of a resource: what a caller may use is shown, and what it needs.

use std::sync::Arc;

use crate::model::auth_info::AuthInfo;
use crate::net::clock::Clock;
use crate::policy::authorization::Policy;
use crate::policy::list_filter::{ListItemKind, ListPredicate, ToolScopeLookup};
use crate::policy::operation::Operation;

/// Shows what the rules permit at the moment.
pub(super) fn permitted(policy: Arc<Policy>, clock: Arc<dyn Clock>) -> Box<ListPredicate> {
    Box::new(move |caller: Option<&AuthInfo>, listed, name| {
        let operation = use_of(listed, name);
        let allowed = match caller {
            Some(caller) => policy.check_operation(caller.data(), &operation, clock.now()),
            None => policy.check_anonymous(&operation),
        };
        allowed.is_ok()
    })
}

/// The scopes that a client asks for to call a tool, where a rule speaks of it.
pub(super) fn needs(policy: Arc<Policy>) -> Box<ToolScopeLookup> {
    Box::new(move |tool| policy.scopes_to_request(&Operation::of_tool(tool)))
}

fn use_of(listed: ListItemKind, name: &str) -> Operation<'_> {
    match listed {
        ListItemKind::Tool => Operation::of_tool(name),
        ListItemKind::Prompt => Operation::of_prompt(name),
        ListItemKind::Resource | ListItemKind::ResourceTemplate => Operation::of_resource(name),
    }
}
