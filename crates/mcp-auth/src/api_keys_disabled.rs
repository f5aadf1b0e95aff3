//! Without the feature `jwt` there is no digest, and no API key.

use std::sync::Arc;

use crate::clock::Clock;
use crate::verifier::Verifier;

#[derive(Default)]
pub(crate) struct ApiKeys;

/// There is none.
pub(crate) enum KeysFile {}

/// What judges tokens, and no file.
pub(crate) type Placed = (Box<dyn Verifier>, Option<KeysFile>);

impl ApiKeys {
    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn before(
        self,
        others: Box<dyn Verifier>,
        _: &str,
        _: &Arc<dyn Clock>,
    ) -> Result<Placed, (String, &'static str)> {
        Ok((others, None))
    }
}
