//! The caller in rmcp's context.

use http::request::Parts;
use rmcp::ErrorData;
use rmcp::model::Extensions;

use crate::integrations::tower::Anonymous;
use crate::model::auth_info::AuthInfo;

pub(super) fn unauthenticated() -> ErrorData {
    ErrorData::invalid_request("this needs an authenticated caller", None)
}

/// The caller of the HTTP request. The layer puts it into the extensions of the request; rmcp puts the head of
/// the request into its context.
pub(super) fn caller(extensions: &Extensions) -> Option<&AuthInfo> {
    extensions.get::<Parts>()?.extensions.get()
}

/// Whether the layer let the request pass without credentials.
pub(super) fn is_anonymous(extensions: &Extensions) -> bool {
    extensions.get::<Parts>().is_some_and(|parts| parts.extensions.get::<Anonymous>().is_some())
}
