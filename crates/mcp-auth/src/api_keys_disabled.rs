//! Without the feature `jwt` there is no digest, and no API key.

use crate::verifier::Verifier;

#[derive(Default)]
pub(crate) struct ApiKeys;

impl ApiKeys {
    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn before(
        self,
        others: Box<dyn Verifier>,
        _: &str,
    ) -> Result<Box<dyn Verifier>, (String, &'static str)> {
        Ok(others)
    }
}
