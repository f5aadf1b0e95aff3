//! Protected resources, as data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mcp_auth::metadata::ResourceMetadata;
use mcp_auth::{ApiKeys, AuthorizationServer, McpAuth, McpAuthBuilder, Require, Rule, ToolScopes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::error::Error;
use crate::events::{EventPollConfig, SecurityEventsConfig};
use crate::exchange::ExchangeConfig;
use crate::forward_auth::{ForwardAuthConfig, Mode};
use crate::identity::IdentityMode;
use crate::rate::LimitsConfig;
use crate::rule::{RuleConfig, Rules, Strings, add_rules};
use crate::secret::SecretSource;
use crate::sender::{ClientCertificates, DpopConfig};
use crate::stdio::{EnvValue, ProcessScope, StdioKeys, StdioServer};

/// An MCP server that is protected: who may call it, and what for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceConfig {
    /// The URL that users give to their clients: the resource's identity, its path, and the audience of its tokens.
    pub url: String,
    /// Other public URLs of the same resource, such as that of a second domain. They are audiences too.
    pub aliases: Vec<String>,
    /// Where challenges say that the metadata is, behind a proxy that forwards only the resource's own path.
    pub metadata_url: Option<String>,
    /// Who passes requests on: `proxy`, the gateway, or `forward-auth`, another proxy that asks the gateway before.
    pub mode: Mode,
    /// With `mode = "forward-auth"`: the proxy that asks.
    pub forward_auth: Option<ForwardAuthConfig>,
    /// The names of the issuers whose tokens are accepted. Default: all that the file describes.
    pub issuers: Option<Vec<String>>,
    /// The URL of the MCP server to which admitted requests are passed on, or several of servers that do the same.
    pub upstream: Option<Strings>,
    /// Instead of `upstream`: the program that is started, which speaks MCP over stdio, and its arguments. No shell reads
    /// them.
    pub command: Option<Vec<String>>,
    /// For whom a process is started: `session` (default), `principal` or `shared`.
    pub process: Option<ProcessScope>,
    /// What the environment of a process has besides `PATH`, `HOME` and a few others: texts with claims (`{sub}`), or
    /// secrets.
    pub env: BTreeMap<String, EnvValue>,
    /// The most processes at a time. Default: 64.
    pub max_processes: Option<usize>,
    /// The most processes of one caller at a time. Default: 8.
    pub max_processes_per_principal: Option<usize>,
    /// How long a process without requests and streams is kept. Default: 10 minutes.
    pub process_idle_timeout: Option<Seconds>,

    /// How the MCP server learns who calls. Default: not at all.
    pub identity: Option<IdentityMode>,
    /// Claims of the caller's token that it learns too, and their names there: of a header, or of a claim.
    pub identity_claims: BTreeMap<String, String>,
    /// Headers that the MCP server demands of the gateway, such as an API key of its own.
    pub upstream_headers: BTreeMap<String, SecretSource>,
    /// Sends the upstream a token for which the issuer has exchanged the caller's (RFC 8693).
    pub exchange: Option<ExchangeConfig>,

    /// The scopes that every token needs.
    pub scopes: Vec<String>,
    /// The scopes that clients are told to ask for at first, in addition.
    pub initial_scopes: Vec<String>,
    /// Whether a tool call without its scope is answered with a result that says so, for clients that do not step up.
    pub insufficient_scope_as_tool_error: bool,
    /// A line of your own in that result.
    pub insufficient_scope_hint: Option<String>,
    /// What every token needs besides scopes.
    pub required: Option<RuleConfig>,
    /// Other names of this resource that tokens may have as audience.
    pub audiences: Vec<String>,
    /// Rules for tools by name or pattern. `"*"` says what holds for the rest.
    pub tools: Rules,
    /// Rules for prompts by name or pattern. `"*"` says what holds for the rest.
    pub prompts: Rules,
    /// Rules for resources by URI or pattern. `"*"` says what holds for the rest.
    pub resources: Rules,
    /// Rules for methods, in addition to those for what they name.
    pub methods: Rules,
    /// What a method needs that the protocol does not define and no rule names.
    pub unknown_methods: Option<RuleConfig>,
    /// Scopes that include others: `admin = ["read", "write"]`.
    pub implies: BTreeMap<String, Vec<String>>,

    /// Whether requests without credentials are admitted as anonymous.
    pub optional: bool,
    /// Whether lists leave out what the caller may not use.
    pub filter_lists: bool,
    /// Whether listed tools name their scopes (`securitySchemes`).
    pub security_schemes: bool,
    /// Whether a challenge names only the scopes that are missing or required.
    pub strict_challenges: bool,
    /// Whether listening streams go on after their token has expired.
    pub streams_outlive_tokens: bool,
    /// The names by which clients request scopes, if they differ from those in tokens.
    pub requested_as: BTreeMap<String, String>,
    /// The prefix with which clients request scopes.
    pub requested_with_prefix: Option<String>,
    /// Origins of web pages that may call this resource.
    pub allowed_origins: Vec<String>,
    /// The maximum size of a request's body, in bytes.
    pub max_message_bytes: Option<usize>,
    /// The tolerated clock skew.
    pub leeway: Option<Seconds>,
    /// Refuses tokens that were issued longer ago.
    pub max_token_age: Option<Seconds>,
    /// How many verified tokens are cached.
    pub cached_tokens: Option<usize>,
    /// Keys that sign session ids, the newest first.
    pub session_keys: Vec<SecretSource>,
    /// Whether clients are offered tokens that are bound to a key (DPoP), or need them: `"optional"`, `"required"`, or a
    /// table with `mode`.
    pub dpop: Option<DpopConfig>,
    /// Whether tokens must be bound to the client's TLS certificate.
    pub certificate_bound_tokens_required: bool,
    /// The proxies that report a client's certificate.
    pub client_certificates: Option<ClientCertificates>,
    /// How often this resource may be called.
    pub limits: LimitsConfig,
    /// A file with the hashes of API keys. It is read again when it changes.
    pub api_keys_file: Option<PathBuf>,
    /// What the API keys begin with, if not with `mcpk_`.
    pub api_keys_prefix: Option<String>,
    /// Where issuers send logout tokens and security events, which revoke tokens before they expire.
    pub security_events: Option<SecurityEventsConfig>,
    /// Streams of security events that are polled.
    pub event_polls: Vec<EventPollConfig>,
    /// Whether the metadata of the first issuer is served at the host too, where clients of MCP 2025-03-26 look for it.
    pub serve_issuer_metadata: bool,
    /// A name of this resource that people read.
    pub name: Option<String>,
    /// A page about this resource.
    pub documentation: Option<String>,
    /// Further members of its metadata (RFC 9728), such as `resource_policy_uri`, or `"resource_name#de"`.
    pub metadata: BTreeMap<String, serde_json::Value>,
}

