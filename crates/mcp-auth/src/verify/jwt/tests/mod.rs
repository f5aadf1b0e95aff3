//! The published test vectors, below the claims that they do not have; and what is read of claims.

mod claims;
mod rfc_vectors;
mod wycheproof;
