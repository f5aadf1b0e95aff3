//! `ResourceContext`: the accepted audiences of a resource, and its scopes.

use crate::model::resource_scopes::ResourceScopes;

/// The audiences and scopes of a resource, shared by its policy and the callers that it admits.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceContext {
    /// The accepted audiences. The URL of the resource is the first.
    pub(crate) audiences: Vec<String>,
    pub(crate) scopes: ResourceScopes,
}
