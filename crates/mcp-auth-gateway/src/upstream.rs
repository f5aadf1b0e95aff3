//! The MCP server behind the gateway, over HTTP.

use std::sync::OnceLock;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::lent::Lent;

/// How long a connection to an upstream may take. It is on the same network, or not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. Node closes its own after 5 s, and a request that meets the close is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A client of HTTP and HTTPS.
pub(crate) type HttpsClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// An MCP server, and the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    path: Box<str>,
    /// The same, for a request whose query is too long to be added.
    without_query: PathAndQuery,
    client: HttpsClient<Lent>,
}

impl Upstream {
    /// Parses the URL of an upstream.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        let parts = uri.into_parts();
        let scheme =
            parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
            return Err(format!("{url:?} is not an http or https URL"));
        };
        if authority.as_str().contains('@') {
            return Err("an upstream's URL has no user information".into());
        }
        let path = parts.path_and_query.map_or_else(String::new, |path| path.to_string());
        if path.contains('?') {
            return Err(format!("{url:?} has a query; that of the client is passed on"));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?;
        let without_query = match path.is_empty() {
            true => PathAndQuery::from_static("/"),
            false => path.parse().map_err(|_| format!("{url:?} is not a URL"))?,
        };
        let client = https_client()?;
        Ok(Self { scheme, authority, host, path: path.into(), without_query, client })
    }

    /// Passes a request on, with the query of the client. A request is sent again only if a pooled connection was closed
    /// before any byte of it was sent.
    ///
    /// # Errors
    ///
    /// If the upstream cannot be reached, or closes the connection before its head.
    pub(crate) async fn send(
        &self,
        mut request: Request<Lent>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let path = request.uri().query().and_then(|query| {
            let path: Result<PathAndQuery, _> = [&self.path, "?", query].concat().parse();
            path.ok()
        });
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path.unwrap_or_else(|| self.without_query.clone()));
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        request.headers_mut().insert(header::HOST, self.host.clone());
        *request.version_mut() = http::Version::HTTP_11;
        if request.body().is_end_stream() {
            request.headers_mut().remove(header::TRANSFER_ENCODING);
        }
        self.client.request(request).await
    }

    /// For logs. A clone is cheap.
    pub(crate) fn authority(&self) -> Authority {
        self.authority.clone()
    }
}

/// A client that trusts the certificates of the system.
///
/// # Errors
///
/// If they cannot be read.
pub(crate) fn https_client<B>() -> Result<HttpsClient<B>, String>
where
    B: Body + Send,
    B::Data: Send,
{
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(connector()?))
}

/// What opens connections. All clients have the same one: it reads the certificates of the system, which takes
/// milliseconds, and there may be a thousand upstreams.
fn connector() -> Result<HttpsConnector<HttpConnector>, String> {
    static CONNECTOR: OnceLock<HttpsConnector<HttpConnector>> = OnceLock::new();
    if let Some(connector) = CONNECTOR.get() {
        return Ok(connector.clone());
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let roots = HttpsConnectorBuilder::new()
        .with_provider_and_platform_verifier(rustls::crypto::aws_lc_rs::default_provider());
    let roots =
        roots.map_err(|error| format!("the system's certificates cannot be read: {error}"))?;
    let connector = roots.https_or_http().enable_all_versions().wrap_connector(http);
    Ok(CONNECTOR.get_or_init(|| connector).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_has_a_url() {
        for (url, expected) in [
            ("http://127.0.0.1:3000/mcp", Ok(())),
            ("https://mcp.internal", Ok(())),
            ("127.0.0.1:3000", Err("is not an http or https URL")),
            ("ftp://a/b", Err("is not an http or https URL")),
            ("/mcp", Err("is not an http or https URL")),
            ("http://user:secret@a/mcp", Err("an upstream's URL has no user information")),
            ("http://a/mcp?key=1", Err("has a query")),
            ("http://a b/", Err("is not a URL")),
        ] {
            let upstream = Upstream::new(url).map(|_| ());
            match (&upstream, expected) {
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{url}: {error}"),
                _ => assert_eq!(upstream.is_ok(), expected.is_ok(), "{url}: {upstream:?}"),
            }
        }
    }
}
