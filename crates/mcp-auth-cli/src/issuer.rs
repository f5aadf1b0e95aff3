//! The development issuer of `mcp-auth demo` and `mcp-auth serve --demo`, for this machine only.

use std::io;
use std::net::TcpListener;

use mcp_auth_testkit::{ServeError, ServedIssuer, TestIssuer};

/// Its port, if that is free.
const PORT: u16 = 7071;

/// Serves an issuer at its port, or at a free one.
///
/// # Errors
///
/// If it cannot listen.
pub(crate) async fn serve(issuer: TestIssuer) -> Result<ServedIssuer, ServeError> {
    match issuer.clone().serve(("127.0.0.1", PORT)).await {
        Err(ServeError::Listen(error)) if is_taken(&error, PORT) => {
            issuer.serve("127.0.0.1:0").await
        }
        served => served,
    }
}

/// Listens on this machine at a port, or at a free one if it is taken.
///
/// # Errors
///
/// If the system does not let it listen.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Err(error) if is_taken(&error, port) => TcpListener::bind("127.0.0.1:0"),
        bound => bound,
    }
}

/// Whether the port is in use. If so, prints that a free one is used instead.
fn is_taken(error: &io::Error, port: u16) -> bool {
    let is_taken = error.kind() == io::ErrorKind::AddrInUse;
    if is_taken {
        eprintln!("mcp-auth: port {port} is in use; a free one serves this time");
    }
    is_taken
}
