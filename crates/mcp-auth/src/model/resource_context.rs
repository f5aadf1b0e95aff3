//! What a resource is called, and the scopes it knows.

use crate::model::resource_scopes::ResourceScopes;

/// Shared by the policy of a resource and the callers that it admits.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceContext {
    /// The accepted audiences: the URL of the resource first.
    pub(crate) audiences: Vec<String>,
    pub(crate) scopes: ResourceScopes,
}
