//! Which claims are read, and under which names: the client id and the scopes have several.

use crate::util::json::{self, MAX_MEMBERS, Names, ObjectError, Raw};

/// The claims that may hold the client id: RFC 9068, OpenID Connect and Entra v2, Entra v1, Okta. `sub` is not one of
/// them, because an attacker may be able to choose a `sub` that looks like a client.
pub(super) const CLIENT_ID: [&str; 4] = ["client_id", "azp", "appid", "cid"];

/// The claims that may hold the scopes: RFC 9068, Entra and Okta, some others.
pub(super) const SCOPE: [&str; 3] = ["scope", "scp", "scopes"];

/// The claims that are read, as raw JSON.
#[derive(Default)]
pub(super) struct RawClaims<'a> {
    pub(super) iss: Option<Raw<'a>>,
    pub(super) sub: Option<Raw<'a>>,
    pub(super) aud: Option<Raw<'a>>,
    pub(super) exp: Option<Raw<'a>>,
    pub(super) iat: Option<Raw<'a>>,
    pub(super) nbf: Option<Raw<'a>>,
    pub(super) jti: Option<Raw<'a>>,
    pub(super) cnf: Option<Raw<'a>>,
    /// In the order of [`CLIENT_ID`].
    pub(super) client_id: [Option<Raw<'a>>; 4],
    /// In the order of [`SCOPE`].
    pub(super) scope: [Option<Raw<'a>>; 3],
    pub(super) non_access_token_kind: Option<&'static str>,
}

impl<'a> RawClaims<'a> {
    /// Reads a JSON object. A duplicate member is an error.
    pub(super) fn read(text: &'a str) -> Result<Self, ObjectError> {
        let (mut found, mut others) = (Self::default(), Names::default());
        json::each_member(text, MAX_MEMBERS, |name, value| {
            let place = match &*name {
                "iss" => &mut found.iss,
                "sub" => &mut found.sub,
                "aud" => &mut found.aud,
                "exp" => &mut found.exp,
                "iat" => &mut found.iat,
                "nbf" => &mut found.nbf,
                "jti" => &mut found.jti,
                "cnf" => &mut found.cnf,
                "client_id" => &mut found.client_id[0],
                "azp" => &mut found.client_id[1],
                "appid" => &mut found.client_id[2],
                "cid" => &mut found.client_id[3],
                "scope" => &mut found.scope[0],
                "scp" => &mut found.scope[1],
                "scopes" => &mut found.scope[2],
                _ => {
                    found.non_access_token_kind =
                        found.non_access_token_kind.or(non_access_token_kind(&name, value));
                    return others.add(name);
                }
            };
            json::set_once(place, value)
        })?;
        Ok(found)
    }
}

/// The kind of token that this claim indicates: no access token has the claim, or the provider names the kind in it.
#[inline(never)]
fn non_access_token_kind(name: &str, value: Raw<'_>) -> Option<&'static str> {
    let is_one_of = |values: &[&str]| value.string().is_some_and(|value| values.contains(&&*value));
    match name {
        "at_hash" | "c_hash" | "nonce" | "s_hash" => Some("an ID token"),
        "token_use" if is_one_of(&["id"]) => Some("an ID token (Cognito)"),
        "token_use" if is_one_of(&["refresh_token"]) => Some("a refresh token (Ory Hydra)"),
        "typ" if is_one_of(&["ID", "Logout", "Offline", "Refresh"]) => {
            Some("an ID, logout or refresh token (Keycloak)")
        }
        "events" => Some("a logout token or a security event"),
        "htm" | "htu" => Some("a DPoP proof"),
        "token_introspection" => Some("an introspection response"),
        _ => None,
    }
}
