//! `McpAuth`: one protected resource, and the decision whether a request is admitted.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, HeaderValue, Uri};
use http_body::Body;
use tokio::sync::watch;

use crate::issuer::api_keys::KeysFile;
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::revocations::Revocations;
use crate::model::auth_info::AuthInfo;
use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::scheme::Scheme;
use crate::model::scope::Scopes;
use crate::model::tool_call::ToolCall;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::policy::authorization::{CheckedToken, Policy};
use crate::policy::challenge::Challenge;
use crate::policy::list_filter::ListFilter;
use crate::policy::operation::{Operation, check_no_upgrade};
use crate::resource::builder::McpAuthBuilder;
use crate::resource::claimed_sessions::ClaimedSessions;
use crate::resource::config_error::ConfigError;
use crate::resource::default_verifier::VerifierKind;
use crate::resource::guarded_body::{self, GuardedBody};
use crate::resource::issuer_resolvers::Resolvers;
use crate::resource::listening_streams::{ListeningStreams, Login, StreamEnd};
use crate::resource::names::{self, Names};
use crate::resource::sender_constraint::SenderConstraint;
use crate::resource::unknown_paths::UnknownPaths;
use crate::verify::dpop::RequestedUri;
use crate::verify::id_signer::IdSigner;

/// A protected resource: the MCP server at one URL (and its [aliases](McpAuthBuilder::alias)), and the policy that says who may use it.
///
/// Build it once with [`builder`](Self::builder). Clones are cheap.
///
/// ```
/// use mcp_auth::McpAuth;
///
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com/oidc")
///     .required_scopes(["read", "write"])
///     .build()?;
/// assert_eq!(auth.resource(), "https://api.example.com/mcp");
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct McpAuth(pub(super) Arc<Inner>);

type FindUri = fn(&Extensions) -> Option<&Uri>;

pub(super) struct Inner {
    pub(super) resource: String,
    pub(super) names: Names,
    pub(super) unknown_paths: UnknownPaths,
    /// Finds the URI that the client requested, behind a router that changes the URI. Set by the router.
    pub(super) original_uri: OnceLock<FindUri>,
    /// The scopes in the challenge to a client without a valid token.
    pub(super) challenged_scopes: Scopes,
    pub(super) allowed_origins: Vec<String>,
    pub(super) is_optional: bool,
    /// The sessions that anonymous callers began, and who goes on with them.
    pub(super) claimed_sessions: Option<Arc<ClaimedSessions>>,
    /// `None` if no denial is a tool error.
    pub(super) tool_error_hint: Option<String>,
    pub(super) id_signer: Arc<IdSigner>,
    /// Whether the keys of `id_signer` were configured.
    pub(super) has_session_keys: bool,
    pub(super) streams_outlive_tokens: bool,
    pub(super) listening_streams: ListeningStreams,
    /// Whether listening streams end.
    pub(super) ends_streams: watch::Sender<bool>,
    pub(super) lists: Option<ListFilter>,
    pub(super) servers: Vec<AuthorizationServer>,
    /// Finds the authorization servers of issuers that are known only at run time.
    pub(super) resolvers: Resolvers,
    /// The servers without which tokens cannot be verified: for their keys, or for introspection. Empty with a
    /// custom verifier.
    pub(super) required_servers: Vec<AuthorizationServer>,
    /// The file of API keys, if one is configured.
    pub(super) keys_file: Option<KeysFile>,
    pub(super) verifier: VerifierKind,
    pub(super) policy: Arc<Policy>,
    pub(super) revocations: Revocations,
    pub(super) sender: SenderConstraint,
    pub(super) clock: Arc<dyn Clock>,
    /// The maximum size of a request body that is read, in bytes.
    pub(super) max_message_bytes: usize,
}

impl McpAuth {
    /// Starts the configuration of the protected resource at this URL.
    ///
    /// It must be the URL that clients connect to. It is also the resource's identifier
    /// ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)), its audience and its route.
    pub fn builder(resource: impl Into<String>) -> McpAuthBuilder {
        McpAuthBuilder::new(resource.into())
    }

