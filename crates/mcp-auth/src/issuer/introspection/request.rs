//! The question about a token: as RFC 7662 writes it, or in the words of a provider's own API.

use std::time::SystemTime;

use http::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use serde_json::json;

use crate::issuer::introspection::form::Form;
use crate::issuer::introspection::settings::Introspection;
use crate::model::provider::ApiProtocol;

const FORM: &str = "application/x-www-form-urlencoded";

/// The type of a signed answer ([RFC 9701 §4](https://www.rfc-editor.org/rfc/rfc9701#section-4)).
pub(super) const SIGNED: &str = "application/token-introspection+jwt";

impl Introspection {
    /// What is sent to ask about a token, with its media type; the headers are added. Nothing if this
    /// server cannot say who it is.
    pub(super) fn request(
        &self,
        token: &str,
        issuer: &str,
        now: SystemTime,
        headers: &mut HeaderMap,
    ) -> Option<(&'static str, String)> {
        let mut form = Form::default();
        match self.api.map(|api| api.protocol) {
            None => {
                form.add("token", token);
                form.add("token_type_hint", "access_token");
                let accept = if self.has_signed_responses { SIGNED } else { "application/json" };
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            Some(ApiProtocol::GitHub) => {}
            Some(ApiProtocol::Google) => form.add("access_token", token),
        }
        if let Some(api) = self.api {
            for (name, value) in api.headers {
                headers.entry(*name).or_insert(HeaderValue::from_static(value));
            }
            // GitHub refuses requests without one, and the HTTP client may be anybody's.
            let name = concat!("mcp-auth/", env!("CARGO_PKG_VERSION"));
            headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(name));
        }
        self.authentication.sign(issuer, now, headers, &mut form)?;
        Some(match self.api.map(|api| api.protocol) {
            Some(ApiProtocol::GitHub) => {
                ("application/json", json!({ "access_token": token }).to_string())
            }
            Some(ApiProtocol::Google) | None => (FORM, form.into_text()),
        })
    }
}
