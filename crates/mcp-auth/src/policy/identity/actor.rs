//! `Actor`: who acts for the subject ([RFC 8693 §4](https://www.rfc-editor.org/rfc/rfc8693#section-4)).

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::model::auth_info::AuthInfo;
use crate::policy::identity::claim_values::member;
use crate::util::json::Raw;

/// A party that acts, or may act, for the subject of a token.
///
/// Any value of the claim is an actor, even if nothing can be read from it. A token with an `act` is never
/// treated as one that its subject uses.
#[derive(Clone, Copy)]
pub struct Actor<'a>(Raw<'a>);

impl AuthInfo {
    /// The party that uses the token on behalf of its [subject](Self::subject): `act`
    /// ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)). Returns `None` if the subject
    /// uses it directly.
    ///
    /// This is the outermost actor, the current one. According to the RFC, prior actors do not matter for
    /// access control; [`Actor::prior`] returns them for logs only.
    ///
    /// ```
    /// fn who(auth: &mcp_auth::AuthInfo) -> String {
    ///     match auth.actor() {
    ///         Some(actor) => format!("{} for {}", actor.subject().unwrap_or("somebody".into()), auth.subject()),
    ///         None => auth.subject().to_owned(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn actor(&self) -> Option<Actor<'_>> {
        self.data().claim("act").map(Actor)
    }

    /// The party that may become an actor for the subject: `may_act`
    /// ([RFC 8693 §4.4](https://www.rfc-editor.org/rfc/rfc8693#section-4.4)). The authorization server uses
    /// this claim when tokens are exchanged.
    #[must_use]
    pub fn may_act(&self) -> Option<Actor<'_>> {
        self.data().claim("may_act").map(Actor)
    }
}

impl<'a> Actor<'a> {
    /// The actor's `sub`. Unique only together with its issuer.
    #[must_use]
    pub fn subject(&self) -> Option<Cow<'a, str>> {
        self.text("sub")
    }

    /// The actor's `iss`. If it is absent, the issuer is that of the token.
    #[must_use]
    pub fn issuer(&self) -> Option<Cow<'a, str>> {
        self.text("iss")
    }

    /// The actor's `client_id`, if it is a client.
    #[must_use]
    pub fn client_id(&self) -> Option<Cow<'a, str>> {
        self.text("client_id")
    }

    /// Deserializes all members of the actor, or those that `T` names.
    ///
    /// # Errors
    ///
    /// If a claim that `T` requires is missing, or has another type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// The actor before this one. For logs: "prior actors identified by any nested `act` claims are
    /// informational only and are not to be considered in access control decisions"
    /// ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)).
    #[must_use]
    pub fn prior(&self) -> Option<Actor<'a>> {
        member(self.0, "act").map(Actor)
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        member(self.0, name).and_then(Raw::string)
    }
}

impl fmt::Debug for Actor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}
