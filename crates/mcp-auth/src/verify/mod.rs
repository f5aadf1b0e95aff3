//! Verifies JWTs, introspection responses, DPoP proofs, client certificates, and signed session and event ids.

pub mod jwt;
pub(crate) mod introspection_response;
pub(crate) mod dpop;
pub(crate) mod mtls;
pub(crate) mod id_signer;
