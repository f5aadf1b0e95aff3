//! Where traces go, as data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::secret::SecretSource;

/// A collector of OpenTelemetry, which gets a span for each request to a resource (OTLP over HTTP, in JSON).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// Its URL, with the path: `http://127.0.0.1:4318/v1/traces`.
    pub url: String,
    /// Headers that it demands, such as an API key.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretSource>,
    /// What the gateway is called in traces. Default: `mcp-auth-gateway`.
    #[serde(default)]
    pub service: Option<String>,
}

impl TracesConfig {
    /// The headers, with their values as they are now.
    ///
    /// # Errors
    ///
    /// Which secret cannot be read.
    pub fn read_headers(&self) -> Result<Vec<(&str, String)>, Error> {
        self.headers.iter().map(|(name, value)| Ok((name.as_str(), value.read()?))).collect()
    }
}
