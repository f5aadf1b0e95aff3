//! `mcp-auth serve --demo`: a gateway with a development issuer beside it, to try it before there is an issuer.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use mcp_auth_config::{Config, IssuerConfig};
use mcp_auth_gateway::Sockets;
use mcp_auth_testkit::{ServedIssuer, TestIssuer};

use crate::issuer;

/// The ports of the gateway, if they are free. They are its defaults.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9090;

/// Any error, for a program that can only print it.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A development issuer for a gateway. It ends when this is dropped.
pub(crate) struct Development {
    issuer: ServedIssuer,
    url: String,
}

impl Development {
    /// Serves the issuer, and opens the ports of the gateway.
    ///
    /// # Errors
    ///
    /// If an address can be reached from other machines, or nothing can listen there.
    pub(crate) async fn start(
        listen: Option<SocketAddr>,
        admin: Option<SocketAddr>,
    ) -> Result<(Self, Sockets)> {
        let (clients, admin) = (open(listen, PORT)?, open(admin, ADMIN_PORT)?);
        let url = format!("http://{}/mcp", clients.local_addr()?);
        let issuer = issuer::serve(TestIssuer::new()).await?;
        Ok((Self { issuer, url }, Sockets { clients: Some(clients), admin: Some(admin) }))
    }

    /// The URL of the protected resource.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn issuer(&self) -> IssuerConfig {
        IssuerConfig { url: Some(self.issuer.url().to_owned()), ..IssuerConfig::default() }
    }

    /// Issues tokens for each resource from now on.
    pub(crate) fn issue_for(&self, config: &Config) {
        for resource in &config.resources {
            self.issuer.resource(&resource.url, resource.scopes.clone());
        }
    }

    /// Says how to log in, and how to call without a client.
    ///
    /// # Errors
    ///
    /// If it cannot be printed.
    pub(crate) fn introduce(&self, config: &Config, out: &mut dyn io::Write) -> io::Result<()> {
        let issuer = self.issuer.url();
        writeln!(
            out,
            "\nA client registers itself at the development issuer, {issuer}, and sends you to its login page:\n\
             log in as alice or bob. There are no passwords, so both listen on this machine only. When you have\n\
             an issuer of your own, use --issuer and --url instead of --demo."
        )?;
        for resource in &config.resources {
            let url = &resource.url;
            let hour = Duration::from_secs(60 * 60);
            let token = self.issuer.token().subject("alice").client_id("curl").expires_in(hour);
            let token = token.audience(&**url).scopes(resource.scopes.clone()).sign();
            writeln!(
                out,
                r#"
With a token that alice got for an hour (leave it out to see how a client is told to log in):

  curl -i {url} \
    -H 'Authorization: Bearer {token}' \
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
    -d '{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"curl","version":"1"}}}}}}'"#
            )?;
        }
        Ok(())
    }
}

/// Listens at an address of this machine, or at a port that is free.
fn open(address: Option<SocketAddr>, port: u16) -> io::Result<TcpListener> {
    match address {
        None => issuer::listen(port),
        Some(address) if address.ip().is_loopback() => TcpListener::bind(address),
        Some(address) => Err(io::Error::other(format!(
            "`{address}` can be reached from other machines, and the development issuer of --demo lets anyone in: listen at 127.0.0.1 or [::1]"
        ))),
    }
}
