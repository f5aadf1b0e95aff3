//! `Rule`: the scopes, claims, client and login that an operation requires.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::model::denial::Authentication;
use crate::model::scope::Scopes;
use crate::model::scope_requirement::{AnyOf, Hierarchy, Require};
use crate::util::json::{self, Raw};
use crate::util::unix_time::unix_secs;

/// What an operation requires of its caller. A list of scopes is a rule too: `["notes:write"]`.
///
/// ```
/// use mcp_auth::{AnyOf, Rule, ToolScopes};
/// use std::time::{Duration, SystemTime};
///
/// let rules = ToolScopes::new()
///     .tool("add_note", ["notes:write"])
///     .tool("payroll", Rule::from(["payroll:read"]).claim("groups", AnyOf(["hr", "board"])))
///     .tool("wire_money", Rule::from(["pay"]).acr_values(["urn:example:mfa"]).max_age(Duration::from_secs(300)))
///     .tool("debug_*", Rule::never());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub(crate) scopes: Require,
    claims: Vec<ClaimRule>,
    /// The allowed clients. The client must be in every list.
    clients: Vec<Vec<String>>,
    pub(crate) authentication: Authentication,
    is_never_met: bool,
}

/// A claim that must be one of some values, or an array that contains one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClaimRule {
    /// The member names on the path to the value.
    path: Vec<String>,
    values: Vec<String>,
}

impl Rule {
    /// Forbids the operation to everyone.
    #[must_use]
    pub fn never() -> Self {
        Self { is_never_met: true, ..Self::default() }
    }

    /// Requires a claim to be this string, any of several strings, or an array that contains one of them.
    ///
    /// `claim` is a name, or a JSON pointer through objects
    /// ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)): `/realm_access/roles`. A token that does not meet
    /// this is refused without a challenge ([`Forbidden`](crate::DenialKind::Forbidden)), since no scope would
    /// help.
    #[must_use]
    pub fn claim(mut self, claim: &str, values: impl Into<ClaimValues>) -> Self {
        let path = match claim.strip_prefix('/') {
            Some(path) => {
                path.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
            }
            None => vec![claim.to_owned()],
        };
        self.claims.push(ClaimRule { path, values: values.into().0 });
        self
    }

    /// Requires that the token was issued to this client, or to [`AnyOf`] several
    /// ([`AuthInfo::client_id`](crate::AuthInfo::client_id)). A token of another client, a token without a
    /// client and an API key are refused without a challenge ([`Forbidden`](crate::DenialKind::Forbidden)),
    /// since no scope would help.
    ///
    /// ```
    /// use mcp_auth::{AnyOf, McpAuth, Rule};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .required(Rule::default().client(AnyOf(["inspector", "desktop"])))
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn client(mut self, ids: impl Into<ClaimValues>) -> Self {
        self.clients.push(ids.into().0);
        self
    }

    /// Requires that the login has one of these authentication context classes: `acr`
    /// ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)). Users with another login are asked to log in
    /// again.
    #[must_use]
    pub fn acr_values(mut self, values: impl Into<Scopes>) -> Self {
        self.authentication.acr_values = values.into();
        self
    }

