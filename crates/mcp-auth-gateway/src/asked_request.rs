//! The request of a client, as a proxy describes it that asks whether it may pass it on.

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use mcp_auth_config::{ForwardAuth, ForwardAuthProxy};

use crate::host::{host_of, request_host, trimmed};

/// The headers in which a proxy describes a request. Only these count, whatever else a client has sent through the proxy.
struct Described {
    method: HeaderName,
    target: HeaderName,
    /// `Host`, if `None`.
    host: Option<HeaderName>,
    scheme: Option<HeaderName>,
}

/// nginx writes what its configuration says:
/// [`ngx_http_auth_request_module`](https://nginx.org/en/docs/http/ngx_http_auth_request_module.html).
const NGINX: Described = Described {
    method: HeaderName::from_static("x-original-method"),
    target: HeaderName::from_static("x-original-uri"),
    host: None,
    scheme: None,
};

/// [Caddy](https://caddyserver.com/docs/caddyfile/directives/forward_auth) and
/// [Traefik](https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/forwardauth/).
const FORWARDED: Described = Described {
    method: HeaderName::from_static("x-forwarded-method"),
    target: HeaderName::from_static("x-forwarded-uri"),
    host: Some(HeaderName::from_static("x-forwarded-host")),
    scheme: Some(HeaderName::from_static("x-forwarded-proto")),
};

/// In which Envoy says whether it has cut the body
/// ([`allow_partial_message`](https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto)).
const PARTIAL_BODY: HeaderName = HeaderName::from_static("x-envoy-auth-partial-body");

/// Prefixes of headers with which proxies describe requests and connections. They are read here, and nothing else reads them.
const OF_PROXY: [&str; 3] = ["x-original-", "x-forwarded-", "x-envoy-"];

/// One of the names of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    scheme: Scheme,
    host: Box<str>,
    path: Box<str>,
    /// What the layer sees as `Host`.
    authority: HeaderValue,
}

impl Name {
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url:?} is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(format!("{url:?} has no host"));
        };
        Ok(Self {
            scheme: scheme.clone(),
            host: host_of(Some(scheme), authority),
            path: trimmed(uri.path()).into(),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|e| e.to_string())?,
        })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

/// The request that a proxy asks about, as if the client had sent it here.
///
/// # Errors
///
/// What is wrong with the question, for the operator.
pub(crate) fn original(
    settings: &ForwardAuth,
    names: &[Name],
    mut parts: Parts,
) -> Result<Parts, &'static str> {
    let (method, target, host, scheme) = match settings.proxy {
        ForwardAuthProxy::Envoy => of_envoy(settings, &parts)?,
        ForwardAuthProxy::Nginx => described(&NGINX, &parts)?,
        ForwardAuthProxy::Caddy | ForwardAuthProxy::Traefik => described(&FORWARDED, &parts)?,
    };
    let name = names
        .iter()
        .find(|name| name.host == host && *name.path == *trimmed(target.path()))
        .ok_or("the proxy asks about another host or path than those of the resource: let it ask about exactly this path, with the client's `Host`, and send the path as the client sent it (nginx: `$request_uri`, `$http_host`)")?;
    if scheme.is_some_and(|scheme| scheme != name.scheme) {
        return Err(
            "the proxy says in `X-Forwarded-Proto` that the client used another scheme than the URL of the resource has: if TLS ends before the proxy, let it trust that header of the one before it",
        );
    }
    if parts.headers.get_all(PARTIAL_BODY).iter().any(|value| value != "false") {
        return Err("Envoy has sent a part of the body only: set `allow_partial_message: false`");
    }
    let of_proxy = |name: &&HeaderName| {
        OF_PROXY.iter().any(|prefix| name.as_str().starts_with(prefix))
            && name.as_str() != "x-forwarded-client-cert"
    };
    let unneeded: Vec<_> = parts.headers.keys().filter(of_proxy).cloned().collect();
    for name in unneeded {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::HOST, name.authority.clone());
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(target);
    parts.uri = Uri::from_parts(uri).map_err(|_| "the path of the client cannot be read")?;
    parts.method = method;
    Ok(parts)
}

type Asked = (Method, PathAndQuery, Box<str>, Option<Scheme>);

fn described(names: &Described, parts: &Parts) -> Result<Asked, &'static str> {
    let headers = &parts.headers;
    let method = only(headers, &names.method)
        .ok_or("the proxy must send the client's method, once: `X-Original-Method` (nginx: `$request_method`), or `X-Forwarded-Method`")?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| "this is not a method")?;
    let target = only(headers, &names.target)
        .ok_or("the proxy must send the client's path, once: `X-Original-URI` (nginx: `$request_uri`), or `X-Forwarded-Uri`")?;
    let target = path_of(target)?;
    let host = match &names.host {
        None => request_host(parts),
        Some(name) => {
            let authority = only(headers, name).and_then(|it| it.parse::<Authority>().ok());
            authority.map(|authority| host_of(None, &authority))
        }
    };
    let host = host.ok_or(
        "the proxy must send the client's host, once: `Host` (nginx: `$http_host`), or `X-Forwarded-Host`",
    )?;
    let scheme = match &names.scheme {
        None => None,
        Some(name) => Some(
            only(headers, name)
                .and_then(|scheme| scheme.parse().ok())
                .ok_or("the proxy must send the client's scheme, once: `X-Forwarded-Proto`")?,
        ),
    };
    Ok((method, target, host, scheme))
}

/// Envoy sends the method, the host and, after a prefix, the path of the client as its own
/// ([`HttpService`](https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto#extensions-filters-http-ext-authz-v3-httpservice)).
fn of_envoy(settings: &ForwardAuth, parts: &Parts) -> Result<Asked, &'static str> {
    let sent = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let target = sent.strip_prefix(&settings.path);
    let target = path_of(target.ok_or("`path_prefix` of Envoy must be `forward_auth.path`")?)?;
    let host = request_host(parts).ok_or("Envoy must send the client's host, once")?;
    Ok((parts.method.clone(), target, host, None))
}

/// A path with its query, as a client sends it.
fn path_of(text: &str) -> Result<PathAndQuery, &'static str> {
    // The parser drops a fragment, which the server would see.
    let is_path = text.starts_with('/') && !text.contains('#');
    let path = is_path.then(|| text.parse().ok()).flatten();
    path.ok_or("the client's path is not one that begins with a slash, or has a `#`")
}

/// The value of a header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}
