//! What serves requests at the moment: resources, their upstreams and their routes.

use std::sync::{Arc, PoisonError, RwLock};

use mcp_auth::McpAuth;
use mcp_auth_config::{Built, BuiltResource, Config, ConfigFile};

use crate::backend::{Backend, Earlier};
use crate::budget::Budgets;
use crate::identity_token::SigningKey;
use crate::limits::Limits;
use crate::polls::Polls;
use crate::protected::Around;
use crate::routes::Routes;
use crate::shared::Shared;
use crate::signing::Signing;
use crate::start_error::StartError;
use crate::status_page::ResourceStatus;
use crate::summary::Summary;

/// The resources of one version of the configuration.
pub(crate) struct Serving {
    built: Built,
    /// What each resource has around the library's layer.
    around: Vec<Around>,
    signing: Option<Signing>,
    budgets: Budgets,
    shared: Shared,
    pub(crate) routes: Routes,
}

impl Serving {
    /// Builds what a configuration describes. `earlier` is what served before.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to change.
    pub(crate) fn of(
        config: &Config,
        file: Option<&ConfigFile>,
        earlier: Option<&Self>,
        shared: &Shared,
    ) -> Result<Self, StartError> {
        let before = earlier.map(|earlier| &earlier.built);
        let built =
            Built::of(config, file, before, shared.audit.is_some(), &shared.replicas.state)?;
        let signing = earlier.and_then(|earlier| earlier.signing.as_ref());
        let signing = Signing::of(config, signing)?;
        let key = signing.as_ref().map(|signing| &signing.key);
        let budgets = match earlier {
            Some(earlier) => earlier.budgets.clone(),
            None => Budgets::new(config.max_buffered_bytes, config.max_anonymous_buffered_bytes),
        };
        let redis = shared.replicas.redis.as_ref();
        let (mut all, mut routes) = (Vec::new(), Routes::new(&shared.refusals));
        if let Some(auth) = built.auths().next().filter(|_| !config.forwarded_host_from.is_empty())
        {
            routes.behind_proxies(auth);
        }
        for (built, resource) in built.resources().iter().zip(&config.resources) {
            let wrong = |message| StartError::Resource { resource: resource.url.clone(), message };
            let before = earlier.and_then(|earlier| earlier.find(&resource.url));
            let earlier = before.map(|(before, around)| Earlier {
                backend: &around.backend,
                has_same_upstream: built.has_upstream_of(before),
                is_same: built.is_reused(),
            });
            let backend = Backend::of(config, resource, built.auth(), key, earlier);
            let limits = before.and_then(|(_, before)| before.limits.clone());
            let limits = limits.filter(|limits| *limits.config() == resource.limits);
            let polls = match before.filter(|_| built.is_reused()) {
                Some((_, before)) => Arc::clone(&before.polls),
                None => Arc::new(Polls::of(built.auth(), resource).map_err(wrong)?),
            };
            let around = Around {
                backend: backend.map_err(wrong)?,
                budgets: budgets.clone(),
                shared: shared.clone(),
                summary: Arc::new(Summary::of(resource)),
                polls,
                limits: limits.or_else(|| Limits::of(resource, redis).map(Arc::new)),
                has_api_keys: resource.api_keys_file.is_some(),
                api_key_hint: Arc::default(),
                max_message_bytes: resource.max_message_bytes,
                gets_bodies: resource.forward_auth.as_ref().is_none_or(|it| it.body),
            };
            routes.add(built.auth(), resource, around.clone()).map_err(wrong)?;
            all.push(around);
        }
        let shared = shared.clone();
        Ok(Self { built, around: all, signing, budgets, shared, routes })
    }

    /// The resource with this URL, and what it has around it.
    fn find(&self, url: &str) -> Option<(&BuiltResource, &Around)> {
        let mut all = self.built.resources().iter().zip(&self.around);
        all.find(|(built, _)| built.auth().resource() == url)
    }

    /// The key of the gateway's own tokens.
    pub(crate) fn signing_key(&self) -> Option<&SigningKey> {
        self.signing.as_ref().map(|signing| &*signing.key)
    }

    pub(crate) fn auths(&self) -> impl Iterator<Item = &McpAuth> {
        self.built.auths()
    }

    /// The resources that were not there before, or are others now.
    pub(crate) fn new_auths(&self) -> impl Iterator<Item = &McpAuth> {
        self.built.resources().iter().filter(|it| !it.is_reused()).map(|it| it.auth())
    }

    /// Whether `later` has the same value of a resource.
    fn is_kept_by(later: &Self, auth: &McpAuth) -> bool {
        later.built.find(auth.resource()).is_some_and(|found| found.is_reused())
    }

    /// Warns about what `later` no longer protects as this does: a part of a file may be valid too.
    pub(crate) fn warn_of_less(&self, later: &Self) {
        for (auth, around) in self.auths().zip(&self.around) {
            let resource = auth.resource();
            match later.find(resource) {
                None => {
                    tracing::warn!(target: "mcp_auth", resource, "a resource is no longer in the file: its clients get a 404; if it comes back, it does not know the used proofs, the sessions and the limits of before (`session_keys` keeps sessions)");
                }
                Some((_, now)) if now.summary.rule_count < around.summary.rule_count => {
                    tracing::warn!(target: "mcp_auth", resource, before = around.summary.rule_count, now = now.summary.rule_count, "a resource has fewer rules than before");
                }
                Some(_) => {}
            }
        }
    }

    /// Ends the listening streams of the resources that `later` does not have, or has changed: their clients open them again,
    /// and are checked by the new description. Ends their polls of security events too.
    pub(crate) fn end_all_but_of(&self, later: &Self) {
        for (auth, around) in self.auths().zip(&self.around) {
            if !Self::is_kept_by(later, auth) {
                auth.end_listening_streams();
                around.polls.stop();
                around.backend.close_later();
            }
        }
    }

    /// Ends the processes that were started.
    pub(crate) async fn close(&self) {
        for around in &self.around {
            around.backend.close().await;
        }
    }

    /// Begins the polls of security events that have not begun.
    pub(crate) fn start_polls(&self) {
        self.around.iter().for_each(|around| around.polls.start());
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What the operator is told about the resources.
    pub(crate) fn resources(&self) -> Vec<ResourceStatus> {
        let all = self.auths().zip(&self.around);
        let status = all.map(|(auth, around)| ResourceStatus {
            url: auth.resource().to_owned(),
            summary: Arc::clone(&around.summary),
            servers: around.backend.states(),
        });
        status.collect()
    }

    pub(crate) fn budgets(&self) -> &Budgets {
        &self.budgets
    }
}

/// What serves at the moment. Clones share it. A request keeps what it began with.
#[derive(Clone)]
pub(crate) struct Current(Arc<RwLock<Arc<Serving>>>);

impl Current {
    pub(crate) fn new(serving: Serving) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(serving))))
    }

    pub(crate) fn get(&self) -> Arc<Serving> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests from now on are served by this. Returns what served before.
    pub(crate) fn replace(&self, serving: Arc<Serving>) -> Arc<Serving> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, serving)
    }
}