/// Whether a setting is on, and what it does then.
type Switch = (bool, fn(McpAuthBuilder) -> McpAuthBuilder);

impl ResourceConfig {
    /// The protected resource, with the issuers that it trusts.
    ///
    /// # Errors
    ///
    /// If keys are missing or contradict each other, or a secret cannot be read.
    pub(crate) fn to_builder(
        &self,
        servers: impl IntoIterator<Item = AuthorizationServer>,
        is_audited: bool,
    ) -> Result<McpAuthBuilder, Error> {
        let mut auth = McpAuth::builder(&self.url)
            .authorization_servers(servers)
            .required_scopes(Require::from_iter(self.scopes.clone()))
            .allowed_origins(self.allowed_origins.clone())
            .tools(self.rules(is_audited)?);
        for alias in &self.aliases {
            auth = auth.alias(alias);
        }
        if let Some(url) = &self.metadata_url {
            auth = auth.metadata_url(url);
        }
        for audience in &self.audiences {
            auth = auth.audience(audience);
        }
        if let Some(rule) = &self.required {
            auth = auth.required(rule.to_rule()?);
        }
        for (broad, narrow) in &self.implies {
            auth = auth.implies(broad, narrow.clone());
        }
        for (scope, name) in &self.requested_as {
            auth = auth.requested_as(scope, name);
        }
        if !self.initial_scopes.is_empty() {
            auth = auth.initial_scopes(self.initial_scopes.clone());
        }
        if let Some(hint) = &self.insufficient_scope_hint {
            auth = auth.insufficient_scope_hint(hint);
        }
        if let Some(prefix) = &self.requested_with_prefix {
            auth = auth.requested_with_prefix(prefix);
        }
        let switches: [Switch; 7] = [
            (self.optional, McpAuthBuilder::optional),
            (
                self.insufficient_scope_as_tool_error,
                McpAuthBuilder::insufficient_scope_as_tool_error,
            ),
            (self.filter_lists, McpAuthBuilder::filter_lists),
            (self.security_schemes, McpAuthBuilder::security_schemes),
            (self.strict_challenges, McpAuthBuilder::strict_challenges),
            (self.streams_outlive_tokens, McpAuthBuilder::streams_outlive_tokens),
            (
                self.certificate_bound_tokens_required,
                McpAuthBuilder::certificate_bound_tokens_required,
            ),
        ];
        for (is_on, switch) in switches {
            auth = if is_on { switch(auth) } else { auth };
        }
        if let Some(bytes) = self.max_message_bytes {
            auth = auth.max_message_bytes(bytes);
        }
        if let Some(Seconds(leeway)) = self.leeway {
            auth = auth.leeway(leeway);
        }
        if let Some(Seconds(age)) = self.max_token_age {
            auth = auth.max_token_age(age);
        }
        if let Some(tokens) = self.cached_tokens {
            auth = auth.cached_tokens(tokens);
        }
        if !self.session_keys.is_empty() {
            let keys = self.session_keys.iter().map(SecretSource::read);
            auth = auth.session_keys(keys.collect::<Result<Vec<_>, _>>()?);
        }
        if let Some(dpop) = &self.dpop {
            auth = auth.dpop(dpop.to_dpop()?);
        }
        if let Some(certificates) = &self.client_certificates {
            auth = certificates.add_to(auth);
        }
        auth = self.api_keys(auth)?;
        if let Some(events) = &self.security_events {
            events.check()?;
        }
        Ok(auth.metadata(|metadata| self.described(metadata)))
    }

