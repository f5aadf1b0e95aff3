//! `MetadataService`: serves the protected resource metadata.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use crate::integrations::tower::document_responses;
use crate::resource::mcp_auth::McpAuth;
use crate::util::url;

const ROOT: &str = "/.well-known/oauth-protected-resource";

/// Serves the protected resource metadata at each of its [`paths`](Self::paths), and answers 404 elsewhere.
///
/// For servers without a router. With axum, [`McpAuth::metadata_routes`](crate::McpAuth) does the same.
#[derive(Clone, Debug)]
pub struct MetadataService {
    document: Bytes,
    path: String,
}

impl McpAuth {
    /// A service for the protected resource metadata ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)).
    #[must_use]
    pub fn metadata_service(&self) -> MetadataService {
        let path = url::split(self.metadata_url()).map_or("", |(_, _, rest)| rest);
        let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
        MetadataService { document: self.metadata_json().to_owned().into(), path: path.to_owned() }
    }
}

impl MetadataService {
    /// The paths at which the document is served.
    ///
    /// They are the well-known path with the resource's path inserted (RFC 9728 §3.1), with and without a
    /// trailing slash, and the root, because some clients look only there.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let root = Some(ROOT.to_owned()).filter(|root| *root != self.path);
        [self.path.clone(), format!("{}/", self.path)].into_iter().chain(root)
    }
}

impl<B> Service<Request<B>> for MetadataService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        ready(Ok(if self.paths().any(|served| served == path) {
            document_responses::answer(request.method(), || self.document.clone())
        } else {
            document_responses::with_status(StatusCode::NOT_FOUND, Bytes::new())
        }))
    }
}
