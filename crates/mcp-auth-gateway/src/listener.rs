//! Accepts connections of clients, and answers their requests.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use mcp_auth::{ClientCertificate, PeerAddr};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::connections::Connections;
use crate::ending::Phases;
use crate::opened::Opened;
use crate::telemetry;
use crate::tls::Certificates;

/// How long a TLS handshake may take, as in nginx and HAProxy behind a slow network.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a request's head. The library's limit for a token is 16 KiB, and there are other headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most requests at a time on one HTTP/2 connection. Each listening stream of a client is one of them.
const MAX_STREAMS: u32 = 256;

/// How long accepting pauses after an error that concerns the process, such as too many open files. As axum does, so that the
/// log is not filled.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How connections learn that the gateway is about to end.
#[derive(Clone)]
pub(crate) struct End {
    /// Connections with requests, which are answered first.
    pub(crate) graceful: Arc<GracefulShutdown>,
    pub(crate) phases: Phases,
}

/// Accepts connections until the gateway ends, also those that the system has accepted by then. `answer` answers one request,
/// whose head may take `head_timeout`, as may an idle connection.
pub(crate) async fn accept<F, A, B>(
    listener: TcpListener,
    tls: Option<Certificates>,
    connections: Connections,
    end: End,
    head_timeout: Duration,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut phases = end.phases.clone();
    let mut is_ending = false;
    loop {
        let accepted = if is_ending {
            match listener.accept().now_or_never() {
                Some(accepted) => accepted,
                None => return,
            }
        } else {
            tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = phases.ending() => {
                    is_ending = true;
                    continue;
                }
            }
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if is_ending {
                    return;
                }
                if !is_of_one_connection(&error) {
                    tracing::error!(target: "mcp_auth", %error, "cannot accept connections at the moment");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let Some(place) = connections.take(peer.ip()) else {
            telemetry::connection_refused();
            tokio::spawn(refuse(stream, tls.is_some()));
            continue;
        };
        let (tls, answer) = (tls.clone(), answer.clone());
        let (watcher, phases) = (end.graceful.watcher(), end.phases.clone());
        tokio::spawn(async move {
            _ = stream.set_nodelay(true);
            match tls {
                None => serve(stream, peer, None, watcher, phases, head_timeout, answer).await,
                Some(tls) => {
                    let handshake = tls.acceptor().accept(stream);
                    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await
                    else {
                        return;
                    };
                    let (_, session) = stream.get_ref();
                    let own = session.peer_certificates().and_then(<[_]>::first);
                    let own = own.map(|der| ClientCertificate::from_der(der));
                    serve(stream, peer, own, watcher, phases, head_timeout, answer).await;
                }
            }
            drop(place);
        });
    }
}

/// Whether an error of `accept` concerns one connection only, which is gone.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// Answers a connection for which there is no place.
async fn refuse(mut stream: TcpStream, is_tls: bool) {
    if !is_tls {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        _ = tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.write_all(answer)).await;
    }
}

async fn serve<S, F, A, B>(
    stream: S,
    peer: SocketAddr,
    certificate: Option<ClientCertificate>,
    watcher: Watcher,
    mut phases: Phases,
    head_timeout: Duration,
    answer: F,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let seen = phases.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer.ip()));
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate);
        }
        let (is_http1, leaving) = (request.version() < Version::HTTP_2, seen.clone());
        let response = answer(request);
        async move {
            let mut response = response.await;
            // Asked late, since a request may take long. HTTP/2 has a frame for that, which hyper sends at the end.
            if is_http1 && leaving.is_leaving() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    // hyper's own time limits begin when it knows the version.
    let opened = tokio::select! {
        biased;
        opened = tokio::time::timeout(head_timeout, Opened::read(stream)) => opened,
        // Connections that have said nothing are closed.
        () = phases.ending() => return,
    };
    let Ok(Ok((stream, is_http2))) = opened else { return };
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(MAX_HEAD_BYTES);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    http2.max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
    // A peer that is gone is noticed, and its streams end.
    http2.keep_alive_interval(Duration::from_secs(30)).keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(target: "mcp_auth", error, "a connection of a client ended with an error");
    }
}
