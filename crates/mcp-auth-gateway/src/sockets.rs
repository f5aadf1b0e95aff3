//! Sockets that listen: those that the gateway opens, and those that it is given.

use std::net::{self, SocketAddr};

use tokio::net::TcpListener;

use crate::start_error::StartError;

/// Sockets that listen already, as systemd opens them, in place of addresses of the configuration.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Where clients are answered, instead of at `listen`.
    pub clients: Option<net::TcpListener>,
    /// Where the operator is answered, instead of at `admin`.
    pub admin: Option<net::TcpListener>,
}

/// Listens at the socket that is given, or at an address. Returns where that is.
///
/// # Errors
///
/// If the system does not let it listen there.
pub(crate) async fn listen(
    given: Option<net::TcpListener>,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = match given {
        Some(given) => given.set_nonblocking(true).and_then(|()| TcpListener::from_std(given)),
        None => TcpListener::bind(address).await,
    };
    let listener = listener.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    Ok((listener, local_addr))
}
