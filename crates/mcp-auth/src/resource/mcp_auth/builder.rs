//! How a protected resource is described.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{ConfigError, Inner, Judge, McpAuth, default_verifier, sender, shown};
use crate::issuer::api_keys::ApiKeys;
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::revocations::Revocations;
use crate::issuer::verifier::Verifier;
use crate::model::scope::{Hierarchy, Require, Scopes, Vocabulary, is_scope_token};
use crate::model::token::{API_KEY_ISSUER, AuthInfo};
use crate::net::clock::{Clock, SystemClock};
use crate::policy::list_filter::{Keep, Listed, Lists};
use crate::policy::metadata::{ResourceMetadata, resource_metadata_url};
use crate::policy::policy::Policy;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::ToolScopes;
use crate::util::url;
use crate::verify::id_signer::Seal;

/// The longest leeway that is taken: a clock that is further off should be set.
const LONGEST_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// As many bytes as HMAC-SHA256 has security to give (RFC 2104 §3).
const SHORTEST_SESSION_KEY: usize = 32;

/// Describes a protected resource. Made by [`McpAuth::builder`].
#[derive(Default)]
#[must_use = "nothing is protected before `build()`"]
pub struct McpAuthBuilder {
    resource: String,
    servers: Vec<AuthorizationServer>,
    trusted_issuers: Vec<String>,
    pub(super) resolvers: Vec<default_verifier::Resolver>,
    audiences: Vec<String>,
    required: Rule,
    operations: ToolScopes,
    hierarchy: Hierarchy,
    requested_as: BTreeMap<Box<str>, Box<str>>,
    request_prefix: Option<Box<str>>,
    has_strict_challenges: bool,
    max_message_bytes: Option<usize>,
    leeway: Option<Duration>,
    max_token_age: Option<Duration>,
    cached_tokens: Option<usize>,
    allowed_origins: Vec<String>,
    is_optional: bool,
    session_keys: Option<Vec<Box<[u8]>>>,
    streams_outlive_tokens: bool,
    keep: Option<Box<Keep>>,
    filters_lists: bool,
    has_security_schemes: bool,
    metadata: ResourceMetadata,
    pub(super) introspection: Option<default_verifier::Introspection>,
    verifier: Option<Box<dyn Verifier>>,
    pub(super) api_keys: ApiKeys,
    pub(super) revocations: Revocations,
    pub(super) sender: sender::Settings,
    clock: Option<Arc<dyn Clock>>,
}

impl McpAuthBuilder {
    pub(super) fn new(resource: String) -> Self {
        Self { resource, ..Self::default() }
    }

    /// Trusts an authorization server: its name, for discovery, or a description of it. Several may be
    /// trusted; clients take the first that is published.
    pub fn authorization_server(mut self, server: impl Into<AuthorizationServer>) -> Self {
        self.servers.push(server.into());
        self
    }