    /// Decides whether a request is admitted: verifies the token and authorizes the operation.
    ///
    /// [`BearerAuthLayer`](crate::BearerAuthLayer) makes this decision for each request. Call this method
    /// yourself where a tower service does not fit. It does not check `Origin` and does not handle CORS; the
    /// layer does.
    ///
    /// The body is read only if there are rules for operations, and only after the token has been verified and
    /// checked. It is returned unchanged. Reading it has no timeout here; the layer has one of 30 seconds.
    ///
    /// # Errors
    ///
    /// The [`Denial`]. [`challenge`](Self::challenge) gives the `WWW-Authenticate` challenge for it.
    pub async fn admit<B: Body<Data = Bytes>>(
        &self,
        parts: &Parts,
        body: B,
    ) -> Result<(AuthInfo, GuardedBody<B>), Denial> {
        let decision = self.decide(std::future::pending(), parts, body).await;
        decision.map_err(|denial| {
            let name = self.0.names.index_for(parts);
            denial.under(Scheme::of(&parts.headers)).called_by(name)
        })
    }

    /// The checks of [`admit`](Self::admit), in order, with a `timeout` for reading the body.
    pub(crate) async fn decide<B: Body<Data = Bytes>>(
        &self,
        timeout: impl Future<Output = ()>,
        parts: &Parts,
        body: B,
    ) -> Result<(AuthInfo, GuardedBody<B>), Denial> {
        let credentials = Credentials::parse_unchecked(&parts.headers)?; // 401 400     headers only
        let (token, now) = self.verify(&credentials).await?; //             401 400 503 signature, or introspection
        let token = self.check_token(token, now)?; //                       401         issuer, time, audience, revocations
        let proof = self.0.sender.verify(&token, &credentials, parts, now); // 401 503  sender constraint: DPoP, mTLS
        let elsewhere = proof.map(|new| new.map(|proof| self.0.sender.check_elsewhere(proof, now)));
        if let Some(check) = elsewhere.map_err(|denial| of_holder(denial, Some(&token)))? {
            check.await.map_err(|denial| of_holder(denial, Some(&token)))?; // 401 503  the shared store of proofs
        }
        let body = self.read(Some(&token), parts, body, timeout).await?; // 400 401 413 only if rules need the body
        let operation = self.operation(parts, &body); //                    400
        let operation = operation.map_err(|denial| of_holder(denial, Some(&token)))?;
        let caller = self.0.policy.authorize_operation(token, credentials, &operation, now); // 401 403
        let caller = caller.map_err(|denial| self.denial_of(denial, operation.tool_call()))?;
        Ok((caller, body))
    }

    /// Admits a request without credentials if no rule covers its operation.
    pub(crate) async fn admit_anonymous<B: Body<Data = Bytes>>(
        &self,
        timeout: impl Future<Output = ()>,
        parts: &Parts,
        body: B,
    ) -> Result<GuardedBody<B>, Denial> {
        let body = self.read(None, parts, body, timeout).await?;
        let operation = self.operation(parts, &body)?;
        let admitted = self.check_anonymous(&operation);
        admitted.map_err(|denial| self.denial_of(denial, operation.tool_call()))?;
        Ok(body)
    }

    /// Checks whether an admitted caller may perform another operation, as `admit` would.
    ///
    /// Use it to guard tools that can be reached without passing the layer.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, Denial, McpAuth, Operation};
    ///
    /// fn delete(auth: &McpAuth, caller: &AuthInfo) -> Result<(), Denial> {
    ///     auth.check_operation(caller, &Operation::of_tool("delete_note"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The [`Denial`] with which the layer would refuse the operation.
    pub fn check_operation(
        &self,
        caller: &AuthInfo,
        operation: &Operation<'_>,
    ) -> Result<(), Denial> {
        self.0.policy.check_operation(caller.data(), operation, self.0.clock.now())
    }

    /// The rules that apply to an operation, by the names and patterns that they were written for: `delete_*`. It is empty if
    /// only what holds for every request applies, and if the operation is one that is refused whatever the rules.
    ///
    /// ```
    /// use mcp_auth::{McpAuth, Operation, ToolScopes};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .tools(ToolScopes::new().tool("delete_*", ["notes:write"]).tool("*", ["notes:read"]))
    ///     .build()?;
    /// assert_eq!(auth.rules_for(&Operation::of_tool("delete_note")), ["delete_*"]);
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn rules_for(&self, operation: &Operation<'_>) -> Vec<&str> {
        self.0.policy.operations.iter().flat_map(|rules| rules.names_for(operation)).collect()
    }

