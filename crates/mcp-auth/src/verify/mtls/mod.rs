//! Client certificates, for certificate-bound tokens ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)).

mod certificate;
mod header;
mod cidr;
mod verifier;

pub use certificate::{ClientCertificate, PeerAddr};
pub use cidr::Cidr;
pub use header::ClientCertHeader;
pub(crate) use verifier::{CertificateVerifier, TrustedProxies};
