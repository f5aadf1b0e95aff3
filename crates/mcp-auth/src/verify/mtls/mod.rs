//! The client certificate of a connection, for tokens bound to it ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)).

mod certificate;
mod header;
mod network;
mod verifier;

pub use certificate::{ClientCertificate, PeerAddr};
pub use header::ClientCertHeader;
pub(crate) use network::Network;
pub(crate) use verifier::{Certificates, Forwarded};