    /// Checks whether an anonymous caller may perform an operation.
    pub(crate) fn check_anonymous(&self, operation: &Operation<'_>) -> Result<(), Denial> {
        self.0.policy.check_anonymous(operation)
    }

    /// Verifies the token. Also returns the time after that, since a verifier may have to wait.
    pub(super) async fn verify(
        &self,
        credentials: &Credentials,
    ) -> Result<(VerifiedToken, SystemTime), Denial> {
        let (token, now) = match &self.0.verifier {
            VerifierKind::Default(verifier) => verifier.get_or_verify(credentials).await?,
            VerifierKind::Boxed(verifier) => {
                credentials.validate_token68()?;
                (verifier.verify(credentials).await?, self.0.clock.now())
            }
        };
        Ok((token, now))
    }

    /// Checks a verified token, cached or not. Revocations come last: they learn the clock of the issuer from
    /// tokens that are valid.
    pub(super) fn check_token(
        &self,
        token: VerifiedToken,
        now: SystemTime,
    ) -> Result<CheckedToken, Denial> {
        let token = self.0.policy.check_token(token, now)?;
        let leeway = self.0.policy.validity.leeway;
        self.0.revocations.learn_clock(token.data(), now, leeway);
        let revoked = self.0.revocations.check(token.data(), now, leeway);
        revoked.map_err(|denial| of_holder(denial, Some(&token)))?;
        Ok(token)
    }

    /// Reads the body if there are rules for operations.
    async fn read<B: Body<Data = Bytes>>(
        &self,
        token: Option<&CheckedToken>,
        parts: &Parts,
        body: B,
        timeout: impl Future<Output = ()>,
    ) -> Result<GuardedBody<B>, Denial> {
        if !self.reads_bodies() {
            return Ok(GuardedBody::inner(body));
        }
        let no_upgrade = check_no_upgrade(&parts.method, &parts.headers);
        no_upgrade.map_err(|denial| of_holder(denial, token))?;
        let body = guarded_body::read(body, self.0.max_message_bytes, timeout).await;
        if let Some(token) = token {
            // Reading may have taken a while.
            let (now, leeway) = (self.0.clock.now(), self.0.policy.validity.leeway);
            let revoked = self.0.revocations.check(token.data(), now, leeway);
            revoked.map_err(|denial| of_holder(denial, Some(token)))?;
        }
        body.map_err(|why| of_holder(Denial::bad_message(why), token))
    }

