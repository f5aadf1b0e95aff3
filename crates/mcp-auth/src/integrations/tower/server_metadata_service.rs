//! `ServerMetadataService`: mirrors the authorization server's metadata for old clients.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower_service::Service;

use crate::integrations::tower::document_responses;
use crate::resource::mcp_auth::McpAuth;

/// Serves the metadata of the first authorization server, for clients of MCP revision 2025-03-26, which
/// look for it at the MCP server: `/.well-known/oauth-authorization-server`.
///
/// Every member of the document is kept. While the document cannot be fetched, the response is 503.
#[derive(Clone, Debug)]
pub struct ServerMetadataService(McpAuth);

impl McpAuth {
    /// A service for the metadata of the first authorization server, for old clients.
    #[must_use]
    pub fn server_metadata_service(&self) -> ServerMetadataService {
        ServerMetadataService(self.clone())
    }

    async fn server_metadata(&self) -> Option<Bytes> {
        let metadata = self.authorization_servers().first()?.metadata().await.ok()?;
        Some(Value::Object(metadata.document().clone()).to_string().into())
    }
}

impl ServerMetadataService {
    /// The path at which clients look for it.
    pub const PATH: &'static str = "/.well-known/oauth-authorization-server";
}

impl<B> Service<Request<B>> for ServerMetadataService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (auth, method, path) =
            (self.0.clone(), request.method().clone(), request.uri().path().to_owned());
        Box::pin(async move {
            if path != Self::PATH {
                return Ok(document_responses::with_status(StatusCode::NOT_FOUND, Bytes::new()));
            }
            Ok(match auth.server_metadata().await {
                Some(document) => document_responses::answer(&method, || document),
                None => {
                    let mut response = document_responses::with_status(
                        StatusCode::SERVICE_UNAVAILABLE,
                        Bytes::new(),
                    );
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
                    response
                }
            })
        })
    }
}
