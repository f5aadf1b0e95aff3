//! Answers requests for the metadata and the key set, correctly or with trouble.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use mcp_auth::{BoxFuture, Fetch, FetchError, Limits};

use crate::document::{self, MetadataPath};
use crate::{Endpoint, TestIssuer, Trouble};

impl Fetch for TestIssuer {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            let url = request.uri().to_string();
            let answer = if url == self.introspection_endpoint() {
                self.introspect(&request).await
            } else {
                self.answer(&url).await
            };
            let answer = answer.ok_or_else(connection_refused)?;
            if answer.body().len() > limits.max_bytes {
                return Err(FetchError::TooLarge(limits.max_bytes));
            }
            Ok(answer)
        })
    }
}

impl TestIssuer {
    /// Answers a GET of `url`. Returns `None` if the issuer is down.
    pub(crate) async fn answer(&self, url: &str) -> Option<Response<Bytes>> {
        let counters = &self.0.counters;
        self.count();
        let issuer = self.url();
        let place = MetadataPath::ALL.iter().find(|it| it.url(issuer) == url);
        let endpoint = if place.is_some() {
            counters.metadata.fetch_add(1, Ordering::SeqCst);
            Endpoint::Metadata
        } else if url == self.jwks_uri() {
            counters.jwks.fetch_add(1, Ordering::SeqCst);
            Endpoint::Jwks
        } else {
            return Some(not_found());
        };
        let trouble = self.trouble_after_hanging(endpoint).await;
        let served = |url: &str| {
            let places = self.0.settings.metadata_at.iter();
            places.map(|place| place.url(issuer)).any(|it| it == url)
        };
        if endpoint == Endpoint::Metadata && trouble.is_none() && !served(url) {
            return Some(not_found());
        }
        let mut answer = match self.failing(trouble, url) {
            Some(answer) => answer?,
            None => content("application/json", self.document(endpoint, trouble)),
        };
        if let (Endpoint::Jwks, Some(seconds)) = (endpoint, self.state().jwks_max_age) {
            let value = format!("max-age={seconds}");
            if let Ok(value) = value.parse() {
                answer.headers_mut().insert(header::CACHE_CONTROL, value);
            }
        }
        Some(answer)
    }

    /// The failing answer if the endpoint has trouble: `Some(None)` if there is no answer at all.
    pub(crate) async fn broken(
        &self,
        endpoint: Endpoint,
        url: &str,
    ) -> Option<Option<Response<Bytes>>> {
        let trouble = self.trouble_after_hanging(endpoint).await?;
        let document = || content("application/json", self.document(endpoint, Some(trouble)));
        Some(self.failing(Some(trouble), url).unwrap_or_else(|| Some(document())))
    }

    /// The answer that replaces a document. Returns `None` if the trouble is in the document itself.
    fn failing(&self, trouble: Option<Trouble>, url: &str) -> Option<Option<Response<Bytes>>> {
        Some(match trouble? {
            Trouble::Down => None,
            Trouble::Status(status) => {
                let status = StatusCode::from_u16(status);
                Some(with_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)))
            }
            Trouble::Redirect => {
                let mut answer = with_status(StatusCode::FOUND);
                if let Ok(location) = url.parse() {
                    answer.headers_mut().insert(header::LOCATION, location);
                }
                Some(answer)
            }
            Trouble::InvalidDocument => Some(content("text/html", HTML.to_owned())),
            _ => return None,
        })
    }

    async fn trouble_after_hanging(&self, endpoint: Endpoint) -> Option<Trouble> {
        let mut troubles = self.0.troubles.subscribe();
        let freed = troubles.wait_for(|troubles| troubles.at(endpoint) != Some(Trouble::Hang));
        // The sender lives in `self`, so waiting cannot fail.
        freed.await.ok().and_then(|troubles| troubles.at(endpoint))
    }

    fn document(&self, endpoint: Endpoint, trouble: Option<Trouble>) -> String {
        let metadata = || document::metadata(self.url(), &self.state().scopes());
        match (endpoint, trouble) {
            (Endpoint::Metadata, Some(Trouble::Empty)) => "{}".to_owned(),
            (Endpoint::Jwks, Some(Trouble::Empty)) => r#"{"keys":[]}"#.to_owned(),
            (Endpoint::Metadata, Some(Trouble::OtherIssuer)) => {
                document::metadata("https://other.test", &[]).to_string()
            }
            (Endpoint::Metadata, Some(Trouble::InsecureJwksUri)) => {
                let mut document = metadata();
                document["jwks_uri"] = "http://issuer.test/jwks".into();
                document.to_string()
            }
            (Endpoint::Jwks, Some(Trouble::UnusableKeys)) => among_unusable_keys(&self.jwks()),
            (Endpoint::Metadata, Some(Trouble::Oversize)) => oversize(&metadata().to_string()),
            (Endpoint::Jwks, Some(Trouble::Oversize)) => oversize(&self.jwks()),
            (Endpoint::Introspection, Some(Trouble::Oversize)) => oversize(r#"{"active":true}"#),
            (Endpoint::Introspection, _) => "{}".to_owned(),
            (Endpoint::Metadata, _) => metadata().to_string(),
            (Endpoint::Jwks, _) => self.jwks(),
        }
    }
}

const HTML: &str = "<!doctype html><title>Down for maintenance</title>";

fn with_status(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

fn not_found() -> Response<Bytes> {
    with_status(StatusCode::NOT_FOUND)
}

fn content(media_type: &'static str, body: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    let value = header::HeaderValue::from_static(media_type);
    answer.headers_mut().insert(header::CONTENT_TYPE, value);
    answer
}

fn connection_refused() -> FetchError {
    FetchError::Unreachable(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)))
}

fn oversize(document: &str) -> String {
    format!("{document}{}", " ".repeat(4 << 20))
}

/// Written as text, since a `Value` cannot have a duplicate member.
fn among_unusable_keys(jwks: &str) -> String {
    let short_modulus = crate::key::base64url(&[0xC5; 128]);
    let unusable = [
        r#"{"kty":"QUANTUM","kid":"unknown-kty","alg":"Q1"}"#.to_owned(),
        r#"{"kty":"EC","crv":"P-256","kid":7,"x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"oct","kid":"symmetric","alg":"HS256","k":"c2VjcmV0"}"#.to_owned(),
        format!(
            r#"{{"kty":"RSA","kid":"rsa-1024","alg":"RS256","n":"{short_modulus}","e":"AQAB"}}"#
        ),
        r#"{"kty":"OKP","kty":"EC","kid":"twice","crv":"Ed25519","x":"AA"}"#.to_owned(),
    ];
    jwks.replacen('[', &format!("[{},", unusable.join(",")), 1)
}
