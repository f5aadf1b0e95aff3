//! The addresses and networks of trusted proxies.

use crate::resource::config_error::ConfigError;
use crate::verify::mtls::Cidr;

/// Parses the networks of trusted proxies. An empty list trusts nobody, and so is a mistake.
pub(super) fn networks(texts: Vec<String>) -> Result<Vec<Cidr>, ConfigError> {
    if texts.is_empty() {
        return Err(ConfigError::Network(String::new()));
    }
    let network = |text: String| Cidr::parse(&text).ok_or(ConfigError::Network(text));
    texts.into_iter().map(network).collect()
}
