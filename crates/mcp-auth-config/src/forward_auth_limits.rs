//! What a resource cannot have if another proxy passes its requests on.

use crate::error::Error;
use crate::forward_auth::{ForwardAuth, Mode};
use crate::resource::ResourceConfig;

/// A key, and whether a resource sets it.
type Key = (&'static str, fn(&ResourceConfig) -> bool);

/// They say something about the server behind the gateway. There is none.
const OF_UPSTREAM: [Key; 10] = [
    ("upstream", |it| it.upstream.is_some()),
    ("command", |it| it.command.is_some()),
    ("process", |it| it.process.is_some()),
    ("env", |it| !it.env.is_empty()),
    ("max_processes", |it| it.max_processes.is_some()),
    ("max_processes_per_principal", |it| it.max_processes_per_principal.is_some()),
    ("process_idle_timeout", |it| it.process_idle_timeout.is_some()),
    ("upstream_headers", |it| !it.upstream_headers.is_empty()),
    ("exchange", |it| it.exchange.is_some()),
    // Each request comes from the address of the proxy.
    ("limits.address", |it| it.limits.address.is_some()),
];

/// They change the response, or end it.
const OF_RESPONSE: [Key; 8] = [
    ("filter_lists", |it| it.filter_lists),
    ("security_schemes", |it| it.security_schemes),
    ("session_keys", |it| !it.session_keys.is_empty()),
    // Streams that are open must end when their token is revoked.
    ("security_events", |it| it.security_events.is_some()),
    ("event_polls", |it| !it.event_polls.is_empty()),
    // A response with status 200 would let the request pass.
    ("insufficient_scope_as_tool_error", |it| it.insufficient_scope_as_tool_error),
    ("insufficient_scope_hint", |it| it.insufficient_scope_hint.is_some()),
    // The headers of CORS.
    ("allowed_origins", |it| !it.allowed_origins.is_empty()),
];

/// They need the message.
const OF_BODY: [Key; 7] = [
    ("tools", |it| !it.tools.is_empty()),
    ("prompts", |it| !it.prompts.is_empty()),
    ("resources", |it| !it.resources.is_empty()),
    ("methods", |it| !it.methods.is_empty()),
    ("unknown_methods", |it| it.unknown_methods.is_some()),
    ("limits.tools", |it| !it.limits.tools.is_empty()),
    ("max_message_bytes", |it| it.max_message_bytes.is_some()),
];

impl ResourceConfig {
    /// How a proxy asks about the requests of this resource. Returns `None` if the gateway passes them on itself.
    ///
    /// # Errors
    ///
    /// If a key needs what the gateway does not see in this mode, or a value is wrong.
    pub fn forward_auth(&self) -> Result<Option<ForwardAuth>, Error> {
        let config = match (self.mode, &self.forward_auth) {
            (Mode::Proxy, None) => return Ok(None),
            (Mode::Proxy, Some(_)) => {
                return Err(Error::new("`forward_auth` needs `mode = \"forward-auth\"`"));
            }
            (Mode::ForwardAuth, None) => {
                return Err(Error::new(
                    "`mode = \"forward-auth\"` needs `forward_auth`, the proxy that asks: `forward_auth = { proxy = \"nginx\", from = [\"127.0.0.1\"] }`",
                ));
            }
            (Mode::ForwardAuth, Some(config)) => config,
        };
        let settings = config.to_forward_auth()?;
        if let Some(key) = self.first_of(&OF_UPSTREAM) {
            return Err(Error::new(format!(
                "`{key}` cannot be set with `mode = \"forward-auth\"`: the proxy that asks reaches the MCP server, and the gateway does not"
            )));
        }
        if let Some(key) = self.first_of(&OF_RESPONSE) {
            return Err(Error::new(format!(
                "`{key}` cannot be set with `mode = \"forward-auth\"`: the gateway does not see the responses of the MCP server; let it pass requests on itself (`upstream`)"
            )));
        }
        if let Some(key) = self.first_of(&OF_BODY).filter(|_| !settings.has_body) {
            return Err(Error::new(format!(
                "`{key}` needs the body of requests, which the proxy does not send: let the gateway pass requests on itself (`upstream`), or use Envoy or Traefik with bodies and set `forward_auth.body`"
            )));
        }
        if !self.streams_outlive_tokens {
            return Err(Error::new(
                "`mode = \"forward-auth\"` cannot end streams when their tokens expire or are revoked: accept that with `streams_outlive_tokens = true`, or let the gateway pass requests on itself (`upstream`)",
            ));
        }
        Ok(Some(settings))
    }

    fn first_of(&self, keys: &[Key]) -> Option<&'static str> {
        keys.iter().find_map(|(key, is_set)| is_set(self).then_some(*key))
    }
}
