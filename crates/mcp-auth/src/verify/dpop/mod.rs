//! Proofs that the sender of a token holds its key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).

mod settings;
mod endpoint;
mod nonces;
mod proof;
mod replays;
mod verifier;

pub(crate) use endpoint::RequestedUri;
pub(crate) use nonces::Nonces;
pub(crate) use proof::digest;
pub use settings::Dpop;
pub(crate) use settings::NonceKeys;
pub(crate) use verifier::{Proofs, algorithm_names};
