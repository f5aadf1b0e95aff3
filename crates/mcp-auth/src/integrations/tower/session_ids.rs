//! Session ids and event ids in headers: signed in responses, verified in requests.

use http::header::{Entry, HeaderMap, HeaderName, HeaderValue};

use crate::model::session_owner::SessionOwner;
use crate::resource::claimed_sessions::ClaimedSessions;
use crate::verify::id_signer::{IdSigner, Purpose};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Replaces an id that is not a valid header value. None of our own ids needs this.
const NO_ID: HeaderValue = HeaderValue::from_static("00000000-0000-4000-8000-000000000000");

/// Whether a header contains a signed id.
pub(super) fn is_id(name: &HeaderName) -> bool {
    *name == SESSION_ID || *name == LAST_EVENT_ID
}

/// The session that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// It names none.
    None,
    /// The caller began it.
    Own,
    /// An anonymous caller began the one with this id of the inner server, and this caller may use it.
    BegunAnonymously(Box<[u8]>),
    /// It was not issued to this caller, or belongs to another by now.
    Unknown,
}

/// Replaces the session id of a request by the one that the inner server issued to this caller. With `claimed`, it may
/// also be one that it issued to an anonymous caller, and that no other caller has gone on with.
///
/// Anything else, including several ids, becomes one id that the inner server never issued. The server
/// therefore answers as it answers an unknown session, and the header contains no byte that an attacker chose.
pub(super) fn verify_session_id(
    id_signer: &IdSigner,
    claimed: Option<&ClaimedSessions>,
    owner: &SessionOwner,
    headers: &mut HeaderMap,
) -> Session {
    let presented = || headers.get_all(SESSION_ID).iter().map(HeaderValue::as_bytes);
    if presented().next().is_none() {
        return Session::None;
    }
    let verified = only(presented()).and_then(|signed| {
        let id = id_signer.verify(Purpose::Session, owner, signed);
        let Some(claimed) = claimed else { return id.map(|id| (id, Session::Own)) };
        if let Some(id) = id.filter(|_| !owner.is_anonymous()) {
            return Some((id, Session::Own));
        }
        let anonymous = SessionOwner::of(None);
        let id = id_signer.verify(Purpose::Session, &anonymous, signed)?;
        claimed.admit(id, owner).then(|| (id, Session::BegunAnonymously(id.into())))
    });
    let verified = verified.and_then(|(id, of)| Some((HeaderValue::from_bytes(id).ok()?, of)));
    let all = || presented().collect::<Vec<_>>().join(&b", "[..]);
    let decoy_id = || id_signer.decoy_id(owner, &all()).try_into().unwrap_or(NO_ID);
    let (id, session) = verified.unwrap_or_else(|| (decoy_id(), Session::Unknown));
    headers.insert(SESSION_ID, id);
    session
}

/// Replaces the event id of a request by the one that the inner server sent to this caller, or in this session that
/// began anonymously.
///
/// An id that is not the caller's is removed, so that the caller gets a new stream. Returns `false` if the id
/// was removed.
pub(super) fn verify_last_event_id(
    id_signer: &IdSigner,
    session: &Session,
    owner: &SessionOwner,
    headers: &mut HeaderMap,
) -> bool {
    let presented = || headers.get_all(LAST_EVENT_ID).iter().map(HeaderValue::as_bytes);
    if presented().next().is_none() {
        return true;
    }
    let verified = only(presented()).and_then(|signed| {
        let verify = |owner: &SessionOwner| id_signer.verify(Purpose::Event, owner, signed);
        match session {
            Session::BegunAnonymously(id) => {
                let of_session = verify(&SessionOwner::anonymous_in(id));
                of_session.or_else(|| verify(owner).filter(|_| !owner.is_anonymous()))
            }
            _ => verify(owner),
        }
    });
    match verified.and_then(|id| HeaderValue::from_bytes(id).ok()) {
        Some(id) => headers.insert(LAST_EVENT_ID, id).is_some(),
        None => {
            headers.remove(LAST_EVENT_ID);
            false
        }
    }
}

/// The session id that the inner server issues in a response. If it issues several, the first.
pub(super) fn issued(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(SESSION_ID).map(HeaderValue::as_bytes)
}

/// The only element. Returns `None` if there is none, or more than one.
fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next();
    first.filter(|_| all.next().is_none())
}

