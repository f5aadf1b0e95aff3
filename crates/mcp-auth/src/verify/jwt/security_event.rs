//! Security events: SETs and logout tokens, by which an issuer revokes its tokens.
//!
//! They are signed like access tokens, but are never accepted as one.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::model::denial::{Denial, DenialKind};
use crate::model::error_codes::{BadMessage, Reason};
use crate::model::revocation::Revocation;
use crate::policy::validity::{expired, has_begun, has_expired, not_begun};
use crate::util::json::{Object, Raw};
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::jws::Header;

/// The two kinds of security events. Each is received over its own transport, and validated by its own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecurityEventKind {
    /// [OpenID Connect Back-Channel Logout 1.0 §2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken).
    Logout,
    /// [RFC 8417](https://www.rfc-editor.org/rfc/rfc8417), as CAEP and RISC use it.
    Set,
}

/// A parsed security event. Nothing in it is verified yet.
pub(crate) struct SecurityEvent {
    pub(crate) issuer: String,
    audience: Vec<String>,
    issued_at: f64,
    expires_at: Option<f64>,
    /// What is to be revoked.
    pub(crate) revocations: Vec<Revocation>,
    /// Whether it contains a known event whose subject is missing or cannot be interpreted.
    pub(crate) has_unknown_subject: bool,
}

const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The events that revoke the tokens issued before them. All other events are ignored.
const REVOKING: [&str; 6] = [
    "https://schemas.openid.net/secevent/caep/event-type/credential-change",
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "https://schemas.openid.net/secevent/risc/event-type/account-purged",
    "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
];

impl SecurityEvent {
    pub(crate) fn parse<A>(
        kind: SecurityEventKind,
        header: &Header<A>,
        payload: &[u8],
    ) -> Result<Self, Denial> {
        if !is_typed(kind, header) {
            return Err(refuse(Reason::Type, "its `typ` is that of something else"));
        }
        let members = Object::read(payload)?;
        let claim = |name| members.get(name);
        let issuer = required(claim("iss").and_then(Raw::string), "iss")?;
        let audience = claim("aud")
            .and_then(|aud| aud.string().map(|one| vec![one]).or_else(|| aud.strings()));
        let audience = required(audience, "aud")?;
        required(claim("jti").and_then(Raw::string).filter(|jti| !jti.is_empty()), "jti")?;
        let issued_at = required(claim("iat").and_then(Raw::numeric_date), "iat")?;
        let expires_at = match claim("exp") {
            None if kind == SecurityEventKind::Set => None,
            exp => Some(required(exp.and_then(Raw::numeric_date), "exp")?),
        };
        let events = required(claim("events").and_then(|it| Object::of(it.get()).ok()), "events")?;

        let mut event = Self {
            issuer: issuer.into_owned(),
            audience: audience.into_iter().map(Cow::into_owned).collect(),
            issued_at,
            expires_at,
            revocations: Vec::new(),
            has_unknown_subject: false,
        };
        match kind {
            SecurityEventKind::Logout => event.read_logout(&members, &events)?,
            SecurityEventKind::Set => event.read_events(&members, &events)?,
        }
        Ok(event)
    }

    /// `iat`, in whole seconds since 1970.
    pub(crate) fn issued_at(&self) -> u64 {
        self.issued_at as u64
    }

    /// Checks the audience and the times.
    pub(crate) fn validate(
        &self,
        audiences: &[impl AsRef<str>],
        now: SystemTime,
        leeway: Duration,
    ) -> Result<(), Denial> {
        if !self.audience.iter().any(|one| audiences.iter().any(|ours| ours.as_ref() == one)) {
            return Err(refuse(Reason::Audience, "it is for another client or receiver (`aud`)"));
        }
        let (begin, now) = (self.issued_at.ceil() as u64, unix_secs(now));
        if !has_begun(begin, now, leeway) {
            return Err(not_begun(begin, now, leeway));
        }
        let end = self.expires_at.map(|end| end as u64);
        if let Some(end) = end.filter(|end| has_expired(*end, now, leeway)) {
            return Err(expired(end, now, leeway));
        }
        Ok(())
    }

    /// Reads a logout token (Back-Channel Logout 1.0 §2.6).
    fn read_logout(&mut self, members: &Object<'_>, events: &Object<'_>) -> Result<(), Denial> {
        if members.get("nonce").is_some() {
            return Err(refuse(Reason::Type, "it has a `nonce`, as ID tokens have"));
        }
        required(events.get(LOGOUT).filter(|event| Object::of(event.get()).is_ok()), "events")?;
        let text = |name| {
            let text = members.get(name).map(Raw::string);
            text.map(|it| required(it.filter(|it| !it.is_empty()), name)).transpose()
        };
        self.revoke(&revocations(&self.issuer, text("sub")?, text("sid")?), self.issued_at);
        if self.revocations.is_empty() {
            return Err(refuse(Reason::Claims, "it has neither `sub` nor `sid`"));
        }
        Ok(())
    }

