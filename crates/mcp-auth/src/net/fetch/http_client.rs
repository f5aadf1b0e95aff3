//! `HttpClient`: `Fetch` implemented with reqwest.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use reqwest::Url;

use crate::net::box_future::BoxFuture;
use crate::net::fetch::client::{Fetch, Limits};
use crate::net::fetch::error::FetchError;
use crate::util::url;

/// An HTTP client that uses rustls and the root certificates of the operating system.
///
/// It honours the usual proxy environment variables, except for plain `http` and for this machine's own addresses: a
/// proxy would see tokens and secrets. It does not follow redirects. The underlying client is created
/// at the first use.
///
/// ```
/// use mcp_auth::{AuthorizationServer, HttpClient};
///
/// let issuer = AuthorizationServer::discover("https://auth.example.com").fetch(HttpClient::new());
/// ```
#[derive(Debug, Default)]
pub struct HttpClient {
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

    /// The client for this URL.
    fn client(&self, url: &Url) -> Result<&reqwest::Client, FetchError> {
        let is_local = url.scheme() == "http" || url.host_str().is_some_and(url::is_loopback_host);
        let place = if is_local { &self.local } else { &self.remote };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .user_agent(concat!("mcp-auth/", env!("CARGO_PKG_VERSION")));
        let builder = if is_local { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(transport)?;
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
