//! `McpAuthBuilder`: the configuration of a protected resource.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::issuer::api_keys::ApiKeys;
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::custom_verifier::CustomVerifier;
use crate::issuer::introspection::Introspection;
use crate::issuer::issuer_resolver::ResolveFn;
use crate::issuer::revocations::Revocations;
use crate::issuer::verifier::Verifier;
use crate::model::auth_info::AuthInfo;
use crate::model::scope::Scopes;
use crate::model::scope_requirement::{Hierarchy, Require};
use crate::net::clock::Clock;
use crate::net::fetch::Secret;
use crate::net::replay_store::ReplayStore;
use crate::policy::list_filter::{ListItemKind, ListPredicate};
use crate::policy::metadata::ResourceMetadata;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::ToolScopes;
use crate::resource::claimed_sessions::ClaimedSessions;
use crate::resource::issuer_resolvers::{self, Resolver};
use crate::resource::sender_settings;
use crate::verify::dpop::{Dpop, ReplayCache};
use crate::verify::id_signer::IdSigner;
use crate::verify::mtls::ClientCertHeader;

/// What a resource takes over from an earlier value of it.
#[derive(Default)]
pub(super) struct Earlier {
    pub(super) id_signer: Option<Arc<IdSigner>>,
    pub(super) claimed_sessions: Option<Arc<ClaimedSessions>>,
    pub(super) replays: Option<Arc<ReplayCache>>,
}

/// Configures a protected resource. Created by [`McpAuth::builder`](crate::McpAuth::builder).
#[derive(Default)]
#[must_use = "nothing is protected before `build()`"]
pub struct McpAuthBuilder {
    pub(super) resource: String,
    pub(super) servers: Vec<AuthorizationServer>,
    pub(super) trusted_issuers: Vec<String>,
    pub(super) resolvers: Vec<issuer_resolvers::Resolver>,
    pub(super) aliases: Vec<String>,
    pub(super) metadata_url: Option<String>,
    pub(super) forwarded_host_from: Option<Vec<String>>,
    pub(super) audiences: Vec<String>,
    pub(super) required: Rule,
    pub(super) operations: ToolScopes,
    pub(super) hierarchy: Hierarchy,
    pub(super) requested_as: BTreeMap<Box<str>, Box<str>>,
    pub(super) request_prefix: Option<Box<str>>,
    pub(super) has_strict_challenges: bool,
    pub(super) initial_scopes: Scopes,
    pub(super) has_tool_errors: bool,
    pub(super) tool_error_hint: String,
    pub(super) max_message_bytes: Option<usize>,
    pub(super) leeway: Option<Duration>,
    pub(super) max_token_age: Option<Duration>,
    pub(super) cached_tokens: Option<usize>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) is_optional: bool,
    pub(super) session_keys: Option<Vec<Box<[u8]>>>,
    pub(super) streams_outlive_tokens: bool,
    pub(super) keep: Option<Box<ListPredicate>>,
    pub(super) filters_lists: bool,
    pub(super) has_security_schemes: bool,
    pub(super) metadata: ResourceMetadata,
    pub(super) introspection: Option<Introspection>,
    pub(super) verifier: Option<CustomVerifier>,
    pub(super) verifier_timeout: Option<Duration>,
    pub(super) api_keys: ApiKeys,
    pub(super) revocations: Revocations,
    pub(super) sender: sender_settings::Settings,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) earlier: Earlier,
}

impl McpAuthBuilder {
    pub(super) fn new(resource: String) -> Self {
        Self { resource, ..Self::default() }
    }

    /// Trusts an authorization server: an issuer URL, which is used for discovery, or an
    /// [`AuthorizationServer`].
    ///
    /// Call it again to trust several servers. Clients use the first one that the metadata lists.
    pub fn authorization_server(mut self, server: impl Into<AuthorizationServer>) -> Self {
        self.servers.push(server.into());
        self
    }

    /// Trusts several authorization servers, each with its own keys, such as the tenants of a provider.
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

