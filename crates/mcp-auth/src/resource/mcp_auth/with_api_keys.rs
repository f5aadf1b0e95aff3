//! API keys in the description of a resource.

use super::McpAuthBuilder;
use crate::issuer::api_keys::ApiKeys;

impl McpAuthBuilder {
    /// Accepts these API keys too, beside tokens of the authorization servers and whatever verifies them.
    /// Called twice, the last list counts.
    pub fn api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys = keys;
        self
    }
}
