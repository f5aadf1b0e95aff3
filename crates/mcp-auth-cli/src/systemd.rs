//! Tells systemd, if that has started the program, that it is ready or about to end
//! ([sd_notify](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html), `Type=notify`).

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
}
