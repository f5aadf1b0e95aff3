//! The Streamable HTTP side of a server that speaks stdio
//! ([MCP, Transports](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http)).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use mcp_auth::{AuthInfo, Denial, McpAuth, Operation};
use mcp_auth_config::StdioServer;
use rustls::crypto::aws_lc_rs;
use tokio::time::timeout;

use crate::budget::Share;
use crate::stdio::client::ClientId;
use crate::stdio::dispatch::Begun;
use crate::stdio::events::{Events, KEEP_ALIVE, NewSession, OpenRequest};
use crate::stdio::framing::{MAX_LINE_BYTES, on_one_line};
use crate::stdio::message::{Kind, Message, Span};
use crate::stdio::own_messages;
use crate::stdio::pool::{ClientProcess, Pool};
use crate::stdio::responses::{NoProcess, StdioBody, events, json, status_of, text};
use crate::stdio::stream::Last;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// From this revision on there are no sessions.
const FIRST_WITHOUT_SESSIONS: &[u8] = b"2026-07-28";

/// How long the body of a request may take, as in the library.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that speaks stdio, as a service over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct StdioUpstream {
    auth: McpAuth,
    pool: Arc<Pool>,
}

impl StdioUpstream {
    pub(crate) fn new(server: StdioServer, auth: &McpAuth) -> Self {
        Self { auth: auth.clone(), pool: Pool::new(server, auth.clone()) }
    }

    /// Asks its processes to end. The future waits until they have ended.
    pub(crate) fn close(&self) -> impl Future<Output = ()> + use<> {
        let processes = self.pool.close();
        async move {
            for process in processes {
                process.over().await;
            }
        }
    }

    /// The program, how many processes of it there are, and how many there may be.
    pub(crate) fn processes(&self) -> (&str, usize, usize) {
        self.pool.processes()
    }

    /// Answers an admitted request.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<StdioBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let has_sessions = !is_without_sessions(&parts.headers);
        // What a request without a session asks for is for the server to refuse: it names the versions that it knows.
        let is_of_session = has_sessions || parts.headers.contains_key(SESSION_ID);
        let version = parts.headers.get(PROTOCOL_VERSION);
        if is_of_session && version.is_some_and(|version| !is_date(version)) {
            return text(StatusCode::BAD_REQUEST, "MCP-Protocol-Version is not a version of MCP\n");
        }
        match parts.method {
            Method::POST => match read(&parts, body).await {
                Ok(message) => {
                    pass_on(&parts);
                    self.post(&parts, &message, has_sessions).await
                }
                Err(refused) => refused,
            },
            Method::GET if has_sessions => self.get(&parts),
            Method::DELETE if has_sessions => self.delete(&parts),
            _ => {
                let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n");
                let allowed = if has_sessions { "POST, GET, DELETE" } else { "POST" };
                refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
                refused
            }
        }
    }

    async fn post(&self, parts: &Parts, message: &[u8], has_sessions: bool) -> Response<StdioBody> {
        if let Err(denial) = Operation::read(&parts.method, &parts.headers, message) {
            return self.refuse(&denial);
        }
        let Ok(message) = Message::parse(message) else {
            let error = "Send one JSON-RPC message at a time, without members that are there twice";
            return json(StatusCode::BAD_REQUEST, own_messages::error("null", -32600, error));
        };
        let caller = parts.extensions.get::<AuthInfo>();
        match &message.kind {
            Kind::Request(id, method) if method == "initialize" && has_sessions => {
                self.initialize(caller, &message, id).await
            }
            Kind::Request(id, _) => match self.client_process(parts, caller, has_sessions).await {
                Ok(target) => self.request(target, &message, id, None).await,
                Err(refused) => refused.response(message.get(id)),
            },
            _ => match self.client_process(parts, caller, has_sessions).await {
                Ok(target) => forward(&target, &message).await,
                Err(refused) => refused.response("null"),
            },
        }
    }

    /// The process for a request.
    async fn client_process(
        &self,
        parts: &Parts,
        caller: Option<&AuthInfo>,
        has_sessions: bool,
    ) -> Result<ClientProcess, NoProcess> {
        if !has_sessions {
            return self.pool.of_caller(caller).await.map_err(NoProcess::Refused);
        }
        let id = session_id(&parts.headers).ok_or(NoProcess::NoSession)?;
        self.pool.session(id, caller).ok_or(NoProcess::SessionEnded)
    }

    async fn initialize(
        &self,
        caller: Option<&AuthInfo>,
        message: &Message<'_>,
        id: &Span,
    ) -> Response<StdioBody> {
        let Some(session) = random_id() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no randomness\n");
        };
        let session: Arc<str> = session.into();
        match self.pool.begin_session(Arc::clone(&session), caller).await {
            Err(refusal) => NoProcess::Refused(refusal).response(message.get(id)),
            Ok(target) => {
                let pool = Arc::clone(&self.pool);
                let new = NewSession { pool, id: Arc::clone(&session), has_begun: false };
                let mut response = self.request(target, message, id, Some(new)).await;
                let has_begun = self.pool.session(&session, caller).is_some();
                if let Ok(session) = HeaderValue::from_str(&session)
                    && has_begun
                {
                    response.headers_mut().insert(SESSION_ID, session);
                }
                response
            }
        }
    }

    async fn request(
        &self,
        target: ClientProcess,
        message: &Message<'_>,
        id: &Span,
        mut new: Option<NewSession>,
    ) -> Response<StdioBody> {
        let begun = target.process.dispatch().begin(&target.client, message, id);
        let Begun { number, line, mut stream } = match begun {
            Ok(begun) => begun,
            Err(why) => {
                let error = own_messages::error(message.get(id), 502, &why);
                return json(StatusCode::OK, error);
            }
        };
        let has_sessions = matches!(target.client, ClientId::Session(_));
        let process = Arc::clone(&target.process);
        let mut open = OpenRequest {
            target,
            number,
            is_cancelled_by_close: !has_sessions,
            is_answered: false,
        };
        if !process.send(line).await {
            open.is_cancelled_by_close = false;
            let error = "The MCP server behind this gateway does not read its input";
            let error = own_messages::error(message.get(id), 503, error);
            return json(StatusCode::SERVICE_UNAVAILABLE, error);
        }
        // Most requests are answered by one message. An event stream begins with the first one that is none, or before a
        // proxy on the way takes the silence for an end.
        let first = match timeout(KEEP_ALIVE, stream.next()).await {
            Ok(None) => {
                open.is_answered = true;
                None
            }
            Ok(first) => first,
            Err(_) => None,
        };
        if let Some(Last { error }) = first.as_ref().and_then(|first| first.last) {
            open.is_answered = true;
            if let Some(new) = &mut new {
                new.has_begun = error.is_none();
            }
            let status = error.filter(|_| !has_sessions).map_or(StatusCode::OK, status_of);
            let message = first.map(|first| first.message).unwrap_or_default();
            return json(status, message);
        }
        if let Some(new) = &mut new {
            new.has_begun = true;
        }
        events(Events::new(first, stream, Some(open)))
    }

    /// Opens the stream on which the client of a session listens.
    fn get(&self, parts: &Parts) -> Response<StdioBody> {
        pass_on(parts);
        let target = match self.session(parts) {
            Ok(target) => target,
            Err(refused) => return refused.response("null"),
        };
        let stream = target.process.dispatch().listen(&target.client);
        match stream {
            Ok(stream) => events(Events::new(None, stream, None)),
            Err(_) => NoProcess::SessionEnded.response("null"),
        }
    }

    fn delete(&self, parts: &Parts) -> Response<StdioBody> {
        pass_on(parts);
        // A session of which the caller's claims are no longer true has ended too.
        match self.session(parts) {
            Err(refused) => refused.response("null"),
            Ok(target) => {
                if let ClientId::Session(id) = &target.client {
                    self.pool.end_session(id);
                }
                text(StatusCode::OK, "")
            }
        }
    }

    fn session(&self, parts: &Parts) -> Result<ClientProcess, NoProcess> {
        let id = session_id(&parts.headers).ok_or(NoProcess::NoSession)?;
        let caller = parts.extensions.get::<AuthInfo>();
        self.pool.session(id, caller).ok_or(NoProcess::SessionEnded)
    }

    fn refuse(&self, denial: &Denial) -> Response<StdioBody> {
        tracing::debug!(target: "mcp_auth", reason = denial.code(), "refused a message for a server that speaks stdio");
        self.auth.refuse(denial).map(|body| Either::Right(Full::new(body)))
    }
}

