//! `SessionOwner`: the caller that a session id or an event id belongs to.

use crate::model::auth_info::AuthInfo;

/// The owner of a session or an event: issuer and subject, or any anonymous caller. It includes neither the token nor the
/// client, so it stays the same when the token is renewed, and for a client that registers again at each login.
/// Different owners have different bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionOwner(Box<[u8]>);

impl SessionOwner {
    pub(crate) fn of(caller: Option<&AuthInfo>) -> Self {
        let Some(caller) = caller else { return Self(Box::default()) };
        let (issuer, subject) = (caller.issuer().as_bytes(), caller.subject().as_bytes());
        // A token without a subject names no user: then its client does.
        let client = caller.client_id().filter(|_| subject.is_empty()).unwrap_or_default();
        let length = |part: &[u8]| (part.len() as u64).to_be_bytes();
        let parts = [&length(issuer), issuer, &length(subject), subject, client.as_bytes()];
        Self(parts.concat().into())
    }

    /// The owner of the events in a session that an anonymous caller began: whoever may use the session.
    pub(crate) fn anonymous_in(session: &[u8]) -> Self {
        // Another owner begins with a length, whose first byte is 0.
        Self([b"s", session].concat().into())
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::credentials::Credentials;
    use crate::model::verified_token::VerifiedToken;

    #[test]
    fn different_principals_are_different_bytes() {
        let bearer = http::HeaderValue::from_static("Bearer abc");
        let headers = [(http::header::AUTHORIZATION, bearer)].into_iter().collect();
        let credentials = Credentials::from_headers(&headers).expect("credentials");
        let of = |issuer: &str, subject: &str, client: Option<&str>| {
            let token = VerifiedToken::assert(issuer, subject);
            let token = match client {
                Some(client) => token.client_id(client),
                None => token,
            };
            SessionOwner::of(Some(&AuthInfo::admitted(token, credentials.clone(), Arc::default())))
        };
        let all = [
            SessionOwner::of(None),
            SessionOwner::anonymous_in(b""),
            SessionOwner::anonymous_in(b"a"),
            of("", "", None),
            of("ab", "c", None),
            of("a", "bc", None),
            of("a", "b", None),
            of("a", "", None),
            of("a", "", Some("b")),
            of("a", "", Some("c")),
            of("", "ab", None),
        ];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(one == other, i == j, "{i} {j}");
            }
        }
        let renewed = VerifiedToken::assert("a", "b").client_id("c").scopes(["more"]);
        let renewed = AuthInfo::admitted(renewed, credentials.clone(), Arc::default());
        for same in [of("a", "b", None), of("a", "b", Some("c")), of("a", "b", Some("d"))] {
            assert!(SessionOwner::of(Some(&renewed)) == same, "another token, or another client");
        }
    }
}