/// Signs every session id that the inner server issues.
pub(super) fn sign_session_ids(
    id_signer: &IdSigner,
    owner: impl Fn() -> SessionOwner,
    headers: &mut HeaderMap,
) {
    if headers.keys().all(|name| *name != SESSION_ID) {
        return;
    }
    let owner = owner();
    if let Entry::Occupied(mut ids) = headers.entry(SESSION_ID) {
        for id in ids.iter_mut() {
            let signed = id_signer.sign(Purpose::Session, &owner, id.as_bytes());
            *id = HeaderValue::from_bytes(&signed).unwrap_or(NO_ID);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::header::AUTHORIZATION;

    use super::*;
    use crate::model::auth_info::AuthInfo;
    use crate::model::credentials::Credentials;
    use crate::model::verified_token::VerifiedToken;

    fn headers(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        let value = |bytes: &&[u8]| HeaderValue::from_bytes(bytes).expect("a value");
        values.iter().map(|bytes| (name.clone(), value(bytes))).collect()
    }

    #[test]
    fn only_a_signed_session_id_is_verified_and_any_other_becomes_a_decoy() {
        let id_signer = IdSigner::random().expect("randomness");
        let owner = SessionOwner::of(None);
        let mut ours = headers(&SESSION_ID, &[b"s1", b"s.2", b"\xe4"]);
        sign_session_ids(&id_signer, || owner.clone(), &mut ours);
        let signed: Vec<&[u8]> =
            ours.get_all(SESSION_ID).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(signed.len(), 3, "every value");
        for (signed, inner) in signed.iter().zip([&b"s1"[..], b"s.2", b"\xe4"]) {
            let mut request = headers(&SESSION_ID, &[signed]);
            assert_eq!(verify_session_id(&id_signer, None, &owner, &mut request), Session::Own);
            assert_eq!(request[SESSION_ID].as_bytes(), inner);
        }
        let event = id_signer.sign(Purpose::Event, &owner, b"s1");
        let foreign: [&[&[u8]]; 7] = [
            &[b"s1"],
            &[b""],
            &[b"\xff"],
            &[&event],
            &[signed[0], signed[0]],
            &[signed[0], b"s1"],
            &[b"s1", signed[0]],
        ];
        for presented in foreign {
            let mut request = headers(&SESSION_ID, presented);
            let session = verify_session_id(&id_signer, None, &owner, &mut request);
            assert_eq!(session, Session::Unknown, "{presented:?}");
            let given: Vec<_> = request.get_all(SESSION_ID).iter().collect();
            let expected = id_signer.decoy_id(&owner, &presented.join(&b", "[..]));
            assert_eq!(given, [&expected], "{presented:?}");
        }
        let session = verify_session_id(&id_signer, None, &owner, &mut HeaderMap::new());
        assert_eq!(session, Session::None);
    }

    #[test]
    fn a_session_that_began_anonymously_belongs_to_whoever_goes_on_with_it_first() {
        let id_signer = IdSigner::random().expect("randomness");
        let (claimed, nobody) = (ClaimedSessions::new(), SessionOwner::of(None));
        let bearer = HeaderValue::from_static("Bearer abc");
        let credentials =
            Credentials::from_headers(&[(AUTHORIZATION, bearer)].into_iter().collect());
        let credentials = credentials.expect("credentials");
        let [alice, bob] = ["alice", "bob"].map(|subject| {
            let token = VerifiedToken::assert("https://auth.example.com", subject);
            let caller = AuthInfo::admitted(token, credentials.clone(), Arc::default());
            SessionOwner::of(Some(&caller))
        });
        let mut began = headers(&SESSION_ID, &[b"s1"]);
        sign_session_ids(&id_signer, || nobody.clone(), &mut began);
        let verifies = |claimed: Option<&ClaimedSessions>, owner: &SessionOwner| {
            let mut request = began.clone();
            let session = verify_session_id(&id_signer, claimed, owner, &mut request);
            let is_theirs = session != Session::Unknown;
            assert_eq!(request[SESSION_ID] == "s1", is_theirs);
            is_theirs
        };
        assert!(verifies(None, &nobody) && !verifies(None, &alice), "where no caller is anonymous");
        let claimed = Some(&claimed);
        for (owner, expected) in [
            (&nobody, true),
            (&alice, true),
            (&nobody, false),
            (&bob, false),
            (&alice, true),
            (&nobody, false),
        ] {
            assert_eq!(verifies(claimed, owner), expected);
        }
        // A session that a caller began after a login is never another's.
        let mut own = headers(&SESSION_ID, &[b"s2"]);
        sign_session_ids(&id_signer, || bob.clone(), &mut own);
        for (owner, expected) in [(&alice, false), (&nobody, false), (&bob, true)] {
            let session = verify_session_id(&id_signer, claimed, owner, &mut own.clone());
            assert_eq!(session == Session::Own, expected);
        }
    }

    #[test]
    fn a_last_event_id_is_verified_or_removed() {
        let id_signer = IdSigner::random().expect("randomness");
        let owner = SessionOwner::of(None);
        let signed = id_signer.sign(Purpose::Event, &owner, b"0/7");
        let mut request = headers(&LAST_EVENT_ID, &[&signed]);
        assert!(verify_last_event_id(&id_signer, &Session::None, &owner, &mut request));
        assert_eq!(request[LAST_EVENT_ID], "0/7");
        let session = id_signer.sign(Purpose::Session, &owner, b"0/7");
        let foreign: [&[&[u8]]; 4] = [&[b"0/7"], &[&session], &[&signed, &signed], &[b""]];
        for presented in foreign {
            let mut request = headers(&LAST_EVENT_ID, presented);
            assert!(
                !verify_last_event_id(&id_signer, &Session::None, &owner, &mut request),
                "{presented:?}"
            );
            assert!(request.is_empty(), "{presented:?}");
        }
        assert!(verify_last_event_id(&id_signer, &Session::None, &owner, &mut HeaderMap::new()));
    }
}
