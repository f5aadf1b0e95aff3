//! Tells systemd, if that has started the program, that it is ready or about to end
//! ([sd_notify](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html), `Type=notify`), and takes over
//! the sockets that it has opened ([sd_listen_fds](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html)).

use std::io;

use mcp_auth_gateway::Sockets;

/// The name of the socket for the operator (`FileDescriptorName=`).
#[cfg(unix)]
const ADMIN: &str = "admin";

/// That clients can connect.
pub(crate) const READY: &str = "READY=1";

/// That the program is about to end.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Sends a state to the socket that systemd has named.
#[cfg(target_os = "linux")]
pub(crate) fn notify(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(target: "mcp_auth", %error, "systemd cannot be told: {state}");
    }
}

/// There is no systemd.
#[cfg(not(target_os = "linux"))]
pub(crate) fn notify(_: &str) {}

/// The sockets that systemd has opened: one for clients, and one that is named `admin` for the operator.
///
/// # Errors
///
/// If one is not a TCP socket, or it is not clear what it is for.
#[cfg(unix)]
pub(crate) fn sockets() -> io::Result<Sockets> {
    let mut given = listenfd::ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    sorted(&names, given.len(), |index| given.take_tcp_listener(index))
}

/// There is no systemd.
#[cfg(not(unix))]
pub(crate) fn sockets() -> io::Result<Sockets> {
    Ok(Sockets::default())
}

/// Sorts sockets by their names, which are separated by colons.
#[cfg(unix)]
fn sorted(
    names: &str,
    number: usize,
    mut take: impl FnMut(usize) -> io::Result<Option<std::net::TcpListener>>,
) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    for index in 0..number {
        let is_admin = names.split(':').nth(index) == Some(ADMIN);
        let place = if is_admin { &mut sockets.admin } else { &mut sockets.clients };
        if place.is_some() {
            return Err(io::Error::other(
                "systemd has opened several sockets for the same: one `ListenStream=` is for clients, and one in a unit with `FileDescriptorName=admin` for the operator",
            ));
        }
        let taken = take(index).map_err(|error| {
            io::Error::other(format!("a socket of systemd cannot be used: {error}"))
        })?;
        *place = taken;
    }
    Ok(sockets)
}

#[cfg(target_os = "linux")]
fn send(socket: &std::ffi::OsStr, state: &str) -> std::io::Result<usize> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    // A name that begins with `@` is not in the file system.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn the_state_is_sent_to_the_socket() {
        let path = std::env::temp_dir().join(format!("mcp-auth-notify-{}", std::process::id()));
        let listener = UnixDatagram::bind(&path).expect("a socket");
        send(path.as_os_str(), READY).expect("sent");
        let mut received = [0; 16];
        let length = listener.recv(&mut received).expect("received");
        assert_eq!(&received[..length], READY.as_bytes());
        std::fs::remove_file(&path).expect("removed");
        assert!(send(path.as_os_str(), READY).is_err());
    }

    #[test]
    fn sockets_are_sorted_by_their_names() {
        for (names, number, clients, admin) in [
            ("", 0, false, false),
            ("", 1, true, false), // before systemd 227
            ("mcp-auth.socket", 1, true, false),
            ("admin", 1, false, true),
            ("mcp-auth.socket:admin", 2, true, true),
            ("admin:https", 2, true, true),
        ] {
            let open = |_| std::net::TcpListener::bind("127.0.0.1:0").map(Some);
            let sockets = sorted(names, number, open).expect(names);
            let found = (sockets.clients.is_some(), sockets.admin.is_some());
            assert_eq!(found, (clients, admin), "{names}");
        }
        for names in ["a:b", "a:a", "admin:admin", ""] {
            let open = |_| std::net::TcpListener::bind("127.0.0.1:0").map(Some);
            let error = sorted(names, 2, open).expect_err(names).to_string();
            assert!(error.contains("FileDescriptorName=admin"), "{error}");
        }
        let error = sorted("", 1, |_| Err(io::ErrorKind::InvalidInput.into()));
        assert!(error.expect_err("no socket").to_string().contains("cannot be used"));
    }
}