    fn read_events(&mut self, members: &Object<'_>, events: &Object<'_>) -> Result<(), Denial> {
        let subject = members.get("sub_id");
        for (name, event) in events.iter() {
            let event = required(Object::of(event.get()).ok(), "events")?;
            let is_new_credential =
                event.get("change_type").and_then(Raw::string).is_some_and(|it| it == "create");
            if !REVOKING.contains(&name) || is_new_credential {
                continue;
            }
            // Drafts of CAEP had the subject in the event.
            let subject = subject.or_else(|| event.get("subject"));
            let (revocations, is_whole) =
                subject.map(|it| revocations_for_subject(it, &self.issuer)).unwrap_or_default();
            self.has_unknown_subject |= revocations.is_empty() || !is_whole;
            // Some senders use milliseconds, so `iat` is the upper limit.
            let at = event.get("event_timestamp").and_then(Raw::numeric_date);
            self.revoke(&revocations, at.map_or(self.issued_at, |at| at.min(self.issued_at)));
        }
        Ok(())
    }

    fn revoke(&mut self, revocations: &[Revocation], at: f64) {
        self.revocations.extend(revocations.iter().map(|one| one.clone().until(at as u64)));
    }
}

/// Returns the revocations for a user, a session, or a session of a user.
///
/// A session is revoked by its id. If its user is named too, tokens of this user that name no session are revoked as
/// well, because they may belong to the session.
fn revocations(
    issuer: &str,
    user: Option<Cow<'_, str>>,
    session: Option<Cow<'_, str>>,
) -> Vec<Revocation> {
    let of_user = match session {
        Some(_) => Revocation::subject_without_session,
        None => |issuer: &str, user: &str| Revocation::subject(issuer, user),
    };
    let user = user.map(|user| of_user(issuer, &user));
    session.map(|sid| Revocation::session(issuer, &*sid)).into_iter().chain(user).collect()
}

/// Returns the revocations for a subject identifier ([RFC 9493](https://www.rfc-editor.org/rfc/rfc9493)): `iss_sub`,
/// `opaque`, or a `complex` one made of these
/// ([SSF 1.0 §3](https://openid.net/specs/openid-sharedsignals-framework-1_0.html)). Also returns whether all of it
/// could be read. What cannot be read revokes nothing.
fn revocations_for_subject(identifier: Raw<'_>, issuer: &str) -> (Vec<Revocation>, bool) {
    let Ok(members) = Object::of(identifier.get()) else { return (Vec::new(), false) };
    let name = subject_name(&members, issuer);
    let part = |part| {
        let members = members.get(part).and_then(|part| Object::of(part.get()).ok())?;
        subject_name(&members, issuer)
    };
    let is_read = |name| members.get(name).is_none() || part(name).is_some();
    let is_whole = is_read("user") && is_read("session");
    let revocations = match members.get("format").and_then(Raw::string).as_deref() {
        // It may name a user or a session. Both are revoked: a user and a session never have the same name.
        Some("opaque") => {
            let session = revocations(issuer, None, name.clone());
            session.into_iter().chain(revocations(issuer, name, None)).collect()
        }
        Some("complex") => revocations(issuer, part("user"), part("session")),
        _ => revocations(issuer, name, None),
    };
    (revocations, is_whole)
}

/// The name in a simple identifier. An issuer can only name its own users.
fn subject_name<'c>(members: &Object<'c>, issuer: &str) -> Option<Cow<'c, str>> {
    let text = |name| members.get(name).and_then(Raw::string);
    let name = match &*text("format")? {
        "iss_sub" if text("iss").is_some_and(|it| it == issuer) => text("sub"),
        "opaque" => text("id"),
        _ => None,
    };
    name.filter(|name| !name.is_empty())
}

/// Checks `typ`. It is optional for a logout token, and required for a SET (SSF 1.0 §4.1.1).
fn is_typed<A>(kind: SecurityEventKind, header: &Header<A>) -> bool {
    let is = |name| header.is_typed(name);
    match kind {
        SecurityEventKind::Logout => header.typ().is_none() || is("logout+jwt") || is("jwt"),
        SecurityEventKind::Set => is("secevent+jwt"),
    }
}

/// The error that the sender of a refused security event receives: a code and a description as in
/// [RFC 8935 §2.4](https://www.rfc-editor.org/rfc/rfc8935#section-2.4). Nothing in it comes from the event.
pub(crate) fn set_error(denial: &Denial) -> (&'static str, &'static str) {
    match denial.kind() {
        DenialKind::BadMessage(BadMessage::TooLarge)
        | DenialKind::InvalidToken(Reason::Oversize) => ("invalid_request", "It is too large"),
        DenialKind::InvalidToken(Reason::Audience) => {
            ("invalid_audience", "The audience is not this receiver")
        }
        DenialKind::InvalidToken(Reason::Issuer) => {
            ("invalid_issuer", "The issuer is not trusted here")
        }
        DenialKind::InvalidToken(
            Reason::Algorithm | Reason::Key | Reason::Signature | Reason::UnknownKey,
        ) => ("invalid_key", "The signature cannot be verified"),
        _ => ("invalid_request", "It is not valid, or not at this time"),
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Denial> {
    value.ok_or_else(|| {
        Denial::invalid(Reason::Claims)
            .detail(format!("the claim `{name}` is missing or not of its type"))
    })
}

fn refuse(reason: Reason, why: &str) -> Denial {
    Denial::invalid(reason).detail(why)
}
