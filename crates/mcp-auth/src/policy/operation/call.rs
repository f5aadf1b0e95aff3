//! `Call`: one MCP message, its method and its targets.

use std::borrow::Cow;

use crate::policy::operation::target::Target;

/// One message: its method, and what it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call<'m> {
    /// `None` if it is the client's response to a request of the server.
    pub(crate) method: Option<Cow<'m, str>>,
    /// What the protocol says that the method applies to.
    pub(super) first: Option<Target<'m>>,
    /// Everything else that the message names. Usually empty, so that it needs no allocation.
    pub(super) others: Vec<Target<'m>>,
    /// The `id` of a request, as JSON. `None` for a notification.
    pub(super) id: Option<&'m str>,
}

impl<'m> Call<'m> {
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target<'m>> {
        self.first.iter().chain(&self.others)
    }

    /// The names of its targets.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.targets().filter_map(|target| target.name.as_deref())
    }
}

/// The methods of all protocol revisions and of the tasks and skills extensions, the most frequent one first.
/// Any other method is unknown.
pub(super) const METHODS: &[&str] = &[
    "tools/call",
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks",
    "notifications/tasks/status",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/directory/read",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "skills/get",
    "skills/list",
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