/// A notification or an answer.
async fn forward(target: &ClientProcess, message: &Message<'_>) -> Response<StdioBody> {
    let line = target.process.dispatch().forward(&target.client, message);
    let is_sent = match line {
        Some(line) => target.process.send(line).await,
        // It is about a request that is over, as a message that comes too late is.
        None => true,
    };
    match is_sent {
        true => text(StatusCode::ACCEPTED, ""),
        false => text(StatusCode::SERVICE_UNAVAILABLE, "the server does not read its input\n"),
    }
}

/// Counts the request as passed on. Its bytes are those of the process then.
fn pass_on(parts: &Parts) {
    if let Some(share) = parts.extensions.get::<Arc<Share>>() {
        share.pass_on();
    }
}

/// Whether the request is of a revision without sessions. Versions are dates, so they compare as text.
fn is_without_sessions(headers: &HeaderMap) -> bool {
    let version = headers.get(PROTOCOL_VERSION);
    version.is_some_and(|version| version.as_bytes() >= FIRST_WITHOUT_SESSIONS)
}

/// Whether a version has the form of one. Which ones there are, only the server knows.
fn is_date(version: &HeaderValue) -> bool {
    let is_digit_or_hyphen = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    version.len() == 10 && version.as_bytes().iter().enumerate().all(is_digit_or_hyphen)
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION_ID)?.to_str().ok()
}

/// An id that cannot be guessed. The library signs it for its caller.
fn random_id() -> Option<String> {
    let mut random = [0; 16];
    aws_lc_rs::default_provider().secure_random.fill(&mut random).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(random)))
}

/// Reads the message of a request, on one line.
async fn read<B>(parts: &Parts, body: B) -> Result<BytesMut, Response<StdioBody>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let media_type = media_type.and_then(|it| it.split(';').next()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        let message = "a message is application/json\n";
        return Err(text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let body = pin!(Limited::new(body, MAX_LINE_BYTES));
    match timeout(BODY_TIMEOUT, body.collect()).await {
        Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the message did not come in time\n")),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(text(StatusCode::PAYLOAD_TOO_LARGE, "the message is too long\n"))
        }
        Ok(Err(_)) => Err(text(StatusCode::BAD_REQUEST, "the message broke off\n")),
        Ok(Ok(body)) => {
            let mut message = BytesMut::from(body.to_bytes());
            on_one_line(&mut message);
            Ok(message)
        }
    }
}
