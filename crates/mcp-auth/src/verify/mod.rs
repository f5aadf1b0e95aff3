//! What is genuine: JWTs, DPoP proofs, client certificates, and the ids that we signed ourselves.

pub mod jwt;
pub(crate) mod introspection_response;
pub(crate) mod dpop;
pub(crate) mod mtls;
pub(crate) mod id_signer;
