//! `AuthInfo` as an extractor, and `Denial` as a response of a handler.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::integrations::tower::{Anonymous, HandlerDenial, RequestNames};
use crate::model::auth_info::AuthInfo;
use crate::model::denial::Denial;

/// The caller of the request.
///
/// If credentials are optional and the request has none, it is refused with the challenge to log in. To accept
/// such a request, extract an `Option<AuthInfo>`.
impl<S: Send + Sync> FromRequestParts<S> for AuthInfo {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| match parts.extensions.get::<Anonymous>() {
            Some(Anonymous(auth, name)) => {
                let denial = Denial::no_credentials().called_by(*name);
                let request = RequestNames::of(auth, parts);
                auth.log_and_refuse::<Body>(&denial, request).into_response()
            }
            None => {
                tracing::error!(
                    target: "mcp_auth",
                    "AuthInfo was extracted on a route that is not behind `bearer_auth()`"
                );
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for AuthInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// Lets a handler return a denial, as `auth.require(["notes:write"])?` does. The layer builds the response,
/// with its challenge.
impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(HandlerDenial(self));
        response
    }
}
