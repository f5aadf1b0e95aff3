//! The application's own verifier: with a time limit, and with a 503 instead of a panic.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::{Denial, DenialKind};
use crate::model::verified_token::VerifiedToken;
use crate::net::backoff::FIRST_DELAY;
use crate::net::box_future::BoxFuture;
use crate::net::catch_panic::catch_panic;

/// How long it may take unless set, like introspection and resolvers of issuers: users do not wait longer for a tool,
/// and a database or an endpoint that is slower than this is in trouble.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct CustomVerifier {
    verifier: Box<dyn Verifier>,
    /// The path of its type, for the log.
    name: &'static str,
    timeout: Duration,
}

impl CustomVerifier {
    pub(crate) fn new<V: Verifier>(verifier: V) -> Self {
        let name = std::any::type_name::<V>();
        Self { verifier: Box::new(verifier), name, timeout: DEFAULT_TIMEOUT }
    }

    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn verify_in_time(&self, credentials: &Credentials) -> Result<VerifiedToken, Denial> {
        let mut answer = pin!(catch_panic(|| self.verifier.verify(credentials)));
        let at_once = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        let answer = match at_once {
            Poll::Ready(answer) => answer,
            Poll::Pending if Handle::try_current().is_err() => answer.await,
            Poll::Pending => timeout(self.timeout, answer).await.map_err(|_| {
                self.unavailable(&format!(
                    "did not answer within {:?}: see what it waits for; `.verifier_timeout(..)` gives it more time",
                    self.timeout,
                ))
            })?,
        };
        match answer {
            Ok(verified) => verified.map_err(|denial| self.explain(denial)),
            Err(_) => Err(self.unavailable("panicked: correct it; the process has printed why")),
        }
    }

    fn unavailable(&self, what: &str) -> Denial {
        Denial::unavailable(FIRST_DELAY)
            .detail(format!("the verifier `{}` given to `.verifier(..)` {what}", self.name))
    }

    /// Adds which verifier is unavailable, if it does not say anything itself.
    fn explain(&self, denial: Denial) -> Denial {
        match denial.kind() {
            DenialKind::Unavailable { .. } if denial.operator_detail().is_none() => {
                denial.detail(format!(
                    "the verifier `{}` given to `.verifier(..)` answered so: let it say why, with `.detail(..)` or `.caused_by(..)`",
                    self.name,
                ))
            }
            _ => denial,
        }
    }
}

impl Verifier for CustomVerifier {
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        Box::pin(self.verify_in_time(credentials))
    }
}
