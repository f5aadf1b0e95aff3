//! The introspection request: as RFC 7662 defines it, or as a provider's own API expects it.

use std::time::SystemTime;

use http::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;

use crate::issuer::introspection::form::Form;
use crate::issuer::introspection::settings::Introspection;
use crate::model::provider::ApiProtocol;

const FORM: &str = "application/x-www-form-urlencoded";

/// The media type of a signed response ([RFC 9701 §4](https://www.rfc-editor.org/rfc/rfc9701#section-4)).
pub(super) const SIGNED: &str = "application/token-introspection+jwt";

impl Introspection {
    /// The media type and the body of the introspection request for a token. The headers are added to `headers`.
    /// Returns `None` if this server cannot authenticate.
    pub(super) fn request(
        &self,
        token: &str,
        secret: Option<&str>,
        issuer: &str,
        now: SystemTime,
        headers: &mut HeaderMap,
    ) -> Option<(&'static str, String)> {
        let mut form = Form::default();
        match self.api.map(|api| api.protocol) {
            None => {
                form.add("token", token);
                form.add("token_type_hint", "access_token");
                if self.has_signed_responses {
                    headers.insert(ACCEPT, HeaderValue::from_static(SIGNED));
                }
            }
            Some(ApiProtocol::GitHub) => {}
            Some(ApiProtocol::Google) => form.add("access_token", token),
        }
        if let Some(api) = self.api {
            for (name, value) in api.headers {
                headers.entry(*name).or_insert(HeaderValue::from_static(value));
            }
            // GitHub refuses requests without a `User-Agent`, and a custom HTTP client may not send one.
            let name = concat!("mcp-auth/", env!("CARGO_PKG_VERSION"));
            headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(name));
        }
        self.authentication.authenticate(secret, issuer, now, headers, &mut form)?;
        Some(match self.api.map(|api| api.protocol) {
            Some(ApiProtocol::GitHub) => {
                ("application/json", Value::from_iter([("access_token", token)]).to_string())
            }
            Some(ApiProtocol::Google) | None => (FORM, form.into_text()),
        })
    }
}