    /// Also trusts tokens of this issuer, if the [`verifier`](Self::verifier) accepts them.
    ///
    /// The metadata does not list the issuer, because clients cannot log in there.
    pub fn trusted_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.trusted_issuers.push(issuer.into());
        self
    }

    /// Trusts issuers that are known only at run time, such as those of new customers.
    ///
    /// `pattern` is the issuer with a placeholder for the tenant, such as `https://{tenant}.auth.example.com`. For
    /// a token of a matching issuer, `resolve` is called with the issuer. It returns the authorization server,
    /// or `None` to refuse the issuer. The result is cached for 5 minutes, or for 1 minute if it is `None`.
    ///
    /// A tenant consists of letters, digits, `-`, `_` and `.`. Nothing is fetched from an issuer that is
    /// refused. Concurrent calls for the same issuer are coalesced into one. If `resolve` fails or takes longer
    /// than 5 seconds, that counts as an outage: the client gets a 503 and keeps its token. The error is not
    /// logged, because it may contain a secret or the issuer that the caller named: log it in `resolve`.
    ///
    /// Return a clone of an [`AuthorizationServer`] that you keep, because the cached keys belong to it. A
    /// server with [`introspection`](AuthorizationServer::introspection) must also set
    /// [`introspect_jwts`](crate::Introspection::introspect_jwts): it is used for JWTs only, because an opaque
    /// token does not name its issuer.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let customers: HashMap<String, AuthorizationServer> = HashMap::new(); // or a database
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server(AuthorizationServer::external("https://login.example.com")) // where clients log in
    ///     .issuer_resolver("https://{tenant}.auth.example.com", move |issuer| {
    ///         let server = customers.get(&issuer).cloned();
    ///         async { Ok(server) }
    ///     })
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn issuer_resolver<F>(
        mut self,
        pattern: impl Into<String>,
        resolve: impl Fn(String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<AuthorizationServer>, Box<dyn Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let resolve: ResolveFn = Arc::new(move |issuer| Box::pin(resolve(issuer)));
        self.resolvers.push(Resolver { pattern: pattern.into(), resolve });
        self
    }

    /// Also accepts tokens for this audience. The URL of the resource is always accepted.
    ///
    /// For issuers that identify the resource by another name, such as `api://orders` or a GUID.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Requires scopes of every token: all of them, or any of them with [`AnyOf`](crate::AnyOf).
    ///
    /// If it is called twice, both requirements must be met.
    pub fn required_scopes(mut self, scopes: impl Into<Require>) -> Self {
        self.required = self.required.and(scopes.into().into());
        self
    }

    /// Requires more than scopes of every token: a claim, or how the user logged in.
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

    /// Sets what individual tools, prompts, resources and methods require in addition.
    ///
    /// If it is called twice, both sets of rules apply.
    ///
    /// The bodies of requests are then read, up to [`max_message_bytes`](Self::max_message_bytes). Put the
    /// layer in front of an MCP endpoint only.
    pub fn tools(mut self, rules: ToolScopes) -> Self {
        self.operations = self.operations.and(rules);
        self
    }

    /// Sets the name by which clients request `scope`, if it differs from the name in tokens.
    ///
    /// For example, Entra's tokens contain `notes.read`, and clients must request `api://orders/notes.read`.
    /// Challenges and metadata use the name for requests.
    pub fn requested_as(mut self, scope: impl Into<String>, name: impl Into<String>) -> Self {
        self.requested_as.insert(scope.into().into(), name.into().into());
        self
    }

    /// Sets the prefix with which clients request scopes.
    ///
    /// For Entra it is `api://orders/`: tokens contain `notes.read` if `api://orders/notes.read` was requested.
    /// It does not apply to scopes that [`requested_as`](Self::requested_as) names, nor to those of OpenID
    /// Connect (`openid`, `profile`...).
    pub fn requested_with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.request_prefix = Some(prefix.into().into());
        self
    }

    /// Names only the required scopes in a challenge for more scopes.
    ///
    /// By default, such a challenge also names the scopes that the token already grants, as far as this
    /// resource knows them. The reason is that many clients replace their scopes by those of the challenge (see
    /// [MCP, Scope Challenge Handling](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-challenge-handling)).
    pub fn strict_challenges(mut self) -> Self {
        self.has_strict_challenges = true;
        self
    }

    /// Sets what clients ask for at their first login, in addition to the [required scopes](Self::required_scopes).
    ///
    /// The challenge of a 401 names these scopes, and so does `scopes_supported` of the metadata unless it is
    /// [set](Self::metadata). A token is admitted without them: only the rules of [`tools`](Self::tools) require more.
    ///
    /// For clients that do not ask for more scopes later, or may not: many issuers limit a client to the scopes with
    /// which it registered, and clients register with those of the first challenge.
    ///
    /// ```
    /// use mcp_auth::{Denial, McpAuth, ToolScopes};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .required_scopes(["read"])
    ///     .initial_scopes(["read", "write"])
    ///     .tools(ToolScopes::new().tool("add_*", ["write"]))
    ///     .build()?;
    /// let challenge = auth.challenge(&Denial::no_credentials()).unwrap();
    /// assert_eq!(challenge.scope.unwrap().as_str(), "read write");
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn initial_scopes(mut self, scopes: impl Into<Scopes>) -> Self {
        self.initial_scopes = scopes.into();
        self
    }

    /// Answers the call of a tool whose scopes the token does not grant with a result of the tool (`isError`) and
    /// status 200, instead of with a 403.
    ///
    /// For clients that do not ask for more scopes after a 403: their users, or their models, read this text. It names the
    /// missing scopes, and says that the user must sign in again to grant them. With [`optional`](Self::optional), an
    /// anonymous call of a tool that requires a login is answered in the same way. `_meta` of the result has the challenge,
    /// as `mcp/www_authenticate`: ChatGPT starts a login from it.
    ///
    /// Off unless set, because
    /// [MCP wants the 403](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-challenge-handling),
    /// and clients that can step up do so only after it. It applies where rules for operations make the layer read the
    /// call, and to refusals by [`require`](crate::AuthInfo::require) that are early enough for a 403. Log and metrics are
    /// those of the 403, except for the status. A batch (2025-03-26) of one such call is answered with a batch, and one of
    /// several with the 403.
    ///
    /// ```
    /// use mcp_auth::{McpAuth, ToolScopes};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .tools(ToolScopes::new().tool("add_*", ["write"]))
    ///     .insufficient_scope_as_tool_error()
    ///     .insufficient_scope_hint("Disconnect and connect the server in the settings to sign in again.")
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn insufficient_scope_as_tool_error(mut self) -> Self {
        self.has_tool_errors = true;
        self
    }

    /// Adds a line of your own to the text of a [tool error](Self::insufficient_scope_as_tool_error): how users sign in
    /// again. It has no effect without that setting.
    pub fn insufficient_scope_hint(mut self, line: impl Into<String>) -> Self {
        self.tool_error_hint = line.into();
        self
    }

    /// The maximum size of a request body, in bytes, if [`tools`](Self::tools) sets rules.
    ///
    /// Default: 4 MiB, which is also rmcp's limit. Longer bodies are refused with 413.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }

    /// Declares that the scope `broad` includes the scopes `narrow`.
    pub fn implies(mut self, broad: impl AsRef<str>, narrow: impl Into<Scopes>) -> Self {
        self.hierarchy.add(broad.as_ref(), narrow);
        self
    }

    /// The clock skew that is tolerated when `exp`, `nbf` and `iat` are checked.
    ///
    /// Default: 60 seconds, as in MCP Auth for Python and Spring Security. Maximum: 5 minutes.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(leeway);
        self
    }

    /// Refuses tokens that were issued longer ago than this, even if they have not expired.
    ///
    /// For issuers whose tokens are valid for days. The [leeway](Self::leeway) applies. A token that does not
    /// say when it was issued (`iat`) is refused. API keys have their own expiry and are not affected.
    pub fn max_token_age(mut self, age: Duration) -> Self {
        self.max_token_age = Some(age);
        self
    }

    /// How many verified tokens are cached.
    ///
    /// Default: 10,000, which takes about 7 MB. The least used tokens are evicted first. A token with more than
    /// 1 KiB of claims counts as several. With 0, every token is verified on each request.
    pub fn cached_tokens(mut self, number: usize) -> Self {
        self.cached_tokens = Some(number);
        self
    }

    /// Allows requests from web pages of these origins, in addition to the resource's own origin:
    /// `https://app.example.com`, or `http://localhost:*` for any port. Origins may have any scheme
    /// ([RFC 6454](https://www.rfc-editor.org/rfc/rfc6454)), such as that of a browser extension,
    /// `chrome-extension://<id>`, and those with other schemes than `http` and `https` are compared byte for byte.
    ///
    /// The list is used for the `Origin` check that MCP requires, and for CORS. Requests without an `Origin`
    /// header do not come from web pages and are not affected.
    pub fn allowed_origins<S: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = S>,
    ) -> Self {
        self.allowed_origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Admits requests without credentials as anonymous: they have no [`AuthInfo`](crate::AuthInfo).
    ///
    /// Invalid credentials are still refused. An operation with a rule requires a login: the 401 names its scopes. A
    /// session that a client began anonymously goes on after the login, and belongs to that caller from then on.
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Signs session ids and event ids with these keys, instead of with a random key.
    ///
    /// Each key is a secret of at least 32 random bytes. Store it like a password. The first key signs; all
    /// keys verify.
    ///
    /// Each session id (`Mcp-Session-Id`) and each event id of a resumable stream is signed (HMAC) for the
    /// issuer and subject of the token with which it was created. For any other caller it is an unknown
    /// id. A random key is lost when the process ends. Set keys if sessions live longer than a process, or if
    /// several processes serve them. To replace a key, put the new one first, and leave the old one in the list
    /// until its sessions have ended.
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

    /// Filters lists of tools, prompts and resources: leaves out an item if `keep` returns `false` for its name
    /// or URI.
    ///
    /// The caller is `None` if the request is anonymous.
    ///
    /// The order and the pages of a list stay the same, and each list is marked as private to its reader
    /// (`cacheScope`). **This hides items; it does not protect them**: anyone who knows the name of a tool can
    /// call it, unless the call is refused as well. A response that cannot be filtered reliably is not
    /// forwarded: one that is compressed inside of this layer, is longer than 16 MiB, or has a duplicate JSON
    /// member.
    ///
    /// ```
    /// use mcp_auth::{ListItemKind, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .list_only(|caller, listed, name| {
    ///         let may_write = caller.is_some_and(|caller| caller.scopes().contains("notes:write"));
    ///         listed != ListItemKind::Tool || may_write || !name.starts_with("delete_")
    ///     })
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn list_only(
        mut self,
        keep: impl Fn(Option<&AuthInfo>, ListItemKind, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }

    /// Leaves out of lists what the rules of [`tools`](Self::tools) do not permit the caller at the moment.
    ///
    /// See [`list_only`](Self::list_only), which filters by other rules.
    ///
    /// A client cannot request the scopes of a tool that it does not see. If callers should find out what they
    /// could use, leave the lists complete; [`security_schemes`](Self::security_schemes) can say which scopes
    /// each tool requires.
    pub fn filter_lists(mut self) -> Self {
        self.filters_lists = true;
        self
    }

    /// Adds the required scopes (`securitySchemes`) to each listed tool that has a rule. Some clients (ChatGPT)
    /// use them to request scopes.
    pub fn security_schemes(mut self) -> Self {
        self.has_security_schemes = true;
        self
    }

    /// Leaves listening streams open when the token with which they were opened has expired.
    ///
    /// By default, a listening stream (a GET, or `subscriptions/listen`) ends when its token expires (plus leeway),
    /// and the client opens another one with a fresh token. A stream that answers another request does not end
    /// then: the request was authorized when it arrived. With this setting, **anyone who once had a valid token
    /// can keep listening** for as long as the connection lasts: after the token has expired, after the user has
    /// logged out, after the account was closed. A token that is [revoked](crate::McpAuth::revoke) still ends its
    /// streams, but tokens are not introspected again while a stream is open. Use this setting for clients that do
    /// not listen again, and for servers that end their streams themselves.
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

    /// Adds members to the metadata of the resource.
    pub fn metadata(mut self, complete: impl FnOnce(ResourceMetadata) -> ResourceMetadata) -> Self {
        self.metadata = complete(self.metadata);
        self
    }

    /// Verifies tokens with this verifier, instead of as JWTs. It is an async function, or a type that
    /// implements [`Verifier`].
    ///
    /// If it panics, or takes longer than [`verifier_timeout`](Self::verifier_timeout), the client gets a 503, and the log
    /// names the verifier.
    pub fn verifier(mut self, verifier: impl Verifier) -> Self {
        self.verifier = Some(CustomVerifier::new(verifier));
        self
    }

    /// How long the [`verifier`](Self::verifier) may take for one token. After that, it is cancelled.
    ///
    /// Default: 5 seconds, like introspection. Outside of a tokio runtime there is no limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use mcp_auth::{AuthorizationServer, Credentials, Denial, McpAuth, Reason};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server(AuthorizationServer::external("https://keys.example.com"))
    ///     .verifier(|_: Credentials| async { Err(Denial::invalid(Reason::Inactive)) })
    ///     .verifier_timeout(Duration::from_secs(2))
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn verifier_timeout(mut self, timeout: Duration) -> Self {
        self.verifier_timeout = Some(timeout);
        self
    }

    /// Introspects opaque tokens at the authorization server, with a client id and a secret
    /// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). JWTs are still verified with the issuer's keys.
    ///
    /// For other client authentication methods, other limits, or several servers, use
    /// [`AuthorizationServer::introspection`](crate::AuthorizationServer::introspection). Resources that should
    /// share keys and cached introspection results must share an [`AuthorizationServer`] that is configured in
    /// that way.
    ///
    /// ```
    /// # let secret = String::from("correct horse battery staple");
    /// use mcp_auth::McpAuth;
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .introspect("notes-server", secret)
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn introspect(mut self, client_id: impl AsRef<str>, secret: impl Into<Secret>) -> Self {
        self.introspection = Some(Introspection::basic(client_id, secret));
        self
    }

    /// Also accepts these API keys, in addition to tokens, with any verifier.
    ///
    /// If it is called twice, the last list replaces the first.
    pub fn api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys = keys;
        self
    }

    /// Offers DPoP-bound tokens to clients ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), or requires
    /// them.
    ///
    /// Without this setting, a DPoP-bound token is accepted with its proof and refused without one, but clients
    /// are not told that they may request such tokens.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.sender.dpop = Some(dpop);
        self
    }

    /// Shares the DPoP proofs that were used with other processes that serve this resource, so that a proof is accepted by only
    /// one of them. Each request with a proof then waits for the store. See [`ReplayStore`].
    ///
    /// Without it, each process knows the proofs that it has accepted itself, and a proof can be used once at each. If the store
    /// is unavailable, requests with proofs are answered with 503; others do not need it.
    pub fn replay_store(mut self, store: impl ReplayStore) -> Self {
        self.sender.replay_store = Some(Arc::new(store));
        self
    }

    /// Accepts the client's TLS certificate from a header that these proxies set.
    ///
    /// `peers` are addresses (`127.0.0.1`) and networks (`10.0.0.0/8`) of proxies. They must terminate TLS, and
    /// must replace any header of that name that a client sends.
    ///
    /// The address of the peer is read from [`PeerAddr`](crate::PeerAddr). If TLS ends in this process, put a
    /// [`ClientCertificate`](crate::ClientCertificate) into the extensions of requests instead; that needs no
    /// setting.
    ///
    /// ```
    /// use mcp_auth::{ClientCertHeader, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .client_certificates_from(ClientCertHeader::Rfc9440, ["10.0.0.0/8"])
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn client_certificates_from<S: Into<String>>(
        mut self,
        header: ClientCertHeader,
        peers: impl IntoIterator<Item = S>,
    ) -> Self {
        self.sender.trusted_proxies = Some((header, peers.into_iter().map(Into::into).collect()));
        self
    }

    /// Refuses tokens that are not bound to the client's TLS certificate
    /// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)).
    pub fn certificate_bound_tokens_required(mut self) -> Self {
        self.sender.requires_certificates = true;
        self
    }

    /// Uses these revocations, which several resources can share.
    ///
    /// By default, each resource has its own.
    pub fn revocations(mut self, revocations: &Revocations) -> Self {
        self.revocations = revocations.clone();
        self
    }

    /// Uses this clock, instead of the system clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }
}