    fn operation<'b, B>(
        &self,
        parts: &Parts,
        body: &'b GuardedBody<B>,
    ) -> Result<Operation<'b>, Denial> {
        if !self.reads_bodies() {
            return Ok(Operation::default());
        }
        Operation::read(&parts.method, &parts.headers, body.bytes())
    }

    /// The `WWW-Authenticate` challenge for a denial. Returns `None` if neither a login nor more scopes would
    /// help.
    #[must_use]
    pub fn challenge(&self, denial: &Denial) -> Option<Challenge> {
        let requested = |scopes: &Scopes| self.requested(scopes);
        let (scopes, metadata_url) = (&self.0.challenged_scopes, self.metadata_url_for(denial));
        let challenge = Challenge::naming(denial, scopes, metadata_url, requested)?;
        Some(self.0.sender.challenge(challenge, denial))
    }

    /// The scopes by the names that clients request.
    pub(crate) fn requested(&self, scopes: &Scopes) -> Scopes {
        self.0.policy.resource.scopes.requested(scopes)
    }

    /// What the text of a tool error ends with. Returns `None` if no denial is a tool error.
    pub(crate) fn tool_error_hint(&self) -> Option<&str> {
        self.0.tool_error_hint.as_deref()
    }

    /// The denial of a request. If it calls a tool, the denial may be a result of the tool.
    pub(crate) fn denial_of(&self, denial: Denial, tool_call: Option<ToolCall<'_>>) -> Denial {
        match tool_call.filter(|_| self.0.tool_error_hint.is_some()) {
            Some(call) => denial.in_result_of(call),
            None => denial,
        }
    }

    /// The nonce that the next DPoP proof must contain
    /// ([RFC 9449 §8.2](https://www.rfc-editor.org/rfc/rfc9449#section-8.2)).
    ///
    /// It is the value of the `DPoP-Nonce` header in responses to requests that used DPoP. Returns `None` if
    /// nonces are not required.
    #[must_use]
    pub fn dpop_nonce(&self) -> Option<HeaderValue> {
        self.0.sender.nonce(&*self.0.clock)
    }

    /// The URL of the resource, which is its identifier.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.0.resource
    }

    /// The host by which the client called: that which a proxy of
    /// [`forwarded_host_from`](McpAuthBuilder::forwarded_host_from) passes on, or that of the request. For servers
    /// that choose among several resources.
    ///
    /// Returns `None` if the request names none, or if the proxy names several. It is untrusted input: compare it with names
    /// that you know.
    ///
    /// ```
    /// use mcp_auth::{McpAuth, PeerAddr};
    ///
    /// let auth = McpAuth::builder("https://mcp.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .forwarded_host_from(["10.0.7.0/24"])
    ///     .build()?;
    /// let request = http::Request::get("/mcp").header("host", "backend").header("x-forwarded-host", "mcp.example.com");
    /// let (mut parts, ()) = request.body(())?.into_parts();
    /// assert_eq!(auth.requested_host(&parts), Some("backend"));
    /// parts.extensions.insert(PeerAddr([10, 0, 7, 1].into()));
    /// assert_eq!(auth.requested_host(&parts), Some("mcp.example.com"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn requested_host<'r>(&self, request: &'r Parts) -> Option<&'r str> {
        self.0.names.requested_host(request)
    }

    /// The URL of the resource's metadata ([RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1)).
    #[must_use]
    pub fn metadata_url(&self) -> &str {
        self.0.names.get(0).map_or("", |name| &name.metadata_url)
    }

    /// The resource's metadata document as JSON
    /// ([RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2)).
    #[must_use]
    pub fn metadata_json(&self) -> &str {
        self.0.names.get(0).map_or("", |name| &name.metadata_json)
    }

    /// Checks that no two resources have a name in common: the URL of one is not the other's, nor its
    /// [alias](McpAuthBuilder::alias). Otherwise a token for one of them would be accepted at the other.
    ///
    /// Call it where several resources are served together.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let resource = |url| McpAuth::builder(url).authorization_server("https://auth.example.com");
    /// let notes = resource("https://api.example.com/notes").build()?;
    /// let mail = resource("https://api.example.com/mail").alias("https://api.example.com/notes").build()?;
    /// assert!(McpAuth::check_distinct([&notes, &mail]).is_err());
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Alias`] with the common name.
    pub fn check_distinct<'a>(
        resources: impl IntoIterator<Item = &'a Self>,
    ) -> Result<(), ConfigError> {
        let mut taken = HashSet::new();
        for one in resources {
            let own: Vec<_> = one.0.names.iter().map(|name| names::normal(&name.url)).collect();
            let mut names = one.0.names.iter().zip(&own);
            if let Some((name, _)) = names.find(|(_, normal)| taken.contains(*normal)) {
                let why =
                    "is a name of two resources: a token for one would be accepted at the other";
                return Err(ConfigError::Alias { alias: name.url.clone(), why });
            }
            taken.extend(own);
        }
        Ok(())
    }

    /// Checks that no two resources have the same path, so that the routers of [`protect`](Self::protect) and
    /// `protect_mcp` can be merged. axum panics if two routes are the same: `Overlapping method route`.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let resource = |url| McpAuth::builder(url).authorization_server("https://auth.example.com").build();
    /// let (notes, mail) = (resource("https://notes.example.com/mcp")?, resource("https://mail.example.com/mcp")?);
    /// let error = McpAuth::check_paths([&notes, &mail]).unwrap_err();
    /// assert!(error.to_string().contains("have the same path"));
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::SamePath`] with both URLs.
    pub fn check_paths<'a>(
        resources: impl IntoIterator<Item = &'a Self>,
    ) -> Result<(), ConfigError> {
        let mut taken: HashMap<&str, &str> = HashMap::new();
        for one in resources {
            let own = || one.0.names.iter().map(|name| (names::path_of(&name.url), &*name.url));
            for (path, url) in own() {
                if let Some(first) = taken.get(path) {
                    let (first, second) = ((*first).to_owned(), url.to_owned());
                    return Err(ConfigError::SamePath { first, second });
                }
            }
            taken.extend(own());
        }
        Ok(())
    }

    /// The URL of the metadata of the name by which the refused client called.
    pub(crate) fn metadata_url_for(&self, denial: &Denial) -> &str {
        self.0.names.get(denial.name()).map_or("", |name| &name.metadata_url)
    }

    /// The path that the client requested, for the log.
    pub(crate) fn requested_path<'r>(&self, request: &'r Parts) -> &'r str {
        let original = self.0.original_uri.get().and_then(|find| find(&request.extensions));
        let given = || request.extensions.get().map(|RequestedUri(uri)| uri);
        original.or_else(given).unwrap_or(&request.uri).path()
    }

    pub(crate) fn unknown_paths(&self) -> &UnknownPaths {
        &self.0.unknown_paths
    }

    /// Sets how the router keeps the URI that the client requested.
    pub(crate) fn find_original_uri(&self, find: FindUri) {
        self.0.original_uri.get_or_init(|| find);
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    /// The trusted authorization servers, in the order in which the metadata lists them.
    #[must_use]
    pub fn authorization_servers(&self) -> &[AuthorizationServer] {
        &self.0.servers
    }

    /// Whether request bodies are read, because there are rules for operations.
    pub(crate) fn reads_bodies(&self) -> bool {
        self.0.policy.operations.is_some()
    }

    /// Whether requests without credentials are admitted as anonymous.
    pub(crate) fn is_optional(&self) -> bool {
        self.0.is_optional
    }

    /// From when on the caller's token is refused, if its listening streams end then. Returns `None` if it does not
    /// expire, or if streams may outlive it.
    pub(crate) fn end_of_token(&self, caller: &AuthInfo) -> Option<SystemTime> {
        self.0.policy.validity.end_of(caller.data()).filter(|_| !self.0.streams_outlive_tokens)
    }

    /// The end of a listening stream that was opened with the caller's token.
    pub(crate) fn end_of_stream(&self, caller: &AuthInfo) -> Option<StreamEnd> {
        let end = self.end_of_token(caller)?;
        Some(self.0.listening_streams.reserve(Login::of(caller), end))
    }

    /// Ends the listening streams (the responses to `GET` and to `subscriptions/listen`), from now on and for good: each ends as
    /// if its token had expired, and its client opens it again. Responses to other requests are sent to their ends.
    ///
    /// Call it before a server ends, which would otherwise wait for them, and when another value takes the place of this one.
    ///
    /// ```
    /// # let auth = mcp_auth::McpAuth::builder("https://api.example.com/mcp").authorization_server("https://auth.example.com").build()?;
    /// auth.end_listening_streams(); // and then the graceful shutdown of the server
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn end_listening_streams(&self) {
        self.0.ends_streams.send_replace(true);
    }

    /// Ready when listening streams end.
    pub(crate) fn streams_ended(&self) -> BoxFuture<'static, ()> {
        let mut ends_streams = self.0.ends_streams.subscribe();
        Box::pin(async move {
            // If there is no sender any more, nothing ends the stream.
            if ends_streams.wait_for(|ends| *ends).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    pub(crate) fn id_signer(&self) -> &IdSigner {
        &self.0.id_signer
    }

    pub(crate) fn claimed_sessions(&self) -> Option<&Arc<ClaimedSessions>> {
        self.0.claimed_sessions.as_ref()
    }

    pub(crate) fn lists(&self) -> Option<&ListFilter> {
        self.0.lists.as_ref()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(crate) fn allowed_origins(&self) -> &[String] {
        &self.0.allowed_origins
    }
}

/// The denial of a token that has been verified.
#[cold]
fn of_holder(denial: Denial, token: Option<&CheckedToken>) -> Denial {
    match token {
        Some(token) => denial.held_by(token),
        None => denial,
    }
}

impl fmt::Debug for McpAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpAuth")
            .field("resource", &self.0.resource)
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
