//! Issuers that are known only at run time, as the builder describes them.

use std::sync::Arc;

use crate::issuer::resolver::{IssuerResolver, ResolveFn};
use crate::model::issuer_pattern::{IssuerPattern, IssuerSet};
use crate::net::clock::Clock;
use crate::resource::config_error::ConfigError;
use crate::util::url;

/// The issuers of a form, and whom to ask for them.
pub(super) struct Resolver {
    pub(super) form: String,
    pub(super) ask: ResolveFn,
}

impl Resolver {
    /// The issuers that are asked for.
    pub(super) fn issuer_set(&self) -> Result<IssuerSet, ConfigError> {
        let template = IssuerPattern::parse(&self.form).filter(IssuerPattern::has_placeholder);
        let template = template.filter(|template| url::is_secure(&template.issuer_of("tenant")));
        let template = template.ok_or_else(|| ConfigError::Issuer(self.form.clone()))?;
        Ok(IssuerSet { template, tenants: None })
    }
}

/// Resolvers, for tokens and for notices.
pub(super) type Resolvers = Arc<[IssuerResolver]>;

pub(super) fn resolvers(
    described: Vec<Resolver>,
    clock: &Arc<dyn Clock>,
) -> Result<Resolvers, ConfigError> {
    let resolvers = described.into_iter().map(|resolver| {
        Ok(IssuerResolver::new(resolver.issuer_set()?, resolver.ask, clock.clone()))
    });
    resolvers.collect()
}
