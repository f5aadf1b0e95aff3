//! `MetadataService`: serves the protected resource metadata.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderValue, VARY};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use crate::integrations::tower::document_responses;
use crate::resource::mcp_auth::McpAuth;

const ROOT: &str = "/.well-known/oauth-protected-resource";

/// Serves the protected resource metadata at each of its [`paths`](Self::paths), and answers 404 elsewhere.
///
/// For servers without a router. With axum, [`McpAuth::metadata_routes`](crate::McpAuth) does the same.
#[derive(Clone, Debug)]
pub struct MetadataService {
    auth: McpAuth,
    /// One for each name of the resource.
    documents: Arc<[Document]>,
}

#[derive(Debug)]
struct Document {
    json: Bytes,
    paths: Vec<String>,
}

impl McpAuth {
    /// A service for the protected resource metadata ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)).
    #[must_use]
    pub fn metadata_service(&self) -> MetadataService {
        let documents = self.names().iter().map(|name| Document {
            json: name.metadata_json.clone().into(),
            paths: name.metadata_paths().collect(),
        });
        MetadataService { auth: self.clone(), documents: documents.collect() }
    }
}

impl MetadataService {
    /// The paths at which the document is served.
    ///
    /// They are the well-known path with the resource's path inserted (RFC 9728 §3.1), with and without a
    /// trailing slash, and the root, because some clients look only there. The same for each
    /// [alias](crate::McpAuthBuilder::alias), and the [place of your own](crate::McpAuthBuilder::metadata_url).
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let mut paths: Vec<String> = Vec::new();
        let own = self.documents.iter().flat_map(|document| &document.paths);
        let own = own.map(|path| path.trim_end_matches('/'));
        for path in own.flat_map(|path| [path.to_owned(), format!("{path}/")]) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        if !paths.iter().any(|path| path == ROOT) {
            paths.push(ROOT.to_owned());
        }
        paths.into_iter()
    }

    /// The document at a path, and whether it depends on the host that was requested.
    fn document(&self, request: &Parts) -> Option<(Bytes, bool)> {
        let path = request.uri.path();
        let slashless = path.trim_end_matches('/');
        let is_at = |document: &Document, path: &str| document.paths.iter().any(|at| at == path);
        let is_near = |document: &Document| {
            document.paths.iter().any(|at| at.trim_end_matches('/') == slashless)
        };
        // A name that differs from another one in a final slash only has its own document.
        let all = || self.documents.iter().enumerate();
        let mut found: Vec<_> = all().filter(|(_, document)| is_at(document, path)).collect();
        if found.is_empty() {
            let is_known = self.paths().any(|known| known == path);
            found = all().filter(|(_, document)| is_known && is_near(document)).collect();
        }
        if path == ROOT {
            found = all().collect();
        }
        let chosen = self.auth.names().index_for(request);
        let (_, document) = found.iter().find(|(index, _)| *index == chosen).or(found.first())?;
        Some((document.json.clone(), found.len() > 1))
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
        let method = request.method().clone();
        let (request, _) = request.into_parts();
        ready(Ok(match self.document(&request) {
            Some((document, depends_on_host)) => {
                let mut response = document_responses::answer(&method, || document);
                if depends_on_host {
                    let vary = HeaderValue::from_static("Host, X-Forwarded-Host");
                    response.headers_mut().insert(VARY, vary);
                }
                response
            }
            None => {
                McpAuth::report_unknown_path([&self.auth], &request);
                document_responses::with_status(StatusCode::NOT_FOUND, Bytes::new())
            }
        }))
    }
}
