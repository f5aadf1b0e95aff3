//! Shared by the tests: a protected service, requests to it, and its complete answers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{AuthInfo, BoxFuture, Denial, Fetch, FetchError, GuardedBody, Limits, McpAuth};
use tower::{Layer as _, ServiceExt as _, service_fn};

pub(crate) const RESOURCE: &str = "https://api.example.com/mcp";

/// The headers of a request with this token.
pub(crate) fn bearer(token: &str) -> HeaderMap {
    let value = format!("Bearer {token}").parse().expect("a header value");
    [(AUTHORIZATION, value)].into_iter().collect()
}

/// A POST with these headers.
pub(crate) fn request(headers: HeaderMap) -> Request<Full<Bytes>> {
    let mut request = Request::post("/mcp").body(Full::default()).expect("a request");
    *request.headers_mut() = headers;
    request
}

/// The caller of a POST with these headers.
pub(crate) async fn admit(auth: &McpAuth, headers: &HeaderMap) -> Result<AuthInfo, Denial> {
    let (parts, body) = request(headers.clone()).into_parts();
    auth.admit(&parts, body).await.map(|(caller, _)| caller)
}

/// The answer of a service behind `auth` that responds with the subject of its caller.
pub(crate) async fn answer(auth: &McpAuth, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let whoami = service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async move {
        let caller =
            request.extensions().get::<AuthInfo>().map(|caller| caller.subject().to_owned());
        assert!(!request.headers().contains_key(AUTHORIZATION), "the credential is removed");
        let body = caller.unwrap_or_else(|| "nobody".to_owned());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body)))
    });
    let response = auth.bearer_auth().layer(whoami).oneshot(request).await;
    let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
    let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    Response::from_parts(parts, body)
}

/// The status of the answer to a POST with this token.
pub(crate) async fn status(auth: &McpAuth, token: &str) -> u16 {
    answer(auth, request(bearer(token))).await.status().as_u16()
}

/// A complete response as text, for snapshots.
pub(crate) fn shown(response: &Response<Bytes>) -> String {
    let mut text = format!("{}\n", response.status());
    for (name, value) in response.headers() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text + "\n" + &String::from_utf8_lossy(response.body())
}

/// Serves documents at their URLs, and records the requests. Clones share their state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Web {
    documents: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub(crate) fn serve(self, url: &str, document: impl Into<String>) -> Self {
        self.documents.lock().expect("a map").insert(url.to_owned(), document.into());
        self
    }

    pub(crate) fn asked_for(&self) -> Vec<String> {
        self.asked.lock().expect("a list").clone()
    }
}

impl Fetch for Web {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let url = request.uri().to_string();
        let document = self.documents.lock().expect("a map").get(&url).cloned();
        self.asked.lock().expect("a list").push(url);
        let mut response = Response::new(document.clone().unwrap_or_default().into());
        if document.is_none() {
            *response.status_mut() = http::StatusCode::NOT_FOUND;
        }
        Box::pin(std::future::ready(Ok(response)))
    }
}

/// Answers requests with a function, and records them. Clones share their state.
#[derive(Clone)]
pub(crate) struct Answering {
    answer: Arc<AnswerFn>,
    asked: Arc<Mutex<Vec<Request<Bytes>>>>,
}

type AnswerFn = dyn Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync;

impl Answering {
    pub(crate) fn new(
        answer: impl Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync + 'static,
    ) -> Self {
        Self { answer: Arc::new(answer), asked: Arc::default() }
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Request<Bytes>> {
        self.asked.lock().expect("a list").clone()
    }
}

impl Fetch for Answering {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let answer = (self.answer)(&request);
        self.asked.lock().expect("a list").push(request);
        Box::pin(std::future::ready(answer))
    }
}

/// A response with this status and body.
pub(crate) fn response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).body(body.into()).expect("a response")
}
