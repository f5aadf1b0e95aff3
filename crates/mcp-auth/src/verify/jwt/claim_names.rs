//! Which claims are read, and under which names: the client id and the scopes have several.

use crate::util::json::{self, Names, ObjectError, Raw};

/// The claims that may hold the client id: RFC 9068, OpenID Connect and Entra v2, Entra v1, Okta. `sub` is not one of
/// them, because an attacker may be able to choose a `sub` that looks like a client.
pub(super) const CLIENT_ID: [&str; 4] = ["client_id", "azp", "appid", "cid"];

/// The claims that may hold the scopes: RFC 9068, Entra and Okta, some others.
pub(super) const SCOPE: [&str; 3] = ["scope", "scp", "scopes"];

/// Those of these names that are registered for JWTs ([IANA](https://www.iana.org/assignments/jwt/jwt.xhtml)). Issuers
/// use the others for other things too, such as the number of a company.
pub(super) const REGISTERED: [&str; 3] = ["azp", "client_id", "scope"];

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
    evidence: Evidence,
}

/// What the claims say about the kind of the token.
#[derive(Default)]
struct Evidence {
    /// The provider names the kind itself, and it is an access token.
    is_access_token: bool,
    has_id_token_claim: bool,
    /// Another kind than an access token or an ID token.
    other_kind: Option<&'static str>,
}

impl<'a> RawClaims<'a> {
    /// Reads a JSON object. A duplicate member is an error.
    pub(super) fn read(text: &'a str) -> Result<Self, ObjectError> {
        let (mut found, mut others) = (Self::default(), Names::default());
        json::each_member(text, |name, value| {
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
                    found.evidence.add(&name, value);
                    return others.add(name);
                }
            };
            json::set_once(place, value)
        })?;
        Ok(found)
    }

    /// What kind of token this is, if it is not an access token.
    pub(super) fn non_access_token_kind(&self) -> Option<&'static str> {
        let is_id_token = self.evidence.has_id_token_claim && !self.evidence.is_access_token;
        self.evidence.other_kind.or(is_id_token.then_some("an ID token"))
    }
}

impl Evidence {
    #[inline(never)]
    fn add(&mut self, name: &str, value: Raw<'_>) {
        if value.is_null() {
            return;
        }
        let is_one_of =
            |values: &[&str]| value.string().is_some_and(|value| values.contains(&&*value));
        let other_kind = match name {
            "at_hash" | "c_hash" | "nonce" | "s_hash" => {
                self.has_id_token_claim = true;
                None
            }
            "token_use" if is_one_of(&["id"]) => Some("an ID token (Cognito)"),
            "token_use" if is_one_of(&["refresh_token"]) => {
                Some("the client's refresh token (Ory Hydra)")
            }
            "typ" if is_one_of(&["ID"]) => Some("an ID token (Keycloak)"),
            "typ" if is_one_of(&["Logout"]) => Some("a logout token (Keycloak)"),
            "typ" if is_one_of(&["Offline", "Refresh"]) => {
                Some("the client's refresh token (Keycloak)")
            }
            // Keycloak, Cognito and Hydra name the kind of each token. Keycloak copies the `nonce` of the login into
            // access tokens too, if a mapper is set.
            "typ" | "token_use" => {
                self.is_access_token |= is_one_of(&["Bearer", "DPoP", "access", "access_token"]);
                None
            }
            "events" => Some("a logout token or a security event"),
            "htm" | "htu" => Some("a DPoP proof"),
            "token_introspection" => Some("an introspection response"),
            _ => None,
        };
        self.other_kind = self.other_kind.or(other_kind);
    }
}