    /// Requires that the login is not older than this: `auth_time`
    /// ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)). Users whose login is older are asked to log in
    /// again.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.authentication.max_age = Some(age);
        self
    }

    /// The same rule, with scopes that are also met by those that imply them.
    pub(crate) fn under(mut self, hierarchy: &Hierarchy) -> Self {
        self.scopes = self.scopes.under(hierarchy);
        self
    }

    /// Requires both this and `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.scopes = self.scopes.and(other.scopes);
        self.claims.extend(other.claims);
        self.clients.extend(other.clients);
        self.is_never_met |= other.is_never_met;
        let (mine, theirs) = (&mut self.authentication, other.authentication);
        let both: Scopes =
            mine.acr_values.iter().filter(|acr| theirs.acr_values.contains(acr)).collect();
        mine.acr_values = match (mine.acr_values.is_empty(), theirs.acr_values.is_empty()) {
            (true, _) => theirs.acr_values,
            (false, true) => std::mem::take(&mut mine.acr_values),
            (false, false) => {
                // A login has only one `acr`, so it cannot meet both.
                self.is_never_met |= both.is_empty();
                both
            }
        };
        mine.max_age = mine.max_age.into_iter().chain(theirs.max_age).min();
        self
    }

    /// Whether everyone meets it, even an anonymous caller.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the operation is forbidden with these claims, whatever the scopes.
    pub(crate) fn is_forbidden_by(&self, claims: &str) -> bool {
        self.is_never_met || !self.claims.iter().all(|rule| rule.is_met_by(claims))
    }

    /// Whether the operation is forbidden to a client, whatever the scopes.
    pub(crate) fn is_forbidden_to<'c>(&self, client: impl Fn() -> Option<&'c str>) -> bool {
        let is_among = |ids: &Vec<String>| ids.iter().any(|id| Some(&**id) == client());
        !self.clients.iter().all(is_among)
    }

    /// Whether the user's login meets the rule at this moment.
    pub(crate) fn is_authenticated_by(
        &self,
        claims: &str,
        now: SystemTime,
        leeway: Duration,
    ) -> bool {
        let Authentication { acr_values, max_age, .. } = &self.authentication;
        let way = || {
            find(claims, "acr").and_then(Raw::string).is_some_and(|acr| acr_values.contains(&acr))
        };
        let recently = |age: Duration| {
            let at = find(claims, "auth_time").and_then(Raw::numeric_date);
            at.is_some_and(|at| {
                let (at, now, leeway) = (at as u64, unix_secs(now), leeway.as_secs());
                // A login in the future is none: the claim is in milliseconds, or wrong.
                let is_past = at <= now.saturating_add(leeway);
                is_past && now <= at.saturating_add(age.as_secs()).saturating_add(leeway)
            })
        };
        (acr_values.is_empty() || way()) && max_age.is_none_or(recently)
    }
}

impl ClaimRule {
    fn is_met_by(&self, claims: &str) -> bool {
        let mut text = claims;
        for name in &self.path {
            match find(text, name) {
                Some(value) => text = value.get(),
                None => return false,
            }
        }
        let is_one = |value: &str| self.values.iter().any(|wanted| wanted == value);
        let Some(value) = Raw::read(text) else { return false };
        value.string().is_some_and(|value| is_one(&value))
            || value.array().is_some_and(|list| {
                list.into_iter().filter_map(Raw::string).any(|value: Cow<'_, str>| is_one(&value))
            })
    }
}

/// A member of an object. Returns `None` if it is absent, occurs twice, or if this is not an object.
fn find<'c>(object: &'c str, name: &str) -> Option<Raw<'c>> {
    let [value] = json::pick(object, [name]).ok()?;
    value
}

/// The accepted values of a claim: one, or [`AnyOf`] several.
#[derive(Clone, Debug)]
pub struct ClaimValues(Vec<String>);

impl From<&str> for ClaimValues {
    fn from(value: &str) -> Self {
        Self(vec![value.to_owned()])
    }
}

impl From<&String> for ClaimValues {
    fn from(value: &String) -> Self {
        Self::from(value.as_str())
    }
}

impl From<String> for ClaimValues {
    fn from(value: String) -> Self {
        Self(vec![value])
    }
}

impl<S: AsRef<str>, const N: usize> From<AnyOf<[S; N]>> for ClaimValues {
    fn from(any_of: AnyOf<[S; N]>) -> Self {
        Self(any_of.0.iter().map(|value| value.as_ref().to_owned()).collect())
    }
}

impl<S: AsRef<str>> From<AnyOf<Vec<S>>> for ClaimValues {
    fn from(any_of: AnyOf<Vec<S>>) -> Self {
        Self(any_of.0.iter().map(|value| value.as_ref().to_owned()).collect())
    }
}

