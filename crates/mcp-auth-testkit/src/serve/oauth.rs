//! Configures oauth-as with the issuer's keys and resources, again whenever they change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oauth_as::http::{AuthorizationService, ServiceBuilder};
use oauth_as::jwt::{AccessTokenFormat, JwtConfig};
use oauth_as::registration::{
    RegistrationAttempt, RegistrationConfig, RegistrationDecision, RegistrationPolicy,
};
use oauth_as::server::{AuthorizationServer, ResourceServerRegistration, ServerConfig};
use oauth_as::store::Storage as _;
use oauth_as::{Client, ClientAuth, ClientId, GrantType, ScopeSet};

use super::pending::Pending;
use super::signer::Signer;
use super::storage::SharedStorage;
use crate::TestIssuer;
use crate::document::{jwks_uri, under};
use crate::time::Time;

/// The state shared by the handlers.
pub(super) struct OAuth {
    pub(super) issuer: TestIssuer,
    storage: SharedStorage,
    current: tokio::sync::Mutex<Option<Generation>>,
    /// Requests that wait at the consent page, by the ticket in its form.
    pending: Mutex<HashMap<String, Pending>>,
}

/// An oauth-as server for one signing key and one list of resources, which it takes at construction.
#[derive(Clone)]
pub(super) struct Generation {
    kid: String,
    resources: Vec<(String, Vec<String>)>,
    pub(super) server: Arc<AuthorizationServer<SharedStorage, Time>>,
    pub(super) service: AuthorizationService<SharedStorage, Time>,
}

impl OAuth {
    pub(super) fn new(issuer: TestIssuer) -> Arc<Self> {
        Arc::new(Self {
            issuer,
            storage: SharedStorage::default(),
            current: tokio::sync::Mutex::default(),
            pending: Mutex::default(),
        })
    }

    pub(super) async fn current(&self) -> Generation {
        let mut current = self.current.lock().await;
        let state = self.issuer.state().clone();
        match &*current {
            Some(it) if it.kid == state.keys.active().kid && it.resources == state.resources => {
                it.clone()
            }
            _ => {
                let made = self.generation();
                self.register_clients(&made).await;
                current.insert(made).clone()
            }
        }
    }

    pub(super) async fn sweep(&self) {
        let now = self.issuer.0.settings.time.now();
        // In-memory storage does not fail, and the next sweep comes in a minute.
        let _ = self.storage.sweep_expired(now).await;
        self.pending().retain(|_, pending| pending.is_fresh(now));
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every known scope, which all clients are registered for.
    pub(super) fn scopes(&self) -> ScopeSet {
        scope_set(&self.issuer.state().scopes())
    }

    pub(super) fn registration_bounds(&self) -> RegistrationConfig {
        let mut bounds = RegistrationConfig::new();
        bounds.allowed_grant_types.push(GrantType::ClientCredentials);
        bounds.allowed_scopes = self.scopes();
        bounds.management_enabled = false;
        bounds
    }

    fn generation(&self) -> Generation {
        let url = self.issuer.url();
        let state = self.issuer.state().clone();
        let audience = state.default_audience();
        let resources = state.resources.iter().map(|(url, _)| url.as_str());
        let mut config = ServerConfig::new(url, under(url, "device"));
        config.introspection_endpoint = Some(under(url, "introspect"));
        config.registration = Some(Box::new(self.registration_bounds()));
        config.scopes_supported = Some(state.scopes());
        config.allowed_resources = Some(resources.clone().map(Into::into).collect());
        let introspectors =
            self.issuer.0.settings.clients.iter().map(|(id, _)| {
                ResourceServerRegistration::new(ClientId::new(id), resources.clone())
            });
        config.resource_servers = Some(introspectors.collect());
        config.access_token_format = AccessTokenFormat::Jwt(Box::new(
            JwtConfig::new(Signer::new(Arc::clone(state.keys.active())), audience)
                .with_jwks_uri(jwks_uri(url)),
        ));
        let time = self.issuer.0.settings.time.clone();
        let server = AuthorizationServer::with_clock(config, self.storage.clone(), time)
            .with_registration_policy(Box::new(Open));
        let server = Arc::new(server);
        let service = ServiceBuilder::new(Arc::clone(&server))
            .build()
            .expect("every endpoint is under the issuer, at a path of its own");
        Generation {
            kid: state.keys.active().kid.clone(),
            resources: state.resources,
            server,
            service,
        }
    }

    async fn register_clients(&self, made: &Generation) {
        for (id, secret) in &self.issuer.0.settings.clients {
            let client = Client {
                client_id: ClientId::new(id),
                auth: ClientAuth::ConfidentialSecret { secret: secret.clone() },
                grant_types: vec![GrantType::ClientCredentials],
                redirect_uris: Vec::new(),
                allowed_scopes: self.scopes(),
                default_scopes: self.scopes(),
                name: None,
                registration: None,
            };
            // In-memory storage does not fail.
            let _ = made.server.register_client(client).await;
        }
    }
}

struct Open;

impl RegistrationPolicy for Open {
    fn authorize(&self, _: &RegistrationAttempt<'_>) -> RegistrationDecision {
        RegistrationDecision::Allow
    }
}

/// A scope set without invalid scopes (RFC 6749 §3.3).
pub(super) fn scope_set(scopes: &[String]) -> ScopeSet {
    let valid = scopes.iter().filter(|it| ScopeSet::from_tokens([it.as_str()]).is_ok());
    ScopeSet::from_tokens(valid.map(String::as_str)).unwrap_or_else(|_| ScopeSet::empty())
}
