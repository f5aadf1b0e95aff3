//! `Policy`: which verified tokens are accepted, and for which operations.

use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::auth_info::AuthInfo;
use crate::model::credentials::Credentials;
use crate::model::denial::{Authentication, Denial};
use crate::model::error_codes::Reason;
use crate::model::issuer_pattern::IssuerSet;
use crate::model::resource_context::ResourceContext;
use crate::model::scope::Scopes;
use crate::model::scope_hint::scope_hint;
use crate::model::verified_token::{API_KEY_ISSUER, TokenData, VerifiedToken};
use crate::policy::audience::check_audience;
use crate::policy::operation::Operation;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::ToolScopes;
use crate::policy::validity::Validity;
use crate::util::shown;

/// What a protected resource requires of every token, whatever verifier it comes from.
///
/// [`McpAuthBuilder`](crate::McpAuthBuilder) builds the policy of a resource. The default policy trusts no
/// issuer.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) issuers: Vec<Arc<str>>,
    /// Issuers that are trusted by a template.
    pub(crate) issuer_sets: Vec<IssuerSet>,
    pub(crate) validity: Validity,
    /// What every request requires.
    pub(crate) required: Rule,
    /// What some operations require in addition. `None` if no rule depends on the body of a request.
    pub(crate) operations: Option<ToolScopes>,
    pub(crate) resource: Arc<ResourceContext>,
}

/// A token that its [`Policy`] accepts: its issuer is trusted, its time is valid, and it is meant for the
/// resource.
pub(crate) struct CheckedToken(VerifiedToken);

impl Deref for CheckedToken {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

impl Policy {
    /// Authorizes a token for an operation. This is the only way to get an [`AuthInfo`].
    ///
    /// # Errors
    ///
    /// The first of these that applies: [`Reason::Issuer`], [`Reason::NotYetValid`], [`Reason::Expired`],
    /// [`Reason::Audience`], [`Forbidden`](crate::DenialKind::Forbidden),
    /// [`InsufficientUserAuthentication`](crate::DenialKind::InsufficientUserAuthentication),
    /// [`InsufficientScope`](crate::DenialKind::InsufficientScope). This order ensures that an expired token
    /// gets no scope challenge, and that no client requests a scope that would not help.
    pub fn authorize(
        &self,
        token: VerifiedToken,
        credentials: Credentials,
        operation: &Operation<'_>,
        now: SystemTime,
    ) -> Result<AuthInfo, Denial> {
        self.authorize_operation(self.check_token(token, now)?, credentials, operation, now)
    }

    /// Checks whether the resource accepts the token at all, for any operation: issuer, time and audience.
    pub(crate) fn check_token(
        &self,
        token: VerifiedToken,
        now: SystemTime,
    ) -> Result<CheckedToken, Denial> {
        let checked = self
            .check_issuer(token.data())
            .and_then(|()| self.validity.check(token.data(), now))
            .and_then(|()| check_audience(&self.resource.audiences, &token));
        match checked {
            Ok(()) => Ok(CheckedToken(token)),
            Err(denial) => Err(denial.held_by(&token)),
        }
    }

    /// Authorizes an accepted token for an operation: the second half of [`authorize`](Self::authorize).
    pub(crate) fn authorize_operation(
        &self,
        CheckedToken(token): CheckedToken,
        credentials: Credentials,
        operation: &Operation<'_>,
        now: SystemTime,
    ) -> Result<AuthInfo, Denial> {
        let checked = self.check_operation(token.data(), operation, now);
        checked.map_err(|denial| denial.held_by(&token))?;
        Ok(AuthInfo::admitted(token, credentials, self.resource.clone()))
    }

    /// Checks that a token meets every rule for an operation.
    pub(crate) fn check_operation(
        &self,
        data: &TokenData,
        operation: &Operation<'_>,
        now: SystemTime,
    ) -> Result<(), Denial> {
        let mut is_enough = self.is_met(&self.required, data, now);
        self.each_rule_for(operation, |_, rule| is_enough &= self.is_met(rule, data, now))?;
        if is_enough { Ok(()) } else { Err(self.refuse(data, operation, now)) }
    }

