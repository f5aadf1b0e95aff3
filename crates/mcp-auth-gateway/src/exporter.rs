//! Exports spans to a collector, some at a time.
//!
//! Written here, since what is needed is small: one `POST` of JSON, over the HTTP client that is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use http_body_util::Full;
use mcp_auth_config::TracesConfig;
use tokio::sync::{mpsc, oneshot};

use crate::log_limit::LogLimit;
use crate::span::{self, Span};
use crate::telemetry;
use crate::upstream::{HttpsClient, https_client};

/// The most spans in one request, as in the SDKs of OpenTelemetry.
const MAX_BATCH: usize = 512;

/// How long spans are collected, so that not each of them is a request of its own.
const LINGER: Duration = Duration::from_secs(1);

/// How long an export may take, as in the SDKs of OpenTelemetry.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is sent to the exporter.
pub(crate) enum Sent {
    Span(Box<Span>, Whose),
    /// Is told when everything before it has been exported, or is lost.
    Flush(oneshot::Sender<()>),
}

/// Whose request a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Its token was verified.
    Verified,
    Others,
}

/// Exports spans.
pub(crate) struct Exporter {
    config: TracesConfig,
    client: HttpsClient<Full<Bytes>>,
    /// How many spans wait that are about callers without a verified token.
    of_others: Arc<AtomicUsize>,
    failures: LogLimit,
}

impl Exporter {
    /// # Errors
    ///
    /// If the certificates of the system cannot be read.
    pub(crate) fn new(config: &TracesConfig, of_others: Arc<AtomicUsize>) -> Result<Self, String> {
        let (config, client) = (config.clone(), https_client()?);
        Ok(Self { config, client, of_others, failures: LogLimit::default() })
    }

    /// Exports what it receives, until nobody can send any more.
    pub(crate) async fn run(self, mut receiver: mpsc::Receiver<Sent>) {
        let mut batch = Vec::new();
        loop {
            let (mut spans, mut flushed, mut is_over) = (Vec::new(), Vec::new(), false);
            if receiver.recv_many(&mut batch, MAX_BATCH).await == 0 {
                return;
            }
            let lingering = tokio::time::sleep(LINGER);
            let mut lingering = std::pin::pin!(lingering);
            loop {
                for sent in batch.drain(..) {
                    match sent {
                        Sent::Flush(sender) => flushed.push(sender),
                        Sent::Span(span, whose) => {
                            if whose == Whose::Others {
                                self.of_others.fetch_sub(1, Ordering::Relaxed);
                            }
                            spans.push(*span);
                        }
                    }
                }
                if is_over || !flushed.is_empty() || spans.len() >= MAX_BATCH {
                    break;
                }
                let room = MAX_BATCH - spans.len();
                tokio::select! {
                    received = receiver.recv_many(&mut batch, room) => is_over = received == 0,
                    () = &mut lingering => break,
                }
            }
            self.export(&spans).await;
            flushed.into_iter().for_each(|sender| _ = sender.send(()));
        }
    }

    async fn export(&self, spans: &[Span]) {
        if spans.is_empty() {
            return;
        }
        let sent = tokio::time::timeout(TIMEOUT, self.post(spans)).await;
        let error = match sent {
            Ok(Ok(())) => return telemetry::spans("exported", spans.len()),
            Ok(Err(error)) => error,
            Err(_) => "it does not answer".to_owned(),
        };
        telemetry::spans("lost", spans.len());
        if self.failures.is_due() {
            tracing::warn!(target: "mcp_auth", url = self.config.url, error, "spans cannot be exported and are lost: check `traces.url`, which needs the path (`/v1/traces`)");
        }
    }

    async fn post(&self, spans: &[Span]) -> Result<(), String> {
        let service = self.config.service.as_deref().unwrap_or(env!("CARGO_PKG_NAME"));
        let body = Full::new(Bytes::from(span::export(service, spans)));
        let json = HeaderValue::from_static("application/json");
        let mut request = Request::post(&self.config.url).header(CONTENT_TYPE, json);
        for (name, value) in self.config.read_headers().map_err(|error| error.to_string())? {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|_| "a header of `traces` is not valid")?;
        let response = self.client.request(request).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.unwrap_or_else(|| error.to_string())
        })?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the collector answers {status}")),
        }
    }
}