    /// Trusts several authorization servers, each with keys of its own: the tenants of a provider.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let realms = ["acme", "globex"].map(|realm| AuthorizationServer::keycloak("https://sso.example.com", realm));
    /// let auth = McpAuth::builder("https://api.example.com/mcp").authorization_servers(realms).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn authorization_servers<S: Into<AuthorizationServer>>(
        mut self,
        servers: impl IntoIterator<Item = S>,
    ) -> Self {
        self.servers.extend(servers.into_iter().map(Into::into));
        self
    }

    /// Trusts tokens of this issuer too, if the [`verifier`](Self::verifier) vouches for them. It is
    /// not published: nobody can log in there.
    pub fn trusted_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.trusted_issuers.push(issuer.into());
        self
    }

    /// Accepts tokens issued for this audience too. The URL of the resource is always accepted.
    ///
    /// For issuers that have other names for a resource: `api://orders`, or a GUID.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Requires scopes of every token: all of them, or with [`AnyOf`](crate::AnyOf) any of them. Called
    /// twice, both requirements must be met.
    pub fn required_scopes(mut self, scopes: impl Into<Require>) -> Self {
        self.required = self.required.and(scopes.into().into());
        self
    }

    /// Requires more of every token than scopes: a claim, or how the user logged in.
    ///
    /// ```
    /// use mcp_auth::{McpAuth, Rule};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .required(Rule::default().claim("tenant", "acme"))
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn required(mut self, rule: impl Into<Rule>) -> Self {
        self.required = self.required.and(rule.into());
        self
    }

    /// States what single tools, prompts, resources and methods require besides. Called twice, both count.
    ///
    /// The bodies of requests are then read, up to [`max_message_bytes`](Self::max_message_bytes): put
    /// the layer before an MCP endpoint and nothing else.
    pub fn tools(mut self, rules: ToolScopes) -> Self {
        self.operations = self.operations.and(rules);
        self
    }

    /// States that clients ask for `scope` by another name: Entra's tokens say `notes.read`, and clients
    /// must request `api://orders/notes.read`. Challenges and metadata use the other name.
    pub fn requested_as(mut self, scope: impl Into<String>, name: impl Into<String>) -> Self {
        self.requested_as.insert(scope.into().into(), name.into().into());
        self
    }

    /// States that clients ask for all scopes with this before their name, but for those that
    /// [`requested_as`](Self::requested_as) names and those of OpenID Connect (`openid`, `profile`...):
    /// `api://orders/` for Entra, whose tokens say `notes.read` when `api://orders/notes.read` was asked for.
    pub fn requested_with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.request_prefix = Some(prefix.into().into());
        self
    }

    /// Names only what is required in a challenge for more scopes. Otherwise it also names what the token
    /// grants already, as far as this resource knows it, since many clients replace their scopes by it
    /// (see [MCP, Scope Challenge Handling](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-challenge-handling)).
    pub fn strict_challenges(mut self) -> Self {
        self.has_strict_challenges = true;
        self
    }

    /// The longest message that is read where [`tools`](Self::tools) have rules. 4 MiB unless set, which
    /// is also rmcp's limit; longer ones are answered with 413.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }

    /// States that whoever has the scope `broad` also has the scopes `narrow`.
    pub fn implies(mut self, broad: impl AsRef<str>, narrow: impl Into<Scopes>) -> Self {
        self.hierarchy.add(broad.as_ref(), narrow);
        self
    }

    /// How far clocks may differ, when expiry and not-before are judged. 60 seconds unless set, as MCP
    /// Auth for Python and Spring Security have it; at most 5 minutes.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(leeway);
        self
    }

    /// Refuses tokens that were issued longer ago than this, however long they say that they last: for
    /// issuers whose tokens live for days. The [leeway](Self::leeway) applies. A token that does not say
    /// when it was issued (`iat`) is refused then. API keys have an end of their own, and are not affected.
    pub fn max_token_age(mut self, age: Duration) -> Self {
        self.max_token_age = Some(age);
        self
    }

    /// How many verified tokens are remembered. 10,000 unless set, about 7 MB; the least used are
    /// forgotten first. A token with more than 1 KiB of claims counts as several. With 0 every token is verified each time.
    pub fn cached_tokens(mut self, number: usize) -> Self {
        self.cached_tokens = Some(number);
        self
    }

    /// Admits web pages of these origins, besides the resource's own: `https://app.example.com`, or
    /// `http://localhost:*` for any port. It is the list for the `Origin` check that MCP demands, and
    /// for CORS. Requests without an `Origin` do not come from web pages, and are not affected.
    pub fn allowed_origins<S: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = S>,
    ) -> Self {
        self.allowed_origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Admits requests without credentials, as anonymous: there is no [`AuthInfo`](crate::AuthInfo) in
    /// them. Bad credentials are refused as ever.
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Binds sessions to their owners with these keys, instead of with a random one: secrets of at least
    /// 32 random bytes each, kept like passwords. The first seals, all open.
    ///
    /// Each session id (`Mcp-Session-Id`) and each event id of a resumable stream is sealed to the issuer,
    /// subject and client of the token with which it came into being, and is unknown to everyone else. With
    /// a random key this ends when the process does. Give keys where sessions live longer than a process or
    /// are served by several. To replace a key, put the new one first and leave the old one until its
    /// sessions are over.
    ///
    /// ```
    /// # fn secrets() -> Vec<String> { vec!["7Kq0…, of a secret store: 32 random bytes".into()] }
    /// let auth = mcp_auth::McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .session_keys(secrets())
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn session_keys<K: AsRef<[u8]>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.session_keys = Some(keys.into_iter().map(|key| key.as_ref().into()).collect());
        self
    }

    /// Leaves out of lists of tools, prompts and resources what a caller may not use: what `keep` says no
    /// to, by its name or URI. There is no caller where the request is anonymous.
    ///
    /// The order and the pages stay as they are, and each list is marked as made for one reader
    /// (`cacheScope`). **It hides, it does not protect**: whoever knows the name of a tool can call it, unless
    /// that is refused as well. An answer that cannot be filtered for certain (compressed inside of this layer,
    /// longer than 16 MiB, with a member twice) is not passed on.
    ///
    /// ```
    /// use mcp_auth::{Listed, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .list_only(|caller, listed, name| {
    ///         let may_write = caller.is_some_and(|caller| caller.scopes().contains("notes:write"));
    ///         listed != Listed::Tool || may_write || !name.starts_with("delete_")
    ///     })
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn list_only(
        mut self,
        keep: impl Fn(Option<&AuthInfo>, Listed, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }

    /// Leaves out of lists what the rules of [`tools`](Self::tools) do not permit the caller at the moment:
    /// see [`list_only`](Self::list_only), which is for rules of another kind.
    ///
    /// A client cannot ask for the scopes of a tool that it does not know of. Where callers should find
    /// out what they could do, leave the lists whole, or say in [`security_schemes`](Self::security_schemes)
    /// what each tool needs.
    pub fn filter_lists(mut self) -> Self {
        self.filters_lists = true;
        self
    }

    /// Says with each listed tool that has a rule which scopes it needs: its `securitySchemes`, by which
    /// some clients (ChatGPT) ask for scopes.
    pub fn security_schemes(mut self) -> Self {
        self.has_security_schemes = true;
        self
    }

    /// Leaves streams open when the token with which they were opened has expired.
    ///
    /// Unless this is set, an event stream ends when its token does (plus leeway), and the client opens
    /// another with a fresh token. With it, **whoever once had a token goes on reading** as long as the
    /// connection lasts: after it has expired, after the user has logged out, after the account was closed.
    /// A token that is [revoked](McpAuth::revoke) ends its streams all the same, but no issuer is asked again about
    /// an opaque one. For clients that cannot reconnect, and servers that end their streams themselves.
    ///
    /// ```
    /// let auth = mcp_auth::McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .streams_outlive_tokens()
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn streams_outlive_tokens(mut self) -> Self {
        self.streams_outlive_tokens = true;
        self
    }

    /// Completes the metadata of the resource.
    pub fn metadata(mut self, complete: impl FnOnce(ResourceMetadata) -> ResourceMetadata) -> Self {
        self.metadata = complete(self.metadata);
        self
    }

    /// Verifies tokens by this, instead of as JWTs: any async function, or a type of your own.
    pub fn verifier(mut self, verifier: impl Verifier) -> Self {
        self.verifier = Some(Box::new(verifier));
        self
    }

    /// Tells the time by this, instead of by the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Checks the description. No network is touched, and no file.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it, and what to change.
    pub fn build(mut self) -> Result<McpAuth, ConfigError> {
        self.servers = default_verifier::introspecting(self.servers, self.introspection.take())?;
        let metadata_url = self.check_resource()?;
        self.check_servers()?;
        self.check_scopes()?;
        self.check_origins()?;
        if self.audiences.iter().any(String::is_empty) {
            return Err(ConfigError::Audience);
        }
        let leeway = self.leeway.unwrap_or(Duration::from_secs(60));
        if leeway > LONGEST_LEEWAY {
            return Err(ConfigError::Leeway(leeway));
        }

        let vocabulary = self.vocabulary();
        let seal = self.seal()?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let challenged = self.required.scopes.to_request();
        let published = self.metadata.published_scopes().unwrap_or_else(|| challenged.clone());
        let issuers: Vec<_> =
            self.servers.iter().flat_map(AuthorizationServer::published).collect();
        let metadata = self
            .sender
            .describe(ResourceMetadata::default().with(self.metadata))
            .scopes_supported(vocabulary.requested(&published))
            .member("resource", &*self.resource)
            .member("authorization_servers", issuers)
            .member("bearer_methods_supported", vec!["header"]);
        let trusted = self.servers.iter().map(AuthorizationServer::issuer);
        let of_api_keys = Some(API_KEY_ISSUER).filter(|_| !self.api_keys.is_empty());
        let families = self.servers.iter().filter_map(AuthorizationServer::family).cloned().map(Ok);
        let resolved = self.resolvers.iter().map(default_verifier::Resolver::family);
        let policy = Arc::new(Policy {
            families: families.chain(resolved).collect::<Result<_, _>>()?,
            issuers: trusted
                .chain(self.trusted_issuers.iter().map(String::as_str))
                .chain(of_api_keys)
                .map(Into::into)
                .collect(),
            leeway,
            max_token_age: self.max_token_age,
            required: self.required.under(&self.hierarchy),
            operations: Some(self.operations.under(&self.hierarchy)).filter(|it| !it.is_empty()),
            vocabulary: vocabulary.into(),
        });
        let by_rules = || shown::permitted(policy.clone(), clock.clone());
        let lists = Lists {
            keep: self.keep.or_else(|| self.filters_lists.then(by_rules)),
            needs: self.has_security_schemes.then(|| shown::needs(policy.clone())),
        };
        let sender = self.sender.ready(&self.resource, leeway)?;
        let capacity = self.cached_tokens.unwrap_or(10_000);
        let resolvers = default_verifier::resolvers(self.resolvers, &clock)?;
        let (judge, keys_of) = match self.verifier {
            Some(verifier) => {
                default_verifier::are_idle(&self.servers)?;
                (Judge::Other(verifier), Vec::new())
            }
            None => {
                let (servers, resolvers) = (&self.servers, resolvers.clone());
                let judge = default_verifier::new(servers, resolvers, &clock, leeway, capacity)?;
                let needed = self.servers.iter().filter(|server| server.is_needed());
                (judge, needed.cloned().collect())
            }
        };
        let (verifier, keys_file) = if self.api_keys.is_empty() {
            (judge, None)
        } else {
            let placed = self.api_keys.before(judge.boxed(), &self.resource, &clock);
            let (verifier, keys_file) =
                placed.map_err(|(name, why)| ConfigError::ApiKey { name, why })?;
            (Judge::Other(verifier), keys_file)
        };
        Ok(McpAuth(Arc::new(Inner {
            allowed_origins: self
                .allowed_origins
                .iter()
                .chain([&self.resource])
                .filter_map(|url| origin(url))
                .collect(),
            resource: self.resource,
            metadata_url,
            metadata_json: metadata.to_json(),
            challenged_scopes: if challenged.is_empty() { published } else { challenged },
            is_optional: self.is_optional,
            seal,
            streams_outlive_tokens: self.streams_outlive_tokens,
            lists: Some(lists).filter(|lists| lists.keep.is_some() || lists.needs.is_some()),
            servers: self.servers,
            resolvers,
            keys_of,
            keys_file,
            verifier,
            policy,
            revocations: self.revocations,
            sender,
            clock,
            max_message_bytes: self.max_message_bytes.unwrap_or(4 * 1024 * 1024),
        })))
    }

    fn vocabulary(&self) -> Vocabulary {
        let published = self.metadata.published_scopes().unwrap_or_default();
        let required = self.required.scopes.named().chain(self.operations.named());
        Vocabulary {
            audiences: [&self.resource].into_iter().chain(&self.audiences).cloned().collect(),
            known: required.chain(self.hierarchy.named()).chain(published.iter()).collect(),
            hierarchy: self.hierarchy.clone(),
            requested_as: self.requested_as.clone(),
            request_prefix: self.request_prefix.clone(),
            is_strict: self.has_strict_challenges,
        }
    }

    fn check_resource(&self) -> Result<String, ConfigError> {
        // Below `/.well-known/` is where the metadata of resources stands.
        let is_fine = url::is_secure(&self.resource)
            && !self.resource.contains(['#'])
            && !self.resource.contains("/.well-known/");
        let metadata_url = is_fine.then(|| resource_metadata_url(&self.resource)).flatten();
        metadata_url.ok_or_else(|| ConfigError::Resource(self.resource.clone()))
    }

    fn check_servers(&self) -> Result<(), ConfigError> {
        if self.servers.is_empty() {
            return Err(ConfigError::NoAuthorizationServer);
        }
        for (i, server) in self.servers.iter().enumerate() {
            if let Some(mistake) = server.mistake() {
                return Err(ConfigError::Provider(mistake));
            }
            let is_one = |issuer: &String| url::is_secure(issuer) && !issuer.contains(['?', '#']);
            let comes_twice = self.servers[..i].iter().any(|earlier| overlap(earlier, server));
            if comes_twice || !server.published().iter().all(is_one) {
                return Err(ConfigError::Issuer(server.issuer().to_owned()));
            }
        }
        match self.trusted_issuers.iter().find(|issuer| issuer.is_empty()) {
            Some(empty) => Err(ConfigError::Issuer(empty.clone())),
            None => Ok(()),
        }
    }

    fn check_scopes(&self) -> Result<(), ConfigError> {
        if let Some(scope) = self.hierarchy.circular() {
            return Err(ConfigError::CircularScopes(scope.to_owned()));
        }
        if self.operations.has_nameless() {
            return Err(ConfigError::NamelessRule);
        }
        if let Some(uri) = self.operations.odd_uri() {
            return Err(ConfigError::RuleUri(uri.to_owned()));
        }
        let scopes = self.vocabulary().known;
        let requested = self.requested_as.iter().flat_map(|(scope, name)| [&**scope, &**name]);
        let requested = requested.chain(self.request_prefix.as_deref());
        if scopes.contains("offline_access") {
            // MCP authorization, Refresh Tokens: "SHOULD NOT include `offline_access`".
            tracing::warn!(
                target: "mcp_auth",
                "`offline_access` is among the published or required scopes: leave it out, it is between client and issuer"
            );
        }
        // An empty one stands for a condition that nothing meets, perhaps by an unset variable.
        let required = self.required.scopes.named().chain(self.operations.named());
        match scopes.iter().chain(requested).chain(required).find(|scope| !is_scope_token(scope)) {
            Some(scope) => Err(ConfigError::Scope(scope.to_owned())),
            None => Ok(()),
        }
    }

    fn seal(&self) -> Result<Seal, ConfigError> {
        let Some(keys) = &self.session_keys else {
            return Seal::random().ok_or(ConfigError::NoRandomness);
        };
        match keys.iter().map(|key| key.len()).find(|length| *length < SHORTEST_SESSION_KEY) {
            Some(length) => Err(ConfigError::ShortSessionKey(length)),
            None => Seal::of(keys, &self.resource).ok_or(ConfigError::NoSessionKeys),
        }
    }

    fn check_origins(&self) -> Result<(), ConfigError> {
        let is_origin = |origin: &str| {
            let origin = origin.strip_suffix(":*").unwrap_or(origin);
            url::split(origin).is_some_and(|(_, host, rest)| rest.is_empty() && !host.contains('*'))
        };
        match self.allowed_origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(ConfigError::Origin(origin.clone())),
            None => Ok(()),
        }
    }
}

/// Whether two servers would issue tokens of one issuer.
fn overlap(one: &AuthorizationServer, other: &AuthorizationServer) -> bool {
    let has = |server: &AuthorizationServer, issuer: &str| {
        server.family().is_some_and(|family| family.names(issuer))
    };
    let shares = |one: &AuthorizationServer, other: &AuthorizationServer| {
        has(one, other.issuer())
            || other
                .family()
                .is_some_and(|family| family.issuers().iter().any(|issuer| has(one, issuer)))
    };
    one.issuer() == other.issuer() || shares(one, other) || shares(other, one)
}

/// The origin of a URL as a browser writes it, without the port that the scheme implies; or of any port (`:*`).
fn origin(url: &str) -> Option<String> {
    let (url, any_port) = url.strip_suffix(":*").map_or((url, ""), |url| (url, ":*"));
    let (scheme, authority, _) = url::split(url)?;
    let implied = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    Some(format!("{scheme}://{}{any_port}", authority.strip_suffix(implied).unwrap_or(authority)))
}
