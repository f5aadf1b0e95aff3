//! How a protected resource is described.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::issuer::api_keys::ApiKeys;
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::introspection::{Introspection, Secret};
use crate::issuer::resolver::ResolveFn;
use crate::issuer::revocations::Revocations;
use crate::issuer::verifier::Verifier;
use crate::model::auth_info::AuthInfo;
use crate::model::require::{Hierarchy, Require};
use crate::model::scope::Scopes;
use crate::net::clock::Clock;
use crate::policy::list_filter::{ListItemKind, ListPredicate};
use crate::policy::metadata::ResourceMetadata;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::ToolScopes;
use crate::resource::issuer_resolvers::{self, Resolver};
use crate::resource::sender_settings;
use crate::verify::dpop::Dpop;
use crate::verify::mtls::ClientCertHeader;

/// Describes a protected resource. Made by [`McpAuth::builder`].
#[derive(Default)]
#[must_use = "nothing is protected before `build()`"]
pub struct McpAuthBuilder {
    pub(super) resource: String,
    pub(super) servers: Vec<AuthorizationServer>,
    pub(super) trusted_issuers: Vec<String>,
    pub(super) resolvers: Vec<issuer_resolvers::Resolver>,
    pub(super) audiences: Vec<String>,
    pub(super) required: Rule,
    pub(super) operations: ToolScopes,
    pub(super) hierarchy: Hierarchy,
    pub(super) requested_as: BTreeMap<Box<str>, Box<str>>,
    pub(super) request_prefix: Option<Box<str>>,
    pub(super) has_strict_challenges: bool,
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
    pub(super) verifier: Option<Box<dyn Verifier>>,
    pub(super) api_keys: ApiKeys,
    pub(super) revocations: Revocations,
    pub(super) sender: sender_settings::Settings,
    pub(super) clock: Option<Arc<dyn Clock>>,
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

    /// Trusts issuers that are known only at run time, such as those of new customers. `form` is the
    /// issuer with a placeholder for the tenant, `https://{tenant}.auth.example.com`; for a token of such an issuer
    /// `resolve` is asked, and its answer is kept: for 5 minutes, or a minute if it is `None`.
    ///
    /// A tenant is letters, digits, `-`, `_` and `.`. Nothing is fetched of an issuer that is refused, and one
    /// question at a time is asked for each. A question that fails or takes longer than 5 seconds is an
    /// outage: the client gets 503, and keeps its token. Return a clone of an
    /// [`AuthorizationServer`] that you keep, since keys belong to it. One with
    /// [`introspection`](AuthorizationServer::introspection) is asked about JWTs only, and so must say
    /// [`introspect_jwts`](crate::Introspection::introspect_jwts): an opaque token names no issuer.
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
        form: impl Into<String>,
        resolve: impl Fn(String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<AuthorizationServer>, Box<dyn Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let ask: ResolveFn = Arc::new(move |issuer| Box::pin(resolve(issuer)));
        self.resolvers.push(Resolver { form: form.into(), ask });
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

    /// Asks the authorization server about opaque tokens, with a client id and a secret
    /// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). JWTs are verified as ever.
    ///
    /// For other ways of authentication, other limits, or several servers, see
    /// [`AuthorizationServer::introspection`](crate::AuthorizationServer::introspection). Resources that
    /// shall share keys and answers share a server that is described so.
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

    /// Accepts these API keys too, beside tokens of the authorization servers and whatever verifies them.
    /// Called twice, the last list counts.
    pub fn api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys = keys;
        self
    }

    /// Offers tokens that are bound to a key (DPoP,
    /// [RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), or requires them.
    ///
    /// Unless this is called, such a token is accepted with its proof, and refused without; but clients are
    /// not told that they may ask for one.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.sender.dpop = Some(dpop);
        self
    }

    /// Believes these peers what they say in a header about the client's TLS certificate: addresses
    /// (`127.0.0.1`) and networks (`10.0.0.0/8`) of proxies that end TLS and replace what clients send under
    /// that name.
    ///
    /// Who the peer is stands in [`PeerAddr`](crate::PeerAddr). For TLS that ends in this process, put a
    /// [`ClientCertificate`](crate::ClientCertificate) into the requests instead; that needs no setting.
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
        self.sender.forwarded = Some((header, peers.into_iter().map(Into::into).collect()));
        self
    }

    /// Refuses tokens that are not bound to the client's TLS certificate
    /// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)).
    pub fn certificate_bound_tokens_required(mut self) -> Self {
        self.sender.requires_certificates = true;
        self
    }

    /// Looks up revocations in this book, which other resources may share. Each resource has its own
    /// unless this is set.
    pub fn revocations(mut self, book: &Revocations) -> Self {
        self.revocations = book.clone();
        self
    }

    /// Tells the time by this, instead of by the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }
}
