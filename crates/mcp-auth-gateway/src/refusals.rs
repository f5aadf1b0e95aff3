//! The last requests that were refused or failed, for the operator's page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use mcp_auth::{Denial, DenialKind};

use crate::audit_line::cut;
use crate::because::Because;

/// The most refusals that are kept of callers whose token was verified, and as many of all others: who has no token cannot
/// push out what the operator looks for. With the longest texts they take about 1 MiB.
const MAX_OF_ONE_KIND: usize = 50;

const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// One refusal, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The last one.
    pub(crate) time: SystemTime,
    pub(crate) number: u64,
    pub(crate) about: About,
}

/// What was refused, and why. Everything but `code` and `advice` may be written by a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) code: &'static str,
    pub(crate) status: u16,
    pub(crate) advice: Option<String>,
    /// The URL of the resource, if the request was for one.
    pub(crate) resource: Option<String>,
    /// HTTP method, MCP method and name, as far as they are in the head of the request.
    pub(crate) request: String,
    pub(crate) user_agent: Option<String>,
    /// If its token was verified.
    pub(crate) caller: Option<RefusedCaller>,
}

/// Who was refused. The issuer vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedCaller {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) client: Option<String>,
}

/// What the page says about a request. Cloned from its head without copying.
pub(crate) struct Asked {
    method: Method,
    mcp_method: Option<HeaderValue>,
    name: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

/// The last refusals. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    of_callers: VecDeque<Refusal>,
    of_others: VecDeque<Refusal>,
}

impl Asked {
    pub(crate) fn of(parts: &Parts) -> Self {
        let header = |headers: &HeaderMap, name: &HeaderName| headers.get(name).cloned();
        Self {
            method: parts.method.clone(),
            mcp_method: header(&parts.headers, &MCP_METHOD),
            name: header(&parts.headers, &MCP_NAME),
            user_agent: header(&parts.headers, &USER_AGENT),
        }
    }

    fn request(&self) -> String {
        let header = |value: &Option<HeaderValue>| {
            value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let all = [Some(self.method.to_string()), header(&self.mcp_method), header(&self.name)];
        cut(&all.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }

    fn user_agent(&self) -> Option<String> {
        Some(cut(&String::from_utf8_lossy(self.user_agent.as_ref()?.as_bytes())))
    }
}

impl Refusals {
    /// Keeps why a request was refused, if it was. A client without a token is not kept: each begins so.
    pub(crate) fn note<B>(&self, resource: Option<&str>, asked: &Asked, response: &Response<B>) {
        let (denial, because) =
            (response.extensions().get::<Denial>(), response.extensions().get::<Because>());
        if denial.is_some_and(|denial| *denial.kind() == DenialKind::NoCredentials) {
            return;
        }
        let (code, advice) = match (denial, because) {
            (Some(denial), _) => (denial.code(), denial.operator_detail().map(cut)),
            (None, Some(because)) => (because.code, Some(because.advice.to_owned())),
            (None, None) => return,
        };
        let caller = denial.and_then(Denial::verified_token).map(|token| RefusedCaller {
            subject: cut(token.subject()),
            issuer: cut(token.issuer()),
            client: token.issued_to().map(cut),
        });
        self.add(
            SystemTime::now(),
            About {
                code,
                status: response.status().as_u16(),
                advice,
                resource: resource.map(str::to_owned),
                request: asked.request(),
                user_agent: asked.user_agent(),
                caller,
            },
        );
    }

    fn add(&self, time: SystemTime, about: About) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { of_callers, of_others } = &mut *kept;
        let all = if about.caller.is_some() { of_callers } else { of_others };
        let known = all.iter().position(|refusal| refusal.about == about);
        let number = known.and_then(|index| all.remove(index)).map_or(0, |refusal| refusal.number);
        all.truncate(MAX_OF_ONE_KIND - 1);
        all.push_front(Refusal { time, number: number.saturating_add(1), about });
    }

    /// All that are kept, the last one first.
    pub(crate) fn all(&self) -> Vec<Refusal> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = kept.of_callers.iter().chain(&kept.of_others).cloned().collect();
        all.sort_by_key(|refusal| std::cmp::Reverse(refusal.time));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn about(code: &'static str, request: &str, subject: Option<&str>) -> About {
        let caller = subject.map(|subject| RefusedCaller {
            subject: subject.into(),
            issuer: "https://login.example.com".into(),
            client: None,
        });
        About { code, request: request.into(), caller, ..About::default() }
    }

    #[test]
    fn refusals_that_are_alike_share_a_line() {
        let refusals = Refusals::default();
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        refusals.add(at(1), about("expired", "POST", None));
        refusals.add(at(2), about("insufficient_scope", "POST", Some("alice")));
        refusals.add(at(3), about("expired", "POST", None));
        let found: Vec<_> =
            refusals.all().iter().map(|it| (it.about.code, it.number, it.time)).collect();
        assert_eq!(found, [("expired", 2, at(3)), ("insufficient_scope", 1, at(2))]);
    }

    #[test]
    fn who_has_no_token_pushes_out_nothing_about_those_who_have() {
        let refusals = Refusals::default();
        refusals.add(SystemTime::UNIX_EPOCH, about("insufficient_scope", "POST", Some("alice")));
        for number in 0..1000 {
            let request = format!("POST {number}");
            refusals.add(SystemTime::now(), about("malformed", &request, None));
        }
        let all = refusals.all();
        assert_eq!(all.len(), MAX_OF_ONE_KIND + 1);
        assert!(all.iter().any(|refusal| refusal.about.code == "insufficient_scope"));
        assert_eq!(all.first().map(|it| it.about.request.as_str()), Some("POST 999"));
    }
}
