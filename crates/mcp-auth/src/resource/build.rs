//! `McpAuthBuilder::build`: checks the configuration and builds the resource; nothing is fetched.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::model::resource_context::ResourceContext;
use crate::model::resource_scopes::ResourceScopes;
use crate::model::scope::{Scopes, is_scope_token};
use crate::model::verified_token::API_KEY_ISSUER;
use crate::net::clock::SystemClock;
use crate::policy::authorization::Policy;
use crate::policy::list_filter::ListFilter;
use crate::policy::metadata::{ResourceMetadata, resource_metadata_url};
use crate::policy::validity::Validity;
use crate::resource::builder::McpAuthBuilder;
use crate::resource::claimed_sessions::ClaimedSessions;
use crate::resource::config_error::ConfigError;
use crate::resource::default_verifier::{self, VerifierKind};
use crate::resource::listening_streams::ListeningStreams;
use crate::resource::mcp_auth::{Inner, McpAuth};
use crate::resource::names::{self, Name, Names};
use crate::resource::networks::networks;
use crate::resource::unknown_paths::UnknownPaths;
use crate::resource::{issuer_resolvers, list_rules};
use crate::util::{origin, shown, url};
use crate::verify::id_signer::IdSigner;

/// The maximum leeway. A clock that is further off should be corrected.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// The output length of HMAC-SHA256. Shorter keys reduce its security (RFC 2104 §3).
const MIN_SESSION_KEY_BYTES: usize = 32;

impl McpAuthBuilder {
    /// Checks the configuration and builds the resource. It accesses no network and no file.
    ///
    /// # Errors
    ///
    /// The first problem in the configuration, and what to change.
    pub fn build(mut self) -> Result<McpAuth, ConfigError> {
        self.servers =
            default_verifier::with_introspection(self.servers, self.introspection.take())?;
        self.check_names()?;
        self.check_servers()?;
        self.check_scopes()?;
        self.check_origins()?;
        if self.audiences.iter().any(String::is_empty) {
            return Err(ConfigError::Audience);
        }
        let leeway = self.leeway.unwrap_or(Duration::from_secs(60));
        if leeway > MAX_LEEWAY {
            return Err(ConfigError::Leeway(leeway));
        }

        let scopes = self.resource_scopes();
        let urls: Vec<_> = [&self.resource].into_iter().chain(&self.aliases).cloned().collect();
        let audiences = urls.iter().chain(&self.audiences).cloned().collect();
        let proxies =
            self.forwarded_host_from.take().map(networks).transpose()?.unwrap_or_default();
        let (id_signer, has_session_keys) = (self.id_signer()?, self.session_keys.is_some());
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let challenged = self.required.scopes.to_request();
        let challenged: Scopes = challenged.iter().chain(self.initial_scopes.iter()).collect();
        let published = self.metadata.published_scopes().unwrap_or_else(|| challenged.clone());
        let issuers: Vec<_> = self
            .servers
            .iter()
            .flat_map(|server| {
                server.published().into_iter().filter(|issuer| has_login(server, issuer))
            })
            .collect();
        let metadata = self
            .sender
            .describe(ResourceMetadata::default().with(self.metadata))
            .scopes_supported(scopes.requested(&published))
            .member("authorization_servers", issuers)
            .member("bearer_methods_supported", vec!["header"]);
        let own_place = self.metadata_url.iter().cloned().map(Some).chain(std::iter::repeat(None));
        let names = urls.iter().zip(own_place).map(|(url, place)| Name {
            url: url.clone(),
            metadata_url: place.or_else(|| resource_metadata_url(url)).unwrap_or_default(),
            metadata_json: metadata.clone().member("resource", &**url).to_json(),
        });
        let names = Names::new(names.collect(), proxies);
        let trusted = self.servers.iter().map(AuthorizationServer::issuer);
        let of_api_keys = Some(API_KEY_ISSUER).filter(|_| !self.api_keys.is_empty());
        let issuer_sets =
            self.servers.iter().filter_map(AuthorizationServer::issuer_set).cloned().map(Ok);
        let resolved = self.resolvers.iter().map(issuer_resolvers::Resolver::issuer_set);
        let policy = Arc::new(Policy {
            issuer_sets: issuer_sets.chain(resolved).collect::<Result<_, _>>()?,
            issuers: trusted
                .chain(self.trusted_issuers.iter().map(String::as_str))
                .chain(of_api_keys)
                .map(Into::into)
                .collect(),
            validity: Validity { leeway, max_token_age: self.max_token_age },
            required: self.required.under(&self.hierarchy),
            operations: Some(self.operations.under(&self.hierarchy)).filter(|it| !it.is_empty()),
            resource: ResourceContext { audiences, scopes }.into(),
        });
        self.revocations.trust(&policy.issuers, &policy.issuer_sets);
        let by_rules = || list_rules::permitted_items(policy.clone(), clock.clone());
        let lists = ListFilter {
            keep: self
                .keep
                .map(list_rules::without_panics)
                .or_else(|| self.filters_lists.then(by_rules)),
            required_scopes: self
                .has_security_schemes
                .then(|| list_rules::required_scopes(policy.clone())),
        };
        let sender = self.sender.ready(&urls, leeway, self.earlier.replays)?;
        let capacity = self.cached_tokens.unwrap_or(10_000);
        let resolvers = issuer_resolvers::resolvers(self.resolvers, &clock)?;
        let (verifier, required_servers) = match self.verifier {
            Some(verifier) => {
                default_verifier::check_no_introspection(&self.servers)?;
                let verifier = match self.verifier_timeout {
                    Some(timeout) => verifier.timeout(timeout),
                    None => verifier,
                };
                (VerifierKind::Boxed(Box::new(verifier)), Vec::new())
            }
            None => {
                let (servers, resolvers) = (&self.servers, resolvers.clone());
                let verifier = default_verifier::new(servers, resolvers, &clock, leeway, capacity)?;
                let needed = self.servers.iter().filter(|server| server.is_needed());
                (verifier, needed.cloned().collect())
            }
        };
        let (verifier, keys_file) = if self.api_keys.is_empty() {
            (verifier, None)
        } else {
            let installed = self.api_keys.wrap(verifier.boxed(), &self.resource, &clock);
            let (verifier, keys_file) =
                installed.map_err(|(name, why)| ConfigError::ApiKey { name, why })?;
            (VerifierKind::Boxed(verifier), keys_file)
        };
        let challenged_scopes = if challenged.is_empty() { published } else { challenged };
        if challenged_scopes.is_empty() {
            tracing::info!(
                target: "mcp_auth",
                resource = self.resource,
                "no scope is required, so the 401 names none: clients of the TypeScript SDKs then ask their issuer for none, which some issuers refuse; name what clients are to ask for with `.initial_scopes(..)`"
            );
        }
        let inner = Inner {
            allowed_origins: self
                .allowed_origins
                .iter()
                .filter_map(|it| origin::parse(it))
                .chain(urls.iter().filter_map(|url| origin::of_url(url)))
                .collect(),
            resource: self.resource,
            names,
            unknown_paths: UnknownPaths::default(),
            original_uri: OnceLock::new(),
            challenged_scopes,
            is_optional: self.is_optional,
            claimed_sessions: self.is_optional.then(|| {
                self.earlier.claimed_sessions.unwrap_or_else(|| ClaimedSessions::new().into())
            }),
            tool_error_hint: self.has_tool_errors.then_some(self.tool_error_hint),
            id_signer,
            has_session_keys,
            streams_outlive_tokens: self.streams_outlive_tokens,
            listening_streams: ListeningStreams::default(),
            ends_streams: watch::Sender::new(false),
            lists: Some(lists)
                .filter(|lists| lists.keep.is_some() || lists.required_scopes.is_some()),
            servers: self.servers,
            resolvers,
            required_servers,
            keys_file,
            verifier,
            policy,
            revocations: self.revocations,
            sender,
            clock,
            max_message_bytes: self.max_message_bytes.unwrap_or(4 * 1024 * 1024),
        };
        Ok(McpAuth(Arc::new(inner)))
    }