    pub(crate) fn api_keys(&self, auth: McpAuthBuilder) -> Result<McpAuthBuilder, Error> {
        let Some(file) = &self.api_keys_file else {
            return match self.api_keys_prefix {
                None => Ok(auth),
                Some(_) => Err(Error::new(
                    "`api_keys_prefix` says something about API keys: set `api_keys_file` too",
                )),
            };
        };
        let keys = ApiKeys::new().file(file);
        Ok(auth.api_keys(match &self.api_keys_prefix {
            Some(prefix) => keys.prefix(prefix),
            None => keys,
        }))
    }

    fn described(&self, mut metadata: ResourceMetadata) -> ResourceMetadata {
        for (name, value) in &self.metadata {
            metadata = metadata.member(name, value.clone());
        }
        if let Some(name) = &self.name {
            metadata = metadata.resource_name(name);
        }
        if let Some(page) = &self.documentation {
            metadata = metadata.resource_documentation(page);
        }
        metadata
    }

    /// The server that is started. Returns `None` if the upstream is reached over HTTP.
    ///
    /// # Errors
    ///
    /// If keys contradict each other, or a secret cannot be read.
    pub fn stdio_server(&self) -> Result<Option<StdioServer>, Error> {
        let keys = StdioKeys {
            command: self.command.as_deref(),
            process: self.process,
            env: &self.env,
            max_processes: self.max_processes,
            max_processes_per_principal: self.max_processes_per_principal,
            idle_timeout: self.process_idle_timeout.map(|Seconds(timeout)| timeout),
        };
        keys.to_server()
    }

    fn rules(&self, is_audited: bool) -> Result<ToolScopes, Error> {
        let mut rules = ToolScopes::new();
        if self.limits.tools.contains_key("") {
            return Err(Error::new(
                "`limits.tools` has a limit without a name: set it to a tool, or to `\"*\"`",
            ));
        }
        if self.tools.is_empty() && (is_audited || !self.limits.tools.is_empty()) {
            // Which tool is called is known only where there is a rule. Without one, a message that is not understood passes.
            rules = rules.tool("*", Rule::default());
        }
        let rules =
            add_rules(rules, "tools", &self.tools, true, |all, name, rule| all.tool(name, rule))?;
        let rules = add_rules(rules, "prompts", &self.prompts, true, |all, name, rule| {
            all.prompt(name, rule)
        })?;
        let rules = add_rules(rules, "resources", &self.resources, true, |all, uri, rule| {
            all.resource(uri, rule)
        })?;
        let rules = add_rules(rules, "methods", &self.methods, false, |all, name, rule| {
            all.method(name, rule)
        })?;
        Ok(match &self.unknown_methods {
            Some(rule) => rules.unknown_methods(rule.to_rule()?),
            None => rules,
        })
    }

    /// How many rules there are for tools, prompts, resources and methods.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.tools.len() + self.prompts.len() + self.resources.len() + self.methods.len()
    }
}