    /// Checks that an anonymous caller may use an operation: no rule applies to it.
    pub(crate) fn check_anonymous(&self, operation: &Operation<'_>) -> Result<(), Denial> {
        let rules = self.rules_for(operation)?;
        if rules.iter().all(|rule| rule.is_empty()) {
            return Ok(());
        }
        let required = self.and_required(rules).scopes.to_request();
        let scopes = self.resource.scopes.to_challenge(&required, &Scopes::default());
        Err(Denial::no_credentials().lacks(scopes))
    }

    /// The scopes that a client must request to be allowed an operation. Returns `None` if no rule applies to
    /// it.
    pub(crate) fn scopes_to_request(&self, operation: &Operation<'_>) -> Option<Scopes> {
        let rules = self.rules_for(operation).ok().filter(|rules| !rules.is_empty())?;
        Some(self.resource.scopes.requested(&self.and_required(rules).scopes.to_request()))
    }

    /// These rules, and what every request requires.
    fn and_required(&self, rules: Vec<&Rule>) -> Rule {
        rules.into_iter().chain([&self.required]).cloned().fold(Rule::default(), Rule::and)
    }

    fn rules_for(&self, operation: &Operation<'_>) -> Result<Vec<&Rule>, Denial> {
        let mut rules = Vec::new();
        self.each_rule_for(operation, |_, rule| rules.push(rule))?;
        Ok(rules)
    }

    /// Calls `visit` for each rule that applies to an operation, except the one for every request, with the name or pattern
    /// that it was written for.
    fn each_rule_for<'r>(
        &'r self,
        operation: &Operation<'_>,
        mut visit: impl FnMut(&'r str, &'r Rule),
    ) -> Result<(), Denial> {
        let Some(operations) = &self.operations else { return Ok(()) };
        for call in operation.calls() {
            let found = operations.find(call, &mut visit);
            found.map_err(|denial| denial.in_reply_to(operation.request_id()))?;
        }
        Ok(())
    }

    fn is_met(&self, rule: &Rule, data: &TokenData, now: SystemTime) -> bool {
        !is_forbidden(rule, data)
            && rule.is_authenticated_by(&data.claims, now, self.validity.leeway)
            && rule.scopes.is_met_by(&data.scopes)
    }

    /// The denial for an operation of which some rule is not met.
    fn refuse(&self, data: &TokenData, operation: &Operation<'_>, now: SystemTime) -> Denial {
        let mut rules = match self.rules_for(operation) {
            Ok(rules) => rules,
            Err(denial) => return denial,
        };
        rules.push(&self.required);
        if rules.iter().any(|rule| is_forbidden(rule, data)) {
            return Self::forbid(operation);
        }
        let rule = rules.iter().copied().cloned().fold(Rule::default(), Rule::and);
        if is_forbidden(&rule, data) {
            return Self::forbid(operation); // each rule can be met, but not all of them at once
        }
        let required = rule.scopes.to_request();
        let scope = self.resource.scopes.to_challenge(&required, &data.scopes);
        if rules.iter().any(|it| !it.is_authenticated_by(&data.claims, now, self.validity.leeway)) {
            return Self::reauthenticate(Authentication { scope, ..rule.authentication });
        }
        let advice = match *data.issuer == *API_KEY_ISSUER {
            true => "give the key the scope in its list, if it should have it",
            false => "the client may ask for it, if the user and the issuer allow it to",
        };
        let missing = rule.scopes.missing_from(&data.scopes);
        let hint = scope_hint(data, &missing, &self.resource.scopes);
        Denial::insufficient_scope(scope).lacks(missing).detail(format!(
            "{} requires {:?}, and the token grants \"{}\": {advice}{}",
            operation.label(),
            required.as_str(),
            shown::names(data.scopes.as_str()),
            hint.map(|hint| format!("; {hint}")).unwrap_or_default(),
        ))
    }

    fn forbid(operation: &Operation<'_>) -> Denial {
        Denial::forbidden().in_reply_to(operation.request_id()).detail(format!(
            "a rule of this server forbids {} to this caller: to everybody, to the token's client, or for lack of a claim in the token",
            operation.label(),
        ))
    }

    fn reauthenticate(required: Authentication) -> Denial {
        Denial::insufficient_user_authentication(required).detail(
            "the token's `acr` or `auth_time` does not show a login as strong or recent as a rule requires: let the issuer put both claims into its tokens, and the client send `acr_values` and `max_age`",
        )
    }

