//! Serves the issuer on a loopback port, over HTTP.

mod redirect;
mod signer;
mod storage;
mod pending;
mod page;
mod oauth;
mod client_document;
mod authorize;
mod routes;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::time::Time;
use crate::{SigningAlgorithm, TestIssuer};
use oauth::OAuth;

/// A [`TestIssuer`] that is served on a port. The server stops when this value is dropped.
///
/// It dereferences to the issuer, so tests can create tokens, rotate keys and cause trouble as without
/// a socket. One thing differs: the port always accepts connections, so an endpoint that is
/// [down](crate::Trouble::Down) breaks the connection in the middle of the answer.
///
/// ```
/// use mcp_auth_testkit::TestIssuer;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let issuer = TestIssuer::new().serve("127.0.0.1:0").await?;
/// issuer.resource("http://127.0.0.1:3000/mcp", ["read"]);
/// assert!(issuer.url().starts_with("http://127.0.0.1:"));
/// let token = issuer.token().subject("bob").expired().sign();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ServedIssuer {
    issuer: TestIssuer,
    address: SocketAddr,
    sweeper: AbortHandle,
    /// Stops the server when it is dropped with this value.
    _stop: oneshot::Sender<()>,
}

/// Why an issuer cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can be reached from other machines.
    #[error(
        "`{0}` is not a loopback address: this is a development issuer that lets anyone in, so it \
         is served to this machine only, at 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The host name resolves to no address.
    #[error("there is no such address")]
    NoAddress,
    /// The issuer signs with another algorithm than ES256, RS256, PS256 or EdDSA.
    #[error("an issuer cannot be served that signs with {0}: use ES256, RS256, PS256 or EdDSA")]
    Algorithm(SigningAlgorithm),
    /// The address could not be resolved or bound.
    #[error("the issuer cannot listen at this address")]
    Listen(#[from] std::io::Error),
}

impl TestIssuer {
    /// Serves this issuer at a loopback address, for example `127.0.0.1:0`, as a complete
    /// authorization server.
    ///
    /// It has a login and consent page
    /// ([OAuth 2.1](https://datatracker.ietf.org/doc/draft-ietf-oauth-v2-1/)), the authorization code,
    /// refresh token and client credentials grants, dynamic client registration
    /// ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)), client ID metadata documents, introspection
    /// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)) and revocation
    /// ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)).
    ///
    /// The served issuer starts with the keys, users and resources of this one and shares nothing with it
    /// afterwards. Its URL is that of the port, and it uses the system clock.
    ///
    /// # Errors
    ///
    /// Returns a [`ServeError`] if the address is not a loopback address, does not resolve or is in use, or
    /// if a served issuer cannot sign with this issuer's algorithm.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let refusal = TestIssuer::new().serve("0.0.0.0:0").await.expect_err("it is not loopback");
    /// assert!(refusal.to_string().contains("development issuer"));
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn serve(self, address: impl ToSocketAddrs) -> Result<ServedIssuer, ServeError> {
        let addresses: Vec<SocketAddr> = lookup_host(address).await?.collect();
        if let Some(public) = addresses.iter().find(|it| !it.ip().is_loopback()) {
            return Err(ServeError::NotLoopback(*public));
        }
        let Some(&address) = addresses.first() else {
            return Err(ServeError::NoAddress);
        };
        if !signer::can_sign(self.0.settings.algorithm) {
            return Err(ServeError::Algorithm(self.0.settings.algorithm));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|connection| {
            // This fails only if the connection is already closed.
            let _ = connection.set_nodelay(true);
        });

        let issuer = self.moved_to(format!("http://{address}"));
        let oauth = OAuth::new(issuer.clone());
        let sweeper = tokio::spawn(sweep(oauth.clone())).abort_handle();
        let (_stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, routes::routes(oauth)).with_graceful_shutdown(async {
            // Nothing is ever sent: closing the channel is the signal.
            let _ = stopped.await;
        });
        tokio::spawn(server.into_future());
        Ok(ServedIssuer { issuer, address, sweeper, _stop })
    }

    fn moved_to(&self, url: String) -> Self {
        let mut settings = self.0.settings.clone();
        settings.issuer = url;
        settings.time = Time::System;
        let state = self.state().clone();
        Self::with_state(settings, state)
    }
}

impl ServedIssuer {
    /// Returns the issuer itself. Clones of it outlive the server.
    ///
    /// ```
    /// # use mcp_auth_testkit::TestIssuer;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let served = TestIssuer::new().serve("127.0.0.1:0").await?;
    /// assert_eq!(served.issuer().url(), served.url());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn issuer(&self) -> TestIssuer {
        self.issuer.clone()
    }

    /// Returns the address that the server listens on.
    ///
    /// ```
    /// # use mcp_auth_testkit::TestIssuer;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let served = TestIssuer::new().serve("127.0.0.1:0").await?;
    /// assert!(served.address().ip().is_loopback());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Deref for ServedIssuer {
    type Target = TestIssuer;

    fn deref(&self) -> &TestIssuer {
        &self.issuer
    }
}

impl Drop for ServedIssuer {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

impl fmt::Debug for ServedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedIssuer").field("url", &self.url()).finish_non_exhaustive()
    }
}

async fn sweep(oauth: std::sync::Arc<OAuth>) {
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        oauth.sweep().await;
    }
}
