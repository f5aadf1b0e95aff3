//! DPoP: proofs that the sender of a token holds its key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).

mod settings;
mod htu;
mod nonces;
mod proof;
mod replay_cache;
mod verifier;

pub(crate) use htu::RequestedUri;
pub(crate) use nonces::Nonces;
pub(crate) use proof::ath;
pub use replay_cache::ProofId;
pub(crate) use replay_cache::{NewProof, ReplayCache};
pub use settings::Dpop;
pub(crate) use settings::NonceKeys;
pub(crate) use verifier::{DpopVerifier, algorithm_names};