    fn resource_scopes(&self) -> ResourceScopes {
        let published = self.metadata.published_scopes().unwrap_or_default();
        let required = self.required.scopes.named().chain(self.operations.named());
        ResourceScopes {
            known: required
                .chain(self.hierarchy.named())
                .chain(published.iter())
                .chain(self.initial_scopes.iter())
                .collect(),
            hierarchy: self.hierarchy.clone(),
            requested_as: self.requested_as.clone(),
            request_prefix: self.request_prefix.clone(),
            is_strict: self.has_strict_challenges,
        }
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        if !is_name(&self.resource) {
            return Err(ConfigError::Resource(self.resource.clone()));
        }
        for (i, alias) in self.aliases.iter().enumerate() {
            let mut earlier = self.aliases.iter().take(i).chain([&self.resource]);
            let why = match earlier.any(|earlier| names::is_same(earlier, alias)) {
                _ if !is_name(alias) => NOT_A_NAME,
                true => "is already a name of this resource: leave it out",
                false => continue,
            };
            return Err(ConfigError::Alias { alias: alias.clone(), why });
        }
        match &self.metadata_url {
            Some(url) if !url::is_secure(url) || url.contains('#') || self.is_resource(url) => {
                Err(ConfigError::MetadataUrl(url.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the document would be served at the path of a name, which needs a token.
    fn is_resource(&self, metadata_url: &str) -> bool {
        let path = names::path_of(metadata_url);
        let mut urls = self.aliases.iter().chain([&self.resource]);
        url::authority(metadata_url) == url::authority(&self.resource)
            && urls.any(|url| names::path_of(url) == path)
    }

    fn check_servers(&self) -> Result<(), ConfigError> {
        if self.servers.is_empty() {
            return Err(ConfigError::NoAuthorizationServer);
        }
        for (i, server) in self.servers.iter().enumerate() {
            if let Some(config_error) = server.config_error() {
                return Err(ConfigError::Provider(config_error));
            }
            if let Some(why) = server.fetch_config_error() {
                let issuer = server.issuer().to_owned();
                return Err(ConfigError::HttpClient { issuer, why });
            }
            let is_name = |issuer: &str| {
                !issuer.is_empty() && !issuer.contains(char::is_control) && issuer != API_KEY_ISSUER
            };
            let is_one = |issuer: &String| {
                has_login(server, issuer) || (server.is_offline() && is_name(issuer))
            };
            let comes_twice = self.servers.iter().take(i).any(|earlier| overlap(earlier, server));
            if comes_twice || !server.published().iter().all(is_one) || !is_name(server.issuer()) {
                return Err(ConfigError::Issuer(server.issuer().to_owned()));
            }
            if server.is_insecure() {
                tracing::warn!(
                    target: "mcp_auth",
                    issuer = &*shown::field(server.issuer()),
                    "plain http is allowed to hosts of this issuer: whoever can change what is sent between it and this server can issue tokens for any user"
                );
            }
        }
        let is_taken = |issuer: &&String| issuer.is_empty() || *issuer == API_KEY_ISSUER;
        match self.trusted_issuers.iter().find(is_taken) {
            Some(empty) => Err(ConfigError::Issuer(empty.clone())),
            None => Ok(()),
        }
    }

    fn check_scopes(&self) -> Result<(), ConfigError> {
        if let Some(scope) = self.hierarchy.circular() {
            return Err(ConfigError::CircularScopes(scope.to_owned()));
        }
        if self.operations.has_empty_name() {
            return Err(ConfigError::NamelessRule);
        }
        if let Some(uri) = self.operations.non_normal_uri() {
            return Err(ConfigError::RuleUri(uri.to_owned()));
        }
        let scopes = self.resource_scopes().known;
        let requested = self.requested_as.iter().flat_map(|(scope, name)| [&**scope, &**name]);
        let requested = requested.chain(self.request_prefix.as_deref());
        if scopes.contains("offline_access") {
            // MCP authorization, Refresh Tokens: "SHOULD NOT include `offline_access`".
            tracing::warn!(
                target: "mcp_auth",
                "`offline_access` is among the published or required scopes: leave it out, it is between client and issuer"
            );
        }
        // An empty scope is a condition that no token meets, perhaps because a variable is unset.
        let required = self.required.scopes.named().chain(self.operations.named());
        match scopes.iter().chain(requested).chain(required).find(|scope| !is_scope_token(scope)) {
            Some(scope) => Err(ConfigError::Scope(scope.to_owned())),
            None => Ok(()),
        }
    }

    fn id_signer(&self) -> Result<Arc<IdSigner>, ConfigError> {
        let Some(keys) = &self.session_keys else {
            let random = || IdSigner::random().map(Arc::new);
            let id_signer = self.earlier.id_signer.clone().or_else(random);
            return id_signer.ok_or(ConfigError::NoRandomness);
        };
        match keys.iter().map(|key| key.len()).find(|length| *length < MIN_SESSION_KEY_BYTES) {
            Some(length) => Err(ConfigError::ShortSessionKey(length)),
            None => IdSigner::from_secrets(keys, &self.resource)
                .map(Arc::new)
                .ok_or(ConfigError::NoSessionKeys),
        }
    }

    fn check_origins(&self) -> Result<(), ConfigError> {
        match self.allowed_origins.iter().find(|it| origin::parse(it).is_none()) {
            Some(origin) => Err(ConfigError::Origin(origin.clone())),
            None => Ok(()),
        }
    }
}

const NOT_A_NAME: &str = "must be the https URL that clients connect to (http only on this machine), without a fragment, without braces, and with a number for a port if it has one";

/// Whether a URL can be a name of a resource.
fn is_name(url: &str) -> bool {
    // The metadata of resources is served below `/.well-known/`.
    let has_pattern = url::authority(url).is_some_and(|authority| authority.contains('*'));
    url::is_secure(url) && !has_pattern && !url.contains('#') && !url.contains("/.well-known/")
}

/// Whether clients can be sent to this issuer of the server: RFC 8414 §2 wants a URL without query and fragment.
fn has_login(server: &AuthorizationServer, issuer: &str) -> bool {
    server.may_fetch(issuer) && !issuer.contains(['?', '#'])
}

/// Whether two servers have an issuer in common.
fn overlap(one: &AuthorizationServer, other: &AuthorizationServer) -> bool {
    let has = |server: &AuthorizationServer, issuer: &str| {
        server.issuer_set().is_some_and(|issuer_set| issuer_set.contains(issuer))
    };
    let shares = |one: &AuthorizationServer, other: &AuthorizationServer| {
        has(one, other.issuer())
            || other.issuer_set().is_some_and(|issuer_set| {
                issuer_set.issuers().iter().any(|issuer| has(one, issuer))
            })
    };
    one.issuer() == other.issuer() || shares(one, other) || shares(other, one)
}
