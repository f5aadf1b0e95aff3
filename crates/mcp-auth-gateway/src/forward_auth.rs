//! Answers a proxy that asks whether it may pass a request on.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONNECTION, HeaderMap, HeaderName, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use mcp_auth::PeerAddr;
use mcp_auth_config::{ForwardAuth as Settings, ForwardAuthProxy, ResourceConfig};

use crate::asked_request::{Name, original};
use crate::because::{Because, because};
use crate::headers::is_spelling_of;
use crate::log_limit::LogLimit;
use crate::protected::{GatewayBody, Protected, ours};
use crate::proxy::MayPass;
use crate::refusals::{Asked, Refusals};
use crate::telemetry;

/// The credentials of the client, which a server behind Envoy must not get. Other proxies remove them by their configuration.
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Headers by which servers take a request for one with another method. They would reach the server.
const OVERRIDES: [&str; 4] =
    ["x-http-method", "x-http-method-override", "x-method-override", "x-original-method-override"];

/// The code of a refused question.
const NOT_ASKED_PROPERLY: &str = "not_asked_properly";

/// Headers of sessions, whose ids only the caller to whom they were issued may use.
const OF_SESSIONS: [&str; 2] = ["mcp-session-id", "last-event-id"];

/// A resource whose requests another proxy passes on, after it has asked here.
#[derive(Clone)]
pub(crate) struct ForwardAuth(Arc<Inner>);

struct Inner {
    settings: Settings,
    resource: Box<str>,
    names: Vec<Name>,
    /// The headers by which the MCP server is told who calls. Clients must not send them.
    told_names: Vec<HeaderName>,
    protected: Box<Protected>,
    refusals: Refusals,
    refused: LogLimit,
}

impl ForwardAuth {
    pub(crate) fn new(
        resource: &ResourceConfig,
        settings: Settings,
        told_names: Vec<HeaderName>,
        refusals: Refusals,
        protected: Box<Protected>,
    ) -> Result<Self, String> {
        let urls = [&resource.url].into_iter().chain(&resource.aliases);
        let names = urls.map(|url| Name::parse(url)).collect::<Result<_, _>>()?;
        let (resource, refused) = (resource.url.as_str().into(), LogLimit::default());
        Ok(Self(Arc::new(Inner {
            settings,
            resource,
            names,
            told_names,
            protected,
            refusals,
            refused,
        })))
    }

    /// Where the proxy asks.
    pub(crate) fn path(&self) -> &str {
        &self.0.settings.path
    }

    /// The paths of its questions, without slashes at their ends.
    pub(crate) fn paths(&self) -> Vec<Box<str>> {
        let path = self.path();
        match self.0.settings.proxy {
            ForwardAuthProxy::Envoy => {
                self.0.names.iter().map(|name| [path, name.path()].concat().into()).collect()
            }
            _ => vec![path.into()],
        }
    }

    /// Whether a question about one resource could be one about the other. A client behind Envoy chooses the end of the path.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let is_below = |one: &Self, other: &Self| {
            let rest = one.path().strip_prefix(other.path());
            let is_prefix = other.0.settings.proxy == ForwardAuthProxy::Envoy;
            rest.is_some_and(|rest| rest.is_empty() || (is_prefix && rest.starts_with('/')))
        };
        is_below(self, other) || is_below(other, self)
    }

    /// Answers a question. A status of success lets the request pass: it is given only if the layer has passed it on.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        let asked = Asked::of(&parts);
        let mut response = match self.read(parts, has_body) {
            Ok(parts) => self.0.protected.answer(Request::from_parts(parts, body)).await,
            Err(why) => self.refuse(why, &asked, has_body),
        };
        let may_pass = response.extensions().get::<MayPass>().is_some();
        if response.status().is_success() != may_pass || response.status().is_informational() {
            response =
                self.refuse("the answer is not that of an admitted request", &asked, has_body);
        }
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if may_pass && self.0.settings.proxy == ForwardAuthProxy::Envoy {
            let all = match headers.contains_key(http::header::AUTHORIZATION) {
                true => "dpop, x-api-key, cookie",
                false => "authorization, dpop, x-api-key, cookie",
            };
            headers.insert(TO_REMOVE, HeaderValue::from_static(all));
        }
        response
    }

    /// The request that is asked about.
    fn read(&self, parts: Parts, has_body: bool) -> Result<Parts, &'static str> {
        let Inner { settings, names, told_names, .. } = &*self.0;
        let is_proxy = |PeerAddr(peer): &PeerAddr| is_from(settings, *peer);
        if !parts.extensions.get().is_some_and(is_proxy) {
            return Err("it does not come from an address in `forward_auth.from`");
        }
        if has_body && !settings.has_body {
            return Err(
                "the proxy sends a body, or the length of one (nginx: `proxy_pass_request_body off;` and `proxy_set_header Content-Length \"\";`; Envoy and Traefik: set `forward_auth.body`)",
            );
        }
        let is_sent = |name: &str| has_spelling(&parts.headers, name);
        if told_names.iter().any(|name| is_sent(name.as_str())) {
            return Err("the client has sent a header by which the MCP server is told who calls");
        }
        if OVERRIDES.iter().any(|name| is_sent(name)) {
            return Err("the client has sent a header that changes the method for some servers");
        }
        if parts.headers.contains_key(UPGRADE) {
            return Err(
                "the client asks for `Upgrade`: a proxy that passes that on opens a tunnel in which nothing is asked about; let it remove `Connection` and `Upgrade` (see the examples)",
            );
        }
        if !settings.has_sessions && OF_SESSIONS.iter().any(|name| is_sent(name)) {
            return Err(
                "the request belongs to a session, whose id the gateway cannot sign: let the MCP server work without sessions; or, if it verifies tokens itself and binds each session to its caller, set `forward_auth.unsigned_sessions`",
            );
        }
        let mut parts = original(settings, names, parts)?;
        // The server behind the proxy checks them. Here they would be ids that were never issued.
        OF_SESSIONS.iter().for_each(|name| drop(parts.headers.remove(*name)));
        Ok(parts)
    }

    /// Refuses a question. nginx passes on no other statuses than 401 and 403.
    fn refuse(&self, why: &'static str, asked: &Asked, has_body: bool) -> Response<GatewayBody> {
        telemetry::request(NOT_ASKED_PROPERLY);
        let path = self.path();
        if self.0.refused.is_due() {
            tracing::warn!(target: "mcp_auth", path, why, decision = NOT_ASKED_PROPERLY, "refused a question of a proxy (forward-auth); more are logged at debug");
        } else {
            tracing::debug!(target: "mcp_auth", path, why, decision = NOT_ASKED_PROPERLY, "refused a question of a proxy (forward-auth)");
        }
        let response = ours(StatusCode::FORBIDDEN, "this request cannot be decided about\n");
        let mut response = because(response, Because { code: NOT_ASKED_PROPERLY, advice: why });
        self.0.refusals.note(Some(&self.0.resource), asked, &response);
        if has_body {
            // It is not read, and perhaps never comes.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn is_from(settings: &Settings, peer: IpAddr) -> bool {
    settings.from.iter().any(|network| network.contains(peer))
}

/// Whether a header is there in a spelling that a server could take for this name.
fn has_spelling(headers: &HeaderMap, name: &str) -> bool {
    headers.keys().any(|other| is_spelling_of(other.as_str(), name))
}
