//! The issuer resolvers of the builder, for issuers that are known only at run time.

use std::sync::Arc;

use crate::issuer::issuer_resolver::{IssuerResolver, ResolveFn};
use crate::model::issuer_pattern::{IssuerPattern, IssuerSet};
use crate::net::clock::Clock;
use crate::resource::config_error::ConfigError;
use crate::util::url;

/// An issuer pattern, and the function that resolves the issuers that match it.
pub(super) struct Resolver {
    pub(super) pattern: String,
    pub(super) resolve: ResolveFn,
}

impl Resolver {
    /// The issuers that match the pattern.
    pub(super) fn issuer_set(&self) -> Result<IssuerSet, ConfigError> {
        let template = IssuerPattern::parse(&self.pattern).filter(IssuerPattern::has_placeholder);
        let template = template.filter(|template| url::is_secure(&template.issuer_of("tenant")));
        let template = template.ok_or_else(|| ConfigError::Issuer(self.pattern.clone()))?;
        Ok(IssuerSet { template, tenants: None })
    }
}

/// Resolvers, shared by token verification and security events.
pub(super) type Resolvers = Arc<[IssuerResolver]>;

pub(super) fn resolvers(
    described: Vec<Resolver>,
    clock: &Arc<dyn Clock>,
) -> Result<Resolvers, ConfigError> {
    let resolvers = described.into_iter().map(|resolver| {
        Ok(IssuerResolver::new(resolver.issuer_set()?, resolver.resolve, clock.clone()))
    });
    resolvers.collect()
}
