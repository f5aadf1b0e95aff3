//! The resources of a configuration, and what they take over from the configuration before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_auth::{AuthorizationServer, McpAuth, ReplayStore, Revocations};

use crate::config::Config;
use crate::error::Error;
use crate::file::{ConfigFile, Description};
use crate::resource::ResourceConfig;

/// The protected resources of a configuration, in its order.
///
/// An issuer whose description did not change keeps its keys and its introspected tokens. A resource whose description did
/// not change is the same value. One that changed takes over revocations, used proofs and sessions
/// ([`successor_of`](mcp_auth::McpAuthBuilder::successor_of)).
pub struct Built {
    issuers: BTreeMap<String, (AuthorizationServer, Option<Description>)>,
    /// All resources share it, also with those of the configuration before.
    revocations: Revocations,
    replay_store: Option<Arc<dyn ReplayStore>>,
    resources: Vec<BuiltResource>,
}

/// What all resources share, also with those of other processes.
#[derive(Clone, Default)]
pub struct SharedState {
    /// The revocations, instead of a list that only these resources share.
    pub revocations: Option<Revocations>,
    /// The DPoP proofs that other processes have accepted.
    pub replay_store: Option<Arc<dyn ReplayStore>>,
}

/// A resource, and what it was built from.
pub struct BuiltResource {
    auth: McpAuth,
    is_reused: bool,
    description: Option<Description>,
    upstream: Option<Description>,
}

impl Config {
    /// The protected resources that are described, in their order. Resources share the issuers that they both name, with
    /// their keys.
    ///
    /// # Errors
    ///
    /// What is missing or contradicts itself, with the name of the issuer or the URL of the resource.
    pub fn protected_resources(&self) -> Result<Vec<McpAuth>, Error> {
        let shared = SharedState::default();
        Ok(Built::of(self, None, None, self.audit.is_some(), &shared)?.auths().cloned().collect())
    }
}

impl Built {
    /// Builds the resources of a configuration, and of the file that it comes from, if it does. `earlier` are those of the same
    /// file as it was before. If it `is_audited` what requests ask for, no message passes that cannot be read: that is of the
    /// log that is open, which `audit` of a later file does not change.
    ///
    /// # Errors
    ///
    /// What is missing or contradicts itself, with the name of the issuer or the URL of the resource.
    pub fn of(
        config: &Config,
        file: Option<&ConfigFile>,
        earlier: Option<&Self>,
        is_audited: bool,
        shared: &SharedState,
    ) -> Result<Self, Error> {
        if config.resources.is_empty() {
            return Err(Error::new(
                "there is no resource: add `[[resources]]` with `url` and `upstream`",
            ));
        }
        if config.issuers.is_empty() {
            return Err(Error::new(
                "there is no issuer: add `[issuers.login]` with `url`, the issuer of your tokens, or with `provider`",
            ));
        }
        let mut issuers = BTreeMap::new();
        for (name, issuer) in &config.issuers {
            let description = file.map(|file| file.issuer(name));
            let known = earlier.and_then(|earlier| earlier.issuers.get(name));
            let known = known.filter(|(_, known)| known.is_some() && *known == description);
            let server = match known {
                Some((server, _)) => server.clone(),
                None => issuer.to_server().map_err(|error| Error::of("issuer", name, error))?,
            };
            issuers.insert(name.clone(), (server, description));
        }
        let mut urls = BTreeSet::new();
        let nameless = config.resources.iter().position(|resource| resource.url.is_empty());
        if let Some(index) = nameless {
            return Err(Error::new(format!(
                "the resource number {} has no `url`: set it to the URL that users give to their clients",
                index + 1
            )));
        }
        if let Some(twice) = config.resources.iter().find(|resource| !urls.insert(&resource.url)) {
            return Err(Error::of(
                "resource",
                &twice.url,
                "it is there twice: each resource needs a URL of its own",
            ));
        }
        let earlier_list = earlier.map(|earlier| earlier.revocations.clone());
        let revocations = earlier_list.or_else(|| shared.revocations.clone());
        let revocations = revocations.unwrap_or_else(|| config.revocations.to_revocations());
        let replay_store = shared.replay_store.clone();
        let mut built = Self { issuers, revocations, replay_store, resources: Vec::new() };
        for (index, resource) in config.resources.iter().enumerate() {
            let one = built.resource(config, index, resource, file, earlier, is_audited);
            let one = one.map_err(|error| Error::of("resource", &resource.url, error))?;
            built.resources.push(one);
        }
        McpAuth::check_distinct(built.auths()).map_err(|error| Error::of_library(&error))?;
        Ok(built)
    }

    fn resource(
        &self,
        config: &Config,
        index: usize,
        resource: &ResourceConfig,
        file: Option<&ConfigFile>,
        earlier: Option<&Self>,
        is_audited: bool,
    ) -> Result<BuiltResource, Error> {
        let names: Vec<&str> = match &resource.issuers {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => self.issuers.keys().map(String::as_str).collect(),
        };
        let servers: Vec<_> =
            names.iter().map(|name| self.issuer(name)).collect::<Result<_, _>>()?;
        let description = file.map(|file| file.resource(index, names.iter().copied()));
        let upstream = file.map(|file| file.upstream(index));
        let before = earlier.and_then(|earlier| earlier.find(&resource.url));
        let same = before.filter(|it| it.description.is_some() && it.description == description);
        let gets_bodies = resource.forward_auth()?.is_none_or(|asks| asks.has_body);
        // Nothing can be written down about a message that the gateway does not get.
        let is_audited = is_audited && gets_bodies;
        let auth = match (same, before) {
            (Some(same), _) => same.auth.clone(),
            (None, before) => {
                let mut builder = resource.to_builder(servers, is_audited)?;
                if let Some(before) = before {
                    builder = builder.successor_of(&before.auth);
                }
                if !config.forwarded_host_from.is_empty() {
                    builder = builder.forwarded_host_from(config.forwarded_host_from.clone());
                }
                if let Some(store) = &self.replay_store {
                    builder = builder.replay_store(Arc::clone(store));
                }
                let built = builder.revocations(&self.revocations).build();
                built.map_err(|error| Error::of_library(&error))?
            }
        };
        Ok(BuiltResource { auth, is_reused: same.is_some(), description, upstream })
    }

    fn issuer(&self, name: &str) -> Result<AuthorizationServer, Error> {
        let found = self.issuers.get(name).map(|(server, _)| server.clone());
        found.ok_or_else(|| {
            let known: Vec<_> = self.issuers.keys().map(String::as_str).collect();
            Error::new(format!(
                "the issuer {name:?} is not described; described are: {}",
                known.join(", ")
            ))
        })
    }

    /// The resource with this URL.
    #[must_use]
    pub fn find(&self, url: &str) -> Option<&BuiltResource> {
        self.resources.iter().find(|resource| resource.auth.resource() == url)
    }

    /// The resources, in the order of the configuration.
    #[must_use]
    pub fn resources(&self) -> &[BuiltResource] {
        &self.resources
    }

    /// The resources, in the order of the configuration.
    pub fn auths(&self) -> impl Iterator<Item = &McpAuth> {
        self.resources.iter().map(BuiltResource::auth)
    }
}

impl BuiltResource {
    /// The resource.
    #[must_use]
    pub fn auth(&self) -> &McpAuth {
        &self.auth
    }

    /// Whether it is the value of the configuration before.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether its upstream is described as that of another value.
    #[must_use]
    pub fn has_upstream_of(&self, other: &Self) -> bool {
        self.upstream.is_some() && self.upstream == other.upstream
    }
}