impl<R: Into<Require>> From<R> for Rule {
    fn from(scopes: R) -> Self {
        Self { scopes: scopes.into(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn claim_rules_are_checked() {
        let claims = r#"{"tenant":"acme","groups":["staff","hr"],"realm_access":{"roles":["admin"]},"a/b":"x","n":1,"o":{}}"#;
        let rows = [
            (Rule::default().claim("tenant", "acme"), true),
            (Rule::default().claim("tenant", "other"), false),
            (Rule::default().claim("tenant", "ACME"), false),
            (Rule::default().claim("Tenant", "acme"), false),
            (Rule::default().claim("groups", "hr"), true),
            (Rule::default().claim("groups", AnyOf(["board", "hr"])), true),
            (Rule::default().claim("groups", "h"), false),
            (Rule::default().claim("groups", AnyOf([""; 0])), false),
            (Rule::default().claim("/realm_access/roles", "admin"), true),
            (Rule::default().claim("/realm_access/roles", "user"), false),
            (Rule::default().claim("/realm_access/groups", "admin"), false),
            (Rule::default().claim("/tenant/x", "acme"), false),
            (Rule::default().claim("/a~1b", "x"), true),
            (Rule::default().claim("a/b", "x"), true),
            (Rule::default().claim("n", "1"), false),
            (Rule::default().claim("o", ""), false),
            (Rule::default().claim("none", ""), false),
            (Rule::default().claim("tenant", "acme").claim("groups", "board"), false),
            (Rule::never(), false),
            (Rule::default(), true),
        ];
        for (rule, allowed) in rows {
            assert_eq!(!rule.is_forbidden_by(claims), allowed, "{rule:?}");
        }
        assert!(Rule::default().claim("a", "b").is_forbidden_by(r#"{"a":"b","a":"c"}"#));
    }

    #[test]
    fn client_rules_are_checked() {
        let one = || Rule::default().client("inspector");
        let rows = [
            (one(), Some("inspector"), true),
            (one(), Some("Inspector"), false),
            (one(), Some("evil"), false),
            (one(), Some(""), false),
            (one(), None, false),
            (Rule::default().client(AnyOf(["desktop", "inspector"])), Some("inspector"), true),
            (Rule::default().client(AnyOf([""; 0])), Some("inspector"), false),
            (one().client("desktop"), Some("inspector"), false),
            (one().and(Rule::default().client(AnyOf(["a", "inspector"]))), Some("inspector"), true),
            (one().and(Rule::default()), Some("evil"), false),
            (Rule::default(), None, true),
        ];
        for (rule, client, allowed) in rows {
            assert_eq!(!rule.is_forbidden_to(|| client), allowed, "{rule:?} {client:?}");
        }
    }

    #[test]
    fn login_rules_are_checked() {
        let mfa = || Rule::default().acr_values("mfa hardware");
        let fresh = || Rule::default().max_age(Duration::from_secs(300));
        let rows = [
            (mfa(), r#"{"acr":"mfa"}"#, true),
            (mfa(), r#"{"acr":"hardware"}"#, true),
            (mfa(), r#"{"acr":"password"}"#, false),
            (mfa(), r#"{"acr":"mfa hardware"}"#, false),
            (mfa(), "{}", false),
            (fresh(), r#"{"auth_time":700}"#, true),
            (fresh(), r#"{"auth_time":640}"#, true),
            (fresh(), r#"{"auth_time":639}"#, false),
            (fresh(), r#"{"auth_time":"700"}"#, false),
            (fresh(), r#"{"auth_time":1060}"#, true),
            (fresh(), r#"{"auth_time":1061}"#, false),
            (fresh(), r#"{"auth_time":700000}"#, false), // in milliseconds
            (fresh(), r#"{"auth_time":1e400}"#, false),
            (fresh(), r#"{"auth_time":-1}"#, false),
            (fresh(), r#"{"auth_time":null}"#, false),
            (fresh(), r#"{"auth_time":900,"auth_time":900}"#, false),
            (fresh(), r#"[900]"#, false),
            (mfa(), r#"{"acr":["mfa"]}"#, false),
            (mfa(), r#"{"acr":null}"#, false),
            (mfa(), r#"{"acr":"password","acr":"mfa"}"#, false),
            (fresh(), "{}", false),
            (mfa().and(fresh()), r#"{"acr":"mfa","auth_time":999}"#, true),
            (mfa().and(fresh()), r#"{"acr":"mfa"}"#, false),
            (mfa().and(Rule::default().acr_values("hardware")), r#"{"acr":"hardware"}"#, true),
            (mfa().and(Rule::default().acr_values("hardware")), r#"{"acr":"mfa"}"#, false),
            (Rule::default().and(mfa()), r#"{"acr":"password"}"#, false),
            (mfa().and(Rule::default()), r#"{"acr":"password"}"#, false),
        ];
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        for (rule, claims, enough) in rows {
            assert_eq!(
                rule.is_authenticated_by(claims, now, Duration::from_secs(60)),
                enough,
                "{rule:?} {claims}"
            );
        }
        let never = mfa().and(Rule::default().acr_values("password"));
        assert!(never.is_forbidden_by(r#"{"acr":"mfa"}"#), "no login is in two ways at once");
    }
}
