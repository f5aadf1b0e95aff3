//! `HttpClient`: `Fetch` implemented with reqwest.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use reqwest::{Certificate, Identity, Proxy, Url};

use crate::net::box_future::BoxFuture;
use crate::net::fetch::client::{Fetch, Limits};
use crate::net::fetch::error::FetchError;
use crate::util::url;

/// An HTTP client that uses rustls and the root certificates of the operating system.
///
/// Without a [`proxy`](Self::proxy) of its own it honours the usual proxy environment variables. Plain `http` and this
/// machine's own addresses never pass through a proxy, which would see tokens and secrets. It does not follow redirects.
/// The underlying client is created at the first use.
///
/// ```
/// use mcp_auth::{AuthorizationServer, HttpClient};
///
/// let issuer = AuthorizationServer::discover("https://auth.example.com").fetch(HttpClient::new());
/// ```
#[derive(Default)]
pub struct HttpClient {
    roots: Vec<Certificate>,
    identity: Option<Identity>,
    proxy: Option<Proxy>,
    /// What is wrong with the first setting that cannot be used.
    config_error: Option<&'static str>,
    remote: OnceLock<reqwest::Client>,
    /// For plain `http` and loopback hosts: never through a proxy, which would see tokens and secrets in plain text.
    local: OnceLock<reqwest::Client>,
}

/// Creates the client that is used unless another one is set.
pub(super) const DEFAULT_CLIENT: Option<fn() -> Arc<dyn Fetch>> =
    Some(|| Arc::new(HttpClient::new()));

