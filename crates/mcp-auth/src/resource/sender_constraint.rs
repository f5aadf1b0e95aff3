//! Is the sender of a sender-constrained token its owner? DPoP and mTLS.

use std::time::SystemTime;

use http::HeaderValue;
use http::request::Parts;

use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::scheme::Scheme;
use crate::net::clock::Clock;
use crate::policy::authorization::CheckedToken;
use crate::policy::challenge::Challenge;
use crate::verify::dpop::DpopVerifier;
use crate::verify::mtls::CertificateVerifier;

/// Judges whether senders are the owners of their tokens.
pub(super) struct SenderConstraint {
    /// Whether clients are told of DPoP.
    pub(super) is_offered: bool,
    /// Whether nothing but DPoP will do.
    pub(super) is_required: bool,
    /// The algorithms of proofs, as challenges name them.
    pub(super) algorithms: String,
    pub(super) proofs: DpopVerifier,
    pub(super) certificates: CertificateVerifier,
}

impl SenderConstraint {
    /// Whether the sender is the owner: a token that is not bound belongs to whoever has it. It is accepted before, so
    /// that one for somebody else costs no signature, and takes no place in the memory of proofs.
    pub(super) fn verify(
        &self,
        token: &CheckedToken,
        credentials: &Credentials,
        parts: &Parts,
        now: SystemTime,
    ) -> Result<(), Denial> {
        let Some(binding) = token.data().binding.as_deref() else {
            let is_plain = credentials.scheme() == Scheme::Bearer;
            let may_be_plain = !self.is_required && !self.certificates.is_required;
            return if is_plain && may_be_plain { Ok(()) } else { unbound() };
        };
        if !binding.is_understood() {
            return Err(Denial::invalid(Reason::Binding));
        }
        match binding.certificate_thumbprint() {
            Some(thumbprint) => self.certificates.verify(thumbprint, parts)?,
            None if self.certificates.is_required => return unbound(),
            None => {}
        }
        match (binding.key_thumbprint(), credentials.scheme()) {
            (Some(key), Scheme::Dpop) => self.proofs.verify(token, credentials, key, parts, now),
            // RFC 9449 §7.2: else a thief would only have to change the scheme.
            (Some(_), Scheme::Bearer) => Err(Denial::invalid(Reason::Binding)),
            (None, Scheme::Dpop) => unbound(),
            (None, Scheme::Bearer) if self.is_required => unbound(),
            (None, Scheme::Bearer) => Ok(()),
        }
    }

    /// The challenge in the schemes that are offered
    /// ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
    pub(super) fn challenge(&self, challenge: Challenge, denial: &Denial) -> Challenge {
        let algorithms = || Some(self.algorithms.clone());
        let is_login = denial.status() == http::StatusCode::UNAUTHORIZED;
        match denial.scheme() {
            _ if self.is_required => challenge.by_dpop(algorithms()),
            Scheme::Dpop if is_login => challenge.by_bearer_or_dpop(algorithms()),
            Scheme::Dpop => challenge.by_dpop(algorithms()),
            Scheme::Bearer if self.is_offered && is_login => challenge.or_dpop(algorithms()),
            Scheme::Bearer => challenge,
        }
    }

    /// The nonce for the next proof of a client that speaks DPoP.
    pub(super) fn nonce(&self, clock: &dyn Clock) -> Option<HeaderValue> {
        self.proofs.nonce(clock.now())
    }
}

fn unbound() -> Result<(), Denial> {
    Err(Denial::invalid(Reason::NotSenderConstrained))
}
