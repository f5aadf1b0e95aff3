//! Questions to one server: remembered, shared by all who wait for the same, and never too many.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::issuer::introspection::pause::{self, Pause};
use crate::issuer::introspection::server::{Concerns, Failure, Server};
use crate::issuer::introspection::settings::Introspection;
use crate::issuer::token_cache::{Memory, Weigh};
use crate::model::denial::Denial;
use crate::model::provider::Shape;
use crate::model::verified_token::VerifiedToken;
use crate::net::metrics;
use crate::util::unix_time::seconds;
use crate::verify::jwt::{self, Fingerprint, Fingerprints};

/// How many refusals are remembered. They are small, and there is no harm in forgetting one.
const REMEMBERED_REFUSALS: usize = 1_000;

/// What a question comes to, for all who wait for it.
type Outcome = Result<VerifiedToken, Denial>;

/// What there is when somebody wishes to ask.
enum Asked {
    Known(Outcome),
    UnderWay(watch::Receiver<Option<Outcome>>),
}

/// Asks one server about its tokens. Clones are the same.
#[derive(Clone)]
pub(crate) struct Introspector(Arc<Shared>);

struct Shared {
    settings: Introspection,
    server: Server,
    /// By which tokens are known here; nothing if the system has no randomness.
    fingerprints: Option<Arc<Fingerprints>>,
    active: Memory<Answered>,
    /// Apart, so that whoever can send anything cannot push out what is good.
    refused: Memory<Denial>,
    questions: Mutex<Questions>,
}

/// A good token, as its issuer answered about it.
#[derive(Clone)]
pub(crate) struct Answered {
    pub(crate) token: VerifiedToken,
    /// Whether it has the form of a JWT.
    pub(crate) is_compact: bool,
}

#[derive(Default)]
struct Questions {
    under_way: HashMap<Fingerprint, watch::Receiver<Option<Outcome>>>,
    pause: Pause,
    /// For tokens that were not good before.
    pause_for_unknown: Pause,
}

impl Introspector {
    pub(crate) fn new(settings: Introspection, server: Server) -> Self {
        let active = Memory::new(settings.cached_tokens, settings.cache_for);
        // A question that failed is remembered too, for the first pause.
        let longest = settings.negative_cache_for.max(pause::FIRST);
        let refused = Memory::new(REMEMBERED_REFUSALS, longest);
        let (fingerprints, questions) = (Fingerprints::random().map(Arc::new), Mutex::default());
        Self(Arc::new(Shared { settings, server, fingerprints, active, refused, questions }))
    }

    /// What takes the fingerprints of tokens in a resource that asks it first. Resources share what it answered
    /// if it is the first that each of them asks: there is but one fingerprint of a token.
    pub(crate) fn fingerprints(&self) -> Option<Arc<Fingerprints>> {
        self.0.fingerprints.clone()
    }

    /// Whether the issuer's JWTs are asked about too.
    pub(crate) fn asks_about_jwts(&self) -> bool {
        self.0.settings.asks_about_jwts
    }

    /// What a token shows of whether it is this server's.
    pub(crate) fn shape_of(&self, token: &str) -> Shape {
        self.0.settings.api.map_or(Shape::Possible, |api| api.shape_of(token))
    }

    /// What to say of a token that cannot be this server's.
    pub(crate) fn about_shape(&self) -> Option<&'static str> {
        self.0.settings.api.map(|api| api.about_shape)
    }

    /// Whether it is known where to ask.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.server.endpoint_in_hand(&self.0.settings).is_some()
    }

    /// What is remembered of a good token.
    pub(crate) fn recall(&self, fingerprint: &Fingerprint, now: SystemTime) -> Option<Answered> {
        self.0.active.recall(fingerprint, now)
    }

    /// What the server says of a token, now or a moment ago.
    pub(crate) async fn verify(
        &self,
        token: &str,
        fingerprint: Fingerprint,
        now: SystemTime,
    ) -> Outcome {
        if let Some(known) = self.0.remembered(&fingerprint, now) {
            return known;
        }
        let mut question = match self.0.ask(token, fingerprint, now) {
            Asked::Known(outcome) => return outcome,
            Asked::UnderWay(question) => question,
        };
        let answered = question.wait_for(Option::is_some).await;
        let outcome = answered.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(self.0.unavailable(pause::FIRST, "the question broke off")))
    }
}

impl Shared {
    fn remembered(&self, fingerprint: &Fingerprint, now: SystemTime) -> Option<Outcome> {
        let active = self.active.recall(fingerprint, now).map(|known| Ok(known.token));
        active.or_else(|| self.refused.recall(fingerprint, now).map(Err))
    }