    fn check_issuer(&self, data: &TokenData) -> Result<(), Denial> {
        let is_of = |issuer_set: &IssuerSet| issuer_set.contains(&data.issuer);
        if self.issuers.contains(&data.issuer) || self.issuer_sets.iter().any(is_of) {
            return Ok(());
        }
        Err(Denial::invalid(Reason::Issuer).detail(format!(
            "the verifier vouched for a token of an issuer that is not trusted here: name it with `.trusted_issuer(..)`; trusted: {:?}",
            self.issuers,
        )))
    }
}

/// Whether the rule forbids the operation, so that no scope would help.
fn is_forbidden(rule: &Rule, data: &TokenData) -> bool {
    let client = || data.client_id.as_ref().map(|id| id.of(&data.claims));
    rule.is_forbidden_by(&data.claims) || rule.is_forbidden_to(client)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::*;
    use crate::model::denial::DenialKind;

    const ISSUER: &str = "https://auth.example.com";
    const RESOURCE: &str = "https://api.example.com/mcp";

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    fn token() -> VerifiedToken {
        VerifiedToken::assert(ISSUER, "alice")
            .audience(RESOURCE)
            .scopes(["read"])
            .expires_at(at(1000))
    }

    fn authorize(token: VerifiedToken, now: u64) -> Result<AuthInfo, Denial> {
        let policy = Policy {
            issuers: vec![ISSUER.into()],
            issuer_sets: Vec::new(),
            validity: Validity { leeway: Duration::from_secs(60), max_token_age: None },
            required: ["read"].into(),
            operations: None,
            resource: ResourceContext {
                audiences: vec![RESOURCE.to_owned()],
                ..ResourceContext::default()
            }
            .into(),
        };
        let headers: HeaderMap =
            [(AUTHORIZATION, HeaderValue::from_static("Bearer abc"))].into_iter().collect();
        policy.authorize(
            token,
            Credentials::from_headers(&headers)?,
            &Operation::default(),
            at(now),
        )
    }

    #[test]
    fn a_token_that_meets_everything_is_admitted() {
        let auth = authorize(token().client_id("inspector"), 1059).expect("admitted");
        assert_eq!(
            (auth.subject(), auth.issuer(), auth.client_id()),
            ("alice", ISSUER, Some("inspector"))
        );
        assert_eq!(auth.expires_at(), Some(at(1000)));
        assert_eq!(auth.token().expose(), "abc");
    }

    #[test]
    fn the_first_failed_check_decides_the_denial() {
        let other = || {
            VerifiedToken::assert("https://evil.example.com", "alice")
                .audience(RESOURCE)
                .scopes(["read"])
        };
        let rows = [
            ("issuer before expiry", other().expires_at(at(1)), 1000, Reason::Issuer),
            ("at the end of the leeway", token(), 1060, Reason::Expired),
            (
                "expiry before audience",
                VerifiedToken::assert(ISSUER, "a").expires_at(at(1)),
                1000,
                Reason::Expired,
            ),
            ("expiry before scope", token().scopes([""; 0]), 2000, Reason::Expired),
            (
                "no audience",
                VerifiedToken::assert(ISSUER, "a").scopes(["read"]),
                0,
                Reason::Audience,
            ),
            (
                "another audience",
                VerifiedToken::assert(ISSUER, "a").audience("https://api.example.com/mail"),
                0,
                Reason::Audience,
            ),
            (
                "an empty audience",
                VerifiedToken::assert(ISSUER, "a").audience(""),
                0,
                Reason::Audience,
            ),
        ];
        for (name, token, now, reason) in rows {
            assert_eq!(authorize(token, now).expect_err(name).reason(), Some(reason), "{name}");
        }
    }

    #[test]
    fn a_missing_scope_is_refused_with_all_that_is_required() {
        let denial = authorize(token().scopes(["write"]), 0).expect_err("refused");
        assert_eq!(*denial.kind(), DenialKind::InsufficientScope(["read"].into()));
    }

    #[test]
    fn the_operator_detail_says_what_to_change() {
        let of_issuer = VerifiedToken::assert(ISSUER, "a").audience("api://default");
        let of_issuer = of_issuer.with(|data| data.is_asserted = false);
        let denial = authorize(of_issuer, 0).expect_err("refused");
        let detail = denial.operator_detail().expect("a detail");
        assert!(
            detail.contains(
                r#"token `aud` is ["api://default"], expected "https://api.example.com/mcp""#
            ),
            "{detail}"
        );
        assert!(detail.contains(r#"add `.audience("api://default")`"#), "{detail}");
    }
}
