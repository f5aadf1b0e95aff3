//! The MCP servers of one resource: which of them gets a request.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::header::{Entry, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use mcp_auth_config::Strings;

use crate::audit_notes::Notes;
use crate::budget::RequestBody;
use crate::lent::{Lender, Lent};
use crate::upstream::Upstream;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// How long an upstream that cannot be reached gets no requests. A server restarts in about that time.
const EJECTION: Duration = Duration::from_secs(10);

/// The upstreams of one resource.
#[derive(Debug)]
pub(crate) struct Upstreams {
    all: Vec<Member>,
    /// Whether there may be several, now or after a change of the file: then session ids name them.
    is_list: bool,
    next: AtomicUsize,
    start: Instant,
}

#[derive(Debug)]
struct Member {
    upstream: Upstream,
    /// Names it in session ids, so that no replica must remember who made a session.
    tag: String,
    /// When it gets requests again, in milliseconds since `start`.
    ejected_until: AtomicU64,
}

/// What became of a request.
pub(crate) enum Sent {
    Answered {
        response: Response<Incoming>,
        upstream: Authority,
    },
    /// No upstream knows its session.
    NoSession,
    Failed {
        upstream: Authority,
        error: Error,
    },
}

impl Upstreams {
    /// Parses the URLs of upstreams.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(crate) fn new(upstream: &Strings) -> Result<Self, String> {
        let (urls, is_list) = (upstream.to_vec(), matches!(upstream, Strings::Many(_)));
        let mut all: Vec<Member> = Vec::new();
        for url in &urls {
            let tag = tag_of(url);
            if all.iter().any(|member| member.tag == tag) {
                return Err(format!("`upstream` has {url:?} twice"));
            }
            let ejected_until = AtomicU64::new(0);
            all.push(Member { upstream: Upstream::new(url)?, tag, ejected_until });
        }
        if all.is_empty() {
            return Err("`upstream` is an empty list: set it to the URL of your MCP server".into());
        }
        Ok(Self { all, is_list, next: AtomicUsize::new(0), start: Instant::now() })
    }

    /// All of them, and whether each gets requests.
    pub(crate) fn states(&self) -> impl Iterator<Item = (Authority, bool)> {
        let now = self.now();
        self.all.iter().map(move |member| (member.upstream.authority(), member.is_in(now)))
    }

    /// Passes a request on: to the upstream that made its session, or to the next one.
    ///
    /// An upstream that cannot be reached gets no requests for a while, and the request goes to another one, unless some of it
    /// was sent, or it belongs to a session.
    pub(crate) async fn send(
        &self,
        mut request: Request<RequestBody>,
        notes: Option<&Notes>,
    ) -> Sent {
        let ask = |member: &Member| {
            notes.iter().for_each(|notes| notes.asks(member.upstream.authority().as_str()));
        };
        if let [only] = &*self.all
            && !self.is_list
        {
            ask(only);
            return match only.upstream.send(request.map(Lent::Whole)).await {
                Ok(response) => only.answered(response),
                Err(error) => only.failed(error),
            };
        }
        if request.headers().contains_key(SESSION_ID) {
            let found = self.of_session(request.headers_mut());
            let Some(member) = found.filter(|member| member.is_in(self.now())) else {
                return Sent::NoSession;
            };
            ask(member);
            return match member.upstream.send(request.map(Lent::Whole)).await {
                Ok(response) => member.answered(member.name_session(response)),
                Err(error) => {
                    self.eject_if_gone(member, &error);
                    member.failed(error)
                }
            };
        }
        let (parts, body) = request.into_parts();
        let lender = Lender::new(body);
        let mut tried = Vec::new();
        loop {
            let index = self.choose(&tried);
            let Some((index, member)) = index.and_then(|i| Some((i, self.all.get(i)?))) else {
                return Sent::NoSession; // there is always one that was not tried
            };
            tried.push(index);
            ask(member);
            let mut request = Request::new(lender.lend());
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = parts.uri.clone();
            *request.headers_mut() = parts.headers.clone();
            let error = match member.upstream.send(request).await {
                Ok(response) => return member.answered(member.name_session(response)),
                Err(error) => error,
            };
            self.eject_if_gone(member, &error);
            let may_retry = error.is_connect() && !lender.is_used();
            if !may_retry || tried.len() == self.all.len() {
                return member.failed(error);
            }
        }
    }

    /// The next one that has not been tried: of those that are not ejected, if there is one.
    fn choose(&self, tried: &[usize]) -> Option<usize> {
        let (now, first) = (self.now(), self.next.fetch_add(1, Ordering::Relaxed));
        let length = self.all.len();
        let in_turn = || (0..length).map(|i| first.wrapping_add(i) % length);
        let mut left = in_turn().filter(|index| !tried.contains(index));
        let is_in = |index: &usize| self.all.get(*index).is_some_and(|it| it.is_in(now));
        let best = in_turn().filter(|index| !tried.contains(index)).find(is_in);
        best.or_else(|| left.next())
    }

    /// The upstream that made the session of a request, which gets its own id of it.
    fn of_session(&self, headers: &mut HeaderMap) -> Option<&Member> {
        let value = headers.get(SESSION_ID)?.as_bytes();
        let dot = value.iter().position(|byte| *byte == b'.')?;
        let (tag, id) = (value.get(..dot)?, value.get(dot + 1..)?);
        let member = self.all.iter().find(|member| member.tag.as_bytes() == tag)?;
        let id = HeaderValue::from_bytes(id).ok()?;
        headers.insert(SESSION_ID, id);
        Some(member)
    }

    fn eject_if_gone(&self, member: &Member, error: &Error) {
        if error.is_connect() && is_of_peer(error) {
            let until = self.now().saturating_add(millis(EJECTION));
            member.ejected_until.store(until, Ordering::Relaxed);
            tracing::warn!(target: "mcp_auth", upstream = %member.upstream.authority(), for_seconds = EJECTION.as_secs(), "an upstream cannot be reached, and gets no requests for a while");
        }
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

impl Member {
    fn is_in(&self, now: u64) -> bool {
        self.ejected_until.load(Ordering::Relaxed) <= now
    }

    /// Puts the name of this upstream into the session ids that it issues.
    fn name_session(&self, mut response: Response<Incoming>) -> Response<Incoming> {
        if let Entry::Occupied(mut ids) = response.headers_mut().entry(SESSION_ID) {
            for id in ids.iter_mut() {
                let named = [self.tag.as_bytes(), b".", id.as_bytes()].concat();
                *id = HeaderValue::from_bytes(&named).unwrap_or_else(|_| id.clone());
            }
        }
        response
    }

    fn answered(&self, response: Response<Incoming>) -> Sent {
        Sent::Answered { response, upstream: self.upstream.authority() }
    }

    fn failed(&self, error: Error) -> Sent {
        Sent::Failed { upstream: self.upstream.authority(), error }
    }
}

/// Whether the other side was not there. It is not to blame if this process has no more files or ports.
fn is_of_peer(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind as Kind;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                Kind::ConnectionRefused
                    | Kind::ConnectionReset
                    | Kind::HostUnreachable
                    | Kind::NetworkUnreachable
                    | Kind::NetworkDown
                    | Kind::TimedOut
            );
        }
        next = cause.source();
    }
    false
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A short name of a URL that every replica finds (FNV-1a, 64 bits). It is no secret.
fn tag_of(url: &str) -> String {
    let hash = url.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Upstreams {
        let urls = ["http://a.internal/mcp", "http://b.internal/mcp"].map(str::to_owned);
        Upstreams::new(&Strings::Many(urls.into())).expect("upstreams")
    }

    #[test]
    fn upstreams_take_turns_unless_they_are_ejected() {
        let upstreams = two();
        let turns = |number| (0..number).filter_map(|_| upstreams.choose(&[])).collect::<Vec<_>>();
        assert_eq!(turns(4), [0, 1, 0, 1]);
        upstreams.all[0].ejected_until.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(turns(3), [1, 1, 1]);
        assert_eq!(upstreams.choose(&[1]), Some(0), "an ejected one is better than none");
        assert_eq!(upstreams.choose(&[0, 1]), None);
    }

    #[test]
    fn a_session_names_its_upstream() {
        let upstreams = two();
        let tag = tag_of("http://b.internal/mcp");
        for (value, expected) in [
            (format!("{tag}.s.1"), Some("s.1")),
            (format!("{tag}."), Some("")),
            ("2f1ee1a4-0f3a-4d42-9d5c-000000000000".into(), None),
            (format!("{}.s", tag_of("http://gone.internal/mcp")), None),
            (format!("x.{tag}.s"), None),
            (String::new(), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(SESSION_ID, value.parse().expect("a value"));
            let member = upstreams.of_session(&mut headers);
            let id = member.map(|member| {
                assert_eq!(member.tag, tag);
                headers[SESSION_ID].to_str().expect("ASCII").to_owned()
            });
            assert_eq!(id.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn upstreams_differ() {
        for (urls, expected) in [
            (vec![], "is an empty list"),
            (vec!["http://a/", "http://a/"], "twice"),
            (vec!["http://a/", "b"], "is not an http or https URL"),
        ] {
            let urls: Vec<_> = urls.into_iter().map(str::to_owned).collect();
            let error = Upstreams::new(&Strings::Many(urls)).expect_err("an error");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn only_the_other_side_is_ejected() {
        use std::io::{Error, ErrorKind};
        for (error, expected) in [
            (Error::from(ErrorKind::ConnectionRefused), true),
            (Error::from(ErrorKind::HostUnreachable), true),
            (Error::from(ErrorKind::TimedOut), true),
            (Error::from(ErrorKind::AddrNotAvailable), false),
            (Error::from(ErrorKind::OutOfMemory), false),
            (Error::from(ErrorKind::InvalidData), false),
            #[cfg(unix)]
            (Error::from_raw_os_error(24), false), // too many open files
        ] {
            assert_eq!(is_of_peer(&error), expected, "{error}");
        }
    }
}