    /// Joins the question under way, or asks it, if there are not too many already.
    fn ask(self: &Arc<Self>, token: &str, fingerprint: Fingerprint, now: SystemTime) -> Asked {
        let refuse = |retry_after, why| Asked::Known(Err(self.unavailable(retry_after, why)));
        let mut questions = self.questions();
        if let Some(question) = questions.under_way.get(&fingerprint) {
            return Asked::UnderWay(question.clone());
        }
        // It may have been answered since the caller looked; answers are entered under this lock.
        if let Some(known) = self.remembered(&fingerprint, now) {
            return Asked::Known(known);
        }
        let is_known = self.active.has_known(&fingerprint);
        if let Some(left) = questions.pause_left(is_known, now) {
            return refuse(left, "it is out of reach, and is asked again after a pause");
        }
        if questions.under_way.len() >= self.most_under_way(is_known) {
            drop(questions);
            metrics::introspection(self.server.issuer(), "crowded");
            return refuse(
                pause::FIRST,
                "too many questions are under way: it is slow, or a stranger sends invented tokens",
            );
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return refuse(pause::FIRST, "there is no tokio runtime to ask it from");
        };
        let (answer, question) = watch::channel(None);
        questions.under_way.insert(fingerprint, question.clone());
        let asked = Question {
            shared: self.clone(),
            fingerprint,
            is_compact: jwt::is_compact(token),
            is_known,
            asked: now,
            answer,
            outcome: None,
        };
        drop(questions); // a runtime that shuts down drops the question at once, which enters its end
        runtime.spawn(asked.ask(token.to_owned()));
        Asked::UnderWay(question)
    }

    /// A quarter is kept for tokens that were good before, so that strangers cannot have all.
    fn most_under_way(&self, is_known: bool) -> usize {
        let most = self.settings.max_in_flight;
        if is_known { most } else { most - most / 4 }
    }

    fn unavailable(&self, retry_after: Duration, why: &str) -> Denial {
        Denial::unavailable(retry_after).detail(format!(
            "the introspection endpoint of {:?} cannot be asked: {why}",
            self.server.issuer(),
        ))
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what a question has come to, for those who come later.
    fn enter(&self, question: &Question, answer: Result<Outcome, Failure>) -> Outcome {
        let (fingerprint, now) = (question.fingerprint, self.server.now());
        let mut questions = self.questions();
        let (outcome, word, is_news) = match answer {
            Ok(Ok(token)) => {
                questions.answered();
                let token = token.asked_about();
                let end = token.facts().expires_at.map(NonZeroU64::get);
                let answered = Answered { token: token.clone(), is_compact: question.is_compact };
                self.active.keep(fingerprint, answered, now, end);
                (Ok(token), "active", false)
            }
            Ok(Err(denial)) => {
                questions.answered();
                self.active.forget(&fingerprint);
                self.refuse(&fingerprint, &denial, self.settings.negative_cache_for, now);
                (Err(denial), "refused", false)
            }
            Err(failure) => {
                match failure.concerns(self.settings.api, question.is_known) {
                    Concerns::Everybody => questions.pause.failed(question.asked, now),
                    Concerns::Unknown => questions.pause_for_unknown.failed(question.asked, now),
                    Concerns::One => {}
                }
                let left = questions.pause_left(question.is_known, now).unwrap_or(pause::FIRST);
                let denial = failure.into_denial(self.server.issuer(), self.settings.api, left);
                self.refuse(&fingerprint, &denial, pause::FIRST, now);
                (Err(denial), "failed", questions.pause.is_news(now))
            }
        };
        questions.under_way.remove(&fingerprint);
        drop(questions);
        metrics::introspection(self.server.issuer(), word);
        if let (Err(denial), true) = (&outcome, is_news) {
            self.tell(denial);
        }
        outcome
    }

    fn refuse(&self, fingerprint: &Fingerprint, denial: &Denial, time: Duration, now: SystemTime) {
        let end = now.checked_add(time).map(seconds);
        self.refused.keep(*fingerprint, denial.clone(), now, end);
    }

    fn tell(&self, denial: &Denial) {
        let (issuer, error) = (self.server.issuer(), std::error::Error::source(denial));
        let detail = denial.operator_detail().unwrap_or_default();
        tracing::warn!(target: "mcp_auth", issuer, error, "{detail}");
    }
}

impl Questions {
    /// How long there is to wait, with a token that was good before, or not.
    fn pause_left(&self, is_known: bool, now: SystemTime) -> Option<Duration> {
        let for_unknown = self.pause_for_unknown.left(now).filter(|_| !is_known);
        self.pause.left(now).max(for_unknown)
    }

    fn answered(&mut self) {
        self.pause.answered();
        self.pause_for_unknown.answered();
    }
}

/// One question. What it comes to is entered when it is dropped, so that even a panic ends it.
struct Question {
    shared: Arc<Shared>,
    fingerprint: Fingerprint,
    is_compact: bool,
    /// Whether the token was good before.
    is_known: bool,
    asked: SystemTime,
    answer: watch::Sender<Option<Outcome>>,
    outcome: Option<Result<Outcome, Failure>>,
}

impl Question {
    async fn ask(mut self, token: String) {
        let shared = self.shared.clone();
        self.outcome = Some(shared.server.ask(&shared.settings, &token).await);
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let answer = self.outcome.take().unwrap_or(Err(Failure::BrokenOff));
        let outcome = self.shared.enter(self, answer);
        self.answer.send_replace(Some(outcome));
    }
}

impl Weigh for Answered {
    fn weight(&self) -> u64 {
        self.token.weight()
    }
}

impl Weigh for Denial {
    fn weight(&self) -> u64 {
        1
    }
}
