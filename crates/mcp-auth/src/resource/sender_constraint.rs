//! Sender-constrained tokens: checks that the sender holds its token's key (DPoP) or certificate (mTLS).

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use http::request::Parts;

use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::scheme::Scheme;
use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::net::replay_store::{ReplayStore, check_not_replayed};
use crate::policy::authorization::CheckedToken;
use crate::policy::challenge::Challenge;
use crate::util::unix_time::unix_secs;
use crate::verify::dpop::{DpopVerifier, NewProof};
use crate::verify::mtls::CertificateVerifier;

/// Checks that the senders of sender-constrained tokens are their owners.
pub(super) struct SenderConstraint {
    /// Whether challenges offer DPoP.
    pub(super) is_offered: bool,
    /// Whether DPoP is required.
    pub(super) is_required: bool,
    /// The signature algorithms of proofs, as challenges list them.
    pub(super) algorithms: String,
    pub(super) proofs: DpopVerifier,
    /// The proofs that other processes have accepted.
    pub(super) replay_store: Option<Arc<dyn ReplayStore>>,
    pub(super) certificates: CertificateVerifier,
}

impl SenderConstraint {
    /// Checks that the sender is the owner of the token. Whoever has a token that is not bound may use it.
    ///
    /// The token is checked before, so that a token for another resource costs no signature verification and
    /// takes no place in the replay cache. Returns a proof that other processes must not have accepted:
    /// [`check_elsewhere`](Self::check_elsewhere).
    pub(super) fn verify(
        &self,
        token: &CheckedToken,
        credentials: &Credentials,
        parts: &Parts,
        now: SystemTime,
    ) -> Result<Option<NewProof>, Denial> {
        let Some(confirmation) = token.data().confirmation.as_deref() else {
            let is_plain = credentials.scheme() == Scheme::Bearer;
            let may_be_plain = !self.is_required && !self.certificates.is_required;
            return if is_plain && may_be_plain { Ok(None) } else { not_sender_constrained() };
        };
        if let Some(why) = confirmation.uncheckable() {
            return Err(Denial::invalid(Reason::Binding).detail(why));
        }
        match confirmation.x5t_s256_bytes() {
            Some(thumbprint) => self.certificates.verify(thumbprint, parts)?,
            None if self.certificates.is_required => return not_sender_constrained(),
            None => {}
        }
        match (confirmation.jkt_bytes(), credentials.scheme()) {
            (Some(key), Scheme::Dpop) => {
                let is_shared = self.replay_store.is_some();
                self.proofs.verify(token, credentials, key, parts, now, is_shared)
            }
            // RFC 9449 §7.2: otherwise a stolen token could be used by changing the scheme.
            (Some(_), Scheme::Bearer) => Err(Denial::invalid(Reason::Binding)),
            (None, Scheme::Dpop) => not_sender_constrained(),
            (None, Scheme::Bearer) if self.is_required => not_sender_constrained(),
            (None, Scheme::Bearer) => Ok(None),
        }
    }

    /// Refuses a proof that another process has accepted.
    pub(super) fn check_elsewhere(
        &self,
        proof: NewProof,
        now: SystemTime,
    ) -> BoxFuture<'static, Result<(), Denial>> {
        match self.replay_store.clone() {
            Some(store) => Box::pin(check_not_replayed(store, proof, unix_secs(now))),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    /// The challenge, with the schemes that are offered
    /// ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
    pub(super) fn challenge(&self, challenge: Challenge, denial: &Denial) -> Challenge {
        let algorithms = || Some(self.algorithms.clone());
        let is_login = denial.status() == http::StatusCode::UNAUTHORIZED;
        match denial.scheme() {
            _ if self.is_required => challenge.dpop_only(algorithms()),
            Scheme::Dpop if is_login => challenge.with_error_in_dpop(algorithms()),
            Scheme::Dpop => challenge.dpop_only(algorithms()),
            Scheme::Bearer if self.is_offered && is_login => {
                challenge.with_dpop_alternative(algorithms())
            }
            Scheme::Bearer => challenge,
        }
    }

    /// The nonce for the next DPoP proof of a client. Returns `None` if nonces are not required.
    pub(super) fn nonce(&self, clock: &dyn Clock) -> Option<HeaderValue> {
        self.proofs.nonce(clock.now())
    }
}

fn not_sender_constrained() -> Result<Option<NewProof>, Denial> {
    Err(Denial::invalid(Reason::NotSenderConstrained))
}
