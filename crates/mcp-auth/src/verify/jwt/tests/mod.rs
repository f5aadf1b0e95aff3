//! Published test vectors, which test the layers below the claims; and tests of the claims.

mod claims;
mod rfc_vectors;
mod wycheproof;