impl HttpClient {
    /// Creates a client. Nothing is opened or read before its first use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also trusts servers whose certificate one of these certification authorities has issued, in addition to those
    /// of the operating system: for an issuer with a private CA. `pem` is one or more blocks `CERTIFICATE`.
    ///
    /// Text that is not a certificate is a [`ConfigError::HttpClient`](crate::ConfigError::HttpClient) at `build()`.
    ///
    /// ```no_run
    /// use mcp_auth::{AuthorizationServer, HttpClient, McpAuth};
    ///
    /// let ca = std::fs::read("/etc/mcp/ca.pem")?;
    /// let login = AuthorizationServer::discover("https://auth.internal.example")
    ///     .fetch(HttpClient::new().root_certificates(ca));
    /// let auth = McpAuth::builder("https://api.example.com/mcp").authorization_server(login).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        match Certificate::from_pem_bundle(pem.as_ref()) {
            Ok(roots) if !roots.is_empty() => self.roots.extend(roots),
            _ => return self.wrong("the root certificates are not PEM: give the text of the file, with `-----BEGIN CERTIFICATE-----`, not its name, and not DER"),
        }
        self
    }

    /// Shows this certificate to servers that require one (mutual TLS, [RFC 8705 §2](https://www.rfc-editor.org/rfc/rfc8705#section-2)).
    /// `chain_pem` is the certificate followed by those of its issuers, `key_pem` its unencrypted private key.
    ///
    /// It is shown to each server that this client connects to and that asks for one: give a client with a
    /// certificate only to the issuer that the certificate is for.
    ///
    /// ```no_run
    /// use mcp_auth::HttpClient;
    ///
    /// let (chain, key) = (std::fs::read("/etc/mcp/client.pem")?, std::fs::read("/etc/mcp/client.key")?);
    /// let client = HttpClient::new().client_certificate(chain, key);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn client_certificate(
        mut self,
        chain_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Self {
        let pem = [chain_pem.as_ref(), b"\n", key_pem.as_ref()].concat();
        match Identity::from_pem(&pem) {
            Ok(identity) => self.identity = Some(identity),
            Err(_) => return self.wrong("the client certificate or its key is not PEM: give the chain (`-----BEGIN CERTIFICATE-----`) and the unencrypted private key (`-----BEGIN PRIVATE KEY-----`), as texts and not as file names"),
        }
        self
    }

    /// Connects through this proxy, `http://proxy.example.com:3128` or `https`, instead of through that of the
    /// environment (`HTTPS_PROXY`, `NO_PROXY`...). It may contain a user and a password, which are sent to the proxy
    /// only. TLS to the issuer passes through it unopened (`CONNECT`,
    /// [RFC 9110 §9.3.6](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6)).
    ///
    /// This machine's own addresses are still asked directly.
    ///
    /// ```
    /// use mcp_auth::HttpClient;
    ///
    /// let client = HttpClient::new().proxy("http://proxy.example.com:3128");
    /// ```
    #[must_use]
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        // Only the origin of a proxy means something. Text after it was meant for something else.
        let is_proxy = |url: &Url| {
            let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare
        };
        let url = Url::parse(url.as_ref()).ok().filter(is_proxy);
        match url.and_then(|url| Proxy::all(url).ok()) {
            Some(proxy) => self.proxy = Some(proxy),
            None => return self.wrong("the proxy is not a URL like http://proxy.example.com:3128: the scheme is http or https, and there is no path"),
        }
        self
    }

    fn wrong(mut self, why: &'static str) -> Self {
        self.config_error.get_or_insert(why);
        self
    }

    /// A builder with the certificates.
    fn builder(&self) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .user_agent(concat!("mcp-auth/", env!("CARGO_PKG_VERSION")));
        match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    }

    /// The client for this URL.
    fn client(&self, url: &Url) -> Result<&reqwest::Client, FetchError> {
        if let Some(why) = self.config_error {
            return Err(FetchError::Unreachable(why.into()));
        }
        let is_local = url.scheme() == "http" || url.host_str().is_some_and(url::is_loopback_host);
        let place = if is_local { &self.local } else { &self.remote };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let builder = match (is_local, &self.proxy) {
            (true, _) => self.builder().no_proxy(),
            (false, Some(proxy)) => self.builder().proxy(proxy.clone()),
            (false, None) => self.builder(),
        };
        let client = builder.tls_certs_merge(self.roots.clone()).build().map_err(transport)?;
        Ok(place.get_or_init(|| client))
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let request =
            reqwest::Request::try_from(request.map(reqwest::Body::from)).map_err(transport)?;
        let mut answer = self.client(request.url())?.execute(request).await.map_err(transport)?;
        let too_large = FetchError::TooLarge(limits.max_bytes);
        if answer.content_length().is_some_and(|n| n > limits.max_bytes as u64) {
            return Err(too_large);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > limits.max_bytes {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl Fetch for HttpClient {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            tokio::time::timeout(limits.timeout, self.exchange(request, limits))
                .await
                .unwrap_or(Err(FetchError::Timeout(limits.timeout)))
        })
    }

    fn config_error(&self) -> Option<&'static str> {
        if self.config_error.is_some() || (self.roots.is_empty() && self.identity.is_none()) {
            return self.config_error;
        }
        // Without the certificates of the operating system, so that no file is read.
        let trial = self.builder().no_proxy().tls_certs_only(self.roots.clone());
        trial.build().err().map(|_| "a root certificate, the client certificate or its key cannot be used: one of them is damaged, or the key is another certificate's")
    }
}

/// Shows no key, and no password of a proxy.
impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

fn transport(error: reqwest::Error) -> FetchError {
    match error.is_connect() {
        true => FetchError::Unreachable(Box::new(error)),
        false => FetchError::Transport(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_refused_connection_is_unreachable_and_a_broken_one_is_a_transport_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let limits = Limits { timeout: Duration::from_secs(10), max_bytes: 1024 };
        let client = HttpClient::new();
        let fetch = || {
            let request = Request::post(&url).body(Bytes::from_static(b"token=x"));
            client.fetch(request.expect("a request"), limits)
        };
        let closing = async {
            let (connection, _) = listener.accept().await.expect("a connection");
            connection.readable().await.expect("something was sent");
            drop((connection, listener));
        };
        let (broken_off, ()) = tokio::join!(fetch(), closing);
        assert!(matches!(broken_off, Err(FetchError::Transport(_))), "{broken_off:?}");
        let refused = fetch().await;
        assert!(matches!(refused, Err(FetchError::Unreachable(_))), "{refused:?}");
    }
}
