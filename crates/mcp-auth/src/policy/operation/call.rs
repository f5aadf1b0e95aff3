//! `Call`: one MCP message, its method and its target.

use std::borrow::Cow;

use crate::policy::operation::target::Target;

/// One message: its method, and what the method applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call<'m> {
    /// `None` if it is the client's response to a request of the server.
    pub(crate) method: Option<Cow<'m, str>>,
    pub(crate) target: Target<'m>,
    /// The `id` of a request, as JSON. `None` for a notification.
    pub(super) id: Option<&'m str>,
}

/// The methods of all protocol revisions and of the tasks extension, the most frequent one first. Any other
/// method is unknown.
pub(super) const METHODS: &[&str] = &[
    "tools/call",
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/list",
];

/// Whether the protocol defines a method.
pub(crate) fn is_known_method(method: &str) -> bool {
    METHODS.contains(&method)
}
