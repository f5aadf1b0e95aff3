//! What is found out about a request on its way, for its line in the audit log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_auth::{AuthInfo, Denial};
use serde_json::Value;

use crate::audit_line::{AuditCaller, AuditedDecision, cut};
use crate::because::Because;

/// What is found out about a request on its way. Clones share it. It is in the extensions of the request.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

#[derive(Default)]
pub(crate) struct Noted {
    pub(crate) request_id: String,
    pub(crate) decision: Option<AuditedDecision>,
    pub(crate) reason: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) upstream: Option<String>,
    pub(crate) upstream_status: Option<u16>,
    pub(crate) caller: Option<AuditCaller>,
}

impl Notes {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn request_id(&self) -> String {
        self.lock().request_id.clone()
    }

    /// The request was admitted.
    pub(crate) fn admitted(&self, claim: Option<&str>, caller: Option<&AuthInfo>) {
        let mut noted = self.lock();
        noted.caller = caller
            .map(|it| named(claim, it.subject(), it.issuer(), it.client_id(), it.claims_json()));
        noted.decision = Some(match caller {
            Some(_) => AuditedDecision::Admitted,
            None => AuditedDecision::Anonymous,
        });
    }

    /// The library refused the request.
    pub(crate) fn refused(&self, claim: Option<&str>, denial: &Denial) {
        let mut noted = self.lock();
        noted.decision = Some(AuditedDecision::Denied);
        noted.reason = Some(denial.code().to_owned());
        noted.detail = denial.operator_detail().map(cut);
        noted.caller = denial
            .verified_token()
            .map(|it| named(claim, it.subject(), it.issuer(), it.issued_to(), it.claims_json()));
    }

    /// The request is over a limit.
    pub(crate) fn limited(&self, by: &str) {
        let mut noted = self.lock();
        (noted.decision, noted.reason) = (Some(AuditedDecision::Limited), Some(by.to_owned()));
    }

    /// The gateway refused the request, not the library.
    pub(crate) fn denied(&self, because: Because) {
        let mut noted = self.lock();
        noted.decision = Some(AuditedDecision::Denied);
        (noted.reason, noted.detail) =
            (Some(because.code.to_owned()), Some(because.advice.to_owned()));
    }

    /// The request goes to this upstream.
    pub(crate) fn asks(&self, upstream: &str) {
        self.lock().upstream = Some(upstream.to_owned());
    }

    /// The upstream has answered.
    pub(crate) fn answered(&self, status: u16) {
        self.lock().upstream_status = Some(status);
    }
}

/// A caller, named by this claim: `sub` if there is none.
fn named(
    claim: Option<&str>,
    subject: &str,
    issuer: &str,
    client: Option<&str>,
    claims: &str,
) -> AuditCaller {
    let name = match claim {
        None | Some("sub") => Some(cut(subject)),
        Some(claim) => {
            let claims: BTreeMap<String, Value> = serde_json::from_str(claims).unwrap_or_default();
            match claims.get(claim) {
                Some(Value::String(text)) => Some(cut(text)),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            }
        }
    };
    AuditCaller { name, subject: cut(subject), issuer: cut(issuer), client: client.map(cut) }
}
