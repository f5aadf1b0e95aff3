//! The settings of token exchange at an authorization server.

use std::sync::Arc;
use std::time::Duration;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::introspection::ClientAuthentication;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) server: AuthorizationServer,
    pub(super) authentication: ClientAuthentication,
    pub(super) endpoint: Option<Arc<str>>,
    pub(super) cache_for: Duration,
    pub(super) cached_tokens: usize,
    pub(super) max_in_flight: usize,
    pub(super) timeout: Duration,
}
