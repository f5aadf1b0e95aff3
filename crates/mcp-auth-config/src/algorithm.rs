//! Signature algorithms, by their JOSE names.

use mcp_auth::jwt::Algorithm;

use crate::error::Error;

pub(crate) fn algorithm_named(name: &str) -> Result<Algorithm, Error> {
    Algorithm::named(name).ok_or_else(|| {
        let known: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        Error::new(format!("the algorithm {name:?} is not known; known are: {}", known.join(", ")))
    })
}
