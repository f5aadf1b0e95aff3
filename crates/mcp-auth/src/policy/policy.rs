//! May a true token pass? Issuer, time, audience, and the rules of the operation, in this order.

use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::credentials::Credentials;
use crate::model::denial::{Authentication, Denial, Reason};
use crate::model::issuer_overrides::Dialect;
use crate::model::issuer_pattern::Family;
use crate::model::provider::Provider;
use crate::model::scope::{Scopes, Vocabulary};
use crate::model::token::{API_KEY_ISSUER, AuthInfo, Facts, VerifiedToken, seconds};
use crate::policy::operation::Operation;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::ToolScopes;
use crate::util::url;

/// What a protected resource demands of every token, whoever verified it.
///
/// A resource's policy is built by [`McpAuthBuilder`](crate::McpAuthBuilder). The default one trusts nobody.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) issuers: Vec<Arc<str>>,
    /// Issuers that are trusted by their form.
    pub(crate) families: Vec<Family>,
    pub(crate) leeway: Duration,
    /// How long ago a token may have been issued.
    pub(crate) max_token_age: Option<Duration>,
    /// What every request requires.
    pub(crate) required: Rule,
    /// What some operations require besides; nothing if the body of a request does not matter.
    pub(crate) operations: Option<ToolScopes>,
    pub(crate) vocabulary: Arc<Vocabulary>,
}

/// A token that its [`Policy`] accepts: of a trusted issuer, in time, and meant for the resource.
pub(crate) struct Accepted(VerifiedToken);

impl Deref for Accepted {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

impl Policy {
    /// Admits a token for an operation: the only way to an [`AuthInfo`].
    ///
    /// # Errors
    ///
    /// [`Reason::Issuer`], [`Reason::NotYetValid`], [`Reason::Expired`], [`Reason::Audience`], then
    /// [`Forbidden`](crate::Refusal::Forbidden), a [login](crate::Refusal::InsufficientUserAuthentication)
    /// that is not enough, [`InsufficientScope`](crate::Refusal::InsufficientScope): the first that
    /// applies, so that an expired token is never told about scopes, and nobody asks for a scope that
    /// would not help.
    pub fn permit(
        &self,
        token: VerifiedToken,
        credentials: Credentials,
        operation: &Operation<'_>,
        now: SystemTime,
    ) -> Result<AuthInfo, Denial> {
        self.admit(self.accept(token, now)?, credentials, operation, now)
    }

    /// Accepts a token that is one for this resource at all, whatever it is used for.
    pub(crate) fn accept(&self, token: VerifiedToken, now: SystemTime) -> Result<Accepted, Denial> {
        self.trust(token.facts())?;
        self.in_time(token.facts(), now)?;
        self.meant_for_us(&token)?;
        Ok(Accepted(token))
    }

    /// Admits an accepted token for an operation: the second half of [`permit`](Self::permit).
    pub(crate) fn admit(
        &self,
        Accepted(token): Accepted,
        credentials: Credentials,
        operation: &Operation<'_>,
        now: SystemTime,
    ) -> Result<AuthInfo, Denial> {
        self.allow(token.facts(), operation, now)?;
        Ok(AuthInfo::admitted(token, credentials, self.vocabulary.clone()))
    }

    /// Whether what a token says is enough for an operation.
    pub(crate) fn allow(
        &self,
        facts: &Facts,
        operation: &Operation<'_>,
        now: SystemTime,
    ) -> Result<(), Denial> {
        let mut is_enough = self.is_met(&self.required, facts, now);
        self.each_rule_for(operation, |rule| is_enough &= self.is_met(rule, facts, now))?;
        if is_enough { Ok(()) } else { Err(self.refuse(facts, operation, now)) }
    }

    /// Whether somebody who did not say who they are may do this: whether no rule speaks of it.
    pub(crate) fn allow_anybody(&self, operation: &Operation<'_>) -> Result<(), Denial> {
        if self.rules_for(operation)?.into_iter().all(Rule::is_empty) {
            return Ok(());
        }
        Err(Denial::no_credentials())
    }

    /// The scopes that a client asks for to be permitted an operation; nothing where no rule speaks of it.
    pub(crate) fn scopes_to_request(&self, operation: &Operation<'_>) -> Option<Scopes> {
        let rules = self.rules_for(operation).ok().filter(|rules| !rules.is_empty())?;
        let all =
            rules.into_iter().chain([&self.required]).cloned().fold(Rule::default(), Rule::and);
        Some(self.vocabulary.requested(&all.scopes.to_request()))
    }

    fn rules_for(&self, operation: &Operation<'_>) -> Result<Vec<&Rule>, Denial> {
        let mut rules = Vec::new();
        self.each_rule_for(operation, |rule| rules.push(rule))?;
        Ok(rules)
    }

    /// Shows each rule that speaks of an operation, besides what every request requires.
    fn each_rule_for<'r>(
        &'r self,
        operation: &Operation<'_>,
        mut show: impl FnMut(&'r Rule),
    ) -> Result<(), Denial> {
        let Some(operations) = &self.operations else { return Ok(()) };
        for call in operation.calls() {
            let found = operations.find(call, &mut show);
            found.map_err(|why| Denial::bad_message(why).in_reply_to(operation.request_id()))?;
        }
        Ok(())
    }

    fn is_met(&self, rule: &Rule, facts: &Facts, now: SystemTime) -> bool {
        !is_forbidden(rule, facts)
            && rule.is_authenticated_by(&facts.claims, now, self.leeway)
            && rule.scopes.is_met_by(&facts.scopes)
    }

    /// Why an operation is refused of which some rule is not met.
    fn refuse(&self, facts: &Facts, operation: &Operation<'_>, now: SystemTime) -> Denial {
        let mut rules = match self.rules_for(operation) {
            Ok(rules) => rules,
            Err(denial) => return denial,
        };
        rules.push(&self.required);
        if rules.iter().any(|rule| is_forbidden(rule, facts)) {
            return Self::forbid(operation);
        }
        let rule = rules.iter().copied().cloned().fold(Rule::default(), Rule::and);
        if is_forbidden(&rule, facts) {
            return Self::forbid(operation); // each can be met, but not all of them at once
        }
        let required = rule.scopes.to_request();
        let scope = self.vocabulary.to_challenge(&required, &facts.scopes);
        if rules.iter().any(|it| !it.is_authenticated_by(&facts.claims, now, self.leeway)) {
            return Self::login_again(Authentication { scope, ..rule.authentication });
        }
        let advice = match *facts.issuer == *API_KEY_ISSUER {
            true => "give the key the scope in its list, if it should have it",
            false => "the client may ask for it, if the user and the issuer allow it to",
        };
        Denial::insufficient_scope(scope).detail(format!(
            "{} requires {:?}, and the token grants {:?}: {advice}",
            operation.label(),
            required.as_str(),
            facts.scopes.as_str(),
        ))
    }

    fn forbid(operation: &Operation<'_>) -> Denial {
        Denial::forbidden().in_reply_to(operation.request_id()).detail(format!(
            "a rule of this server forbids {} to this caller: to everybody, to the token's client, or for lack of a claim in the token",
            operation.label(),
        ))
    }

    fn login_again(required: Authentication) -> Denial {
        Denial::insufficient_user_authentication(required).detail(
            "the token's `acr` or `auth_time` does not show a login as strong or recent as a rule requires: let the issuer put both claims into its tokens, and the client send `acr_values` and `max_age`",
        )
    }

    /// The moment from which on the caller's token is refused; never, if it does not say when it expires.
    pub(crate) fn end_of(&self, caller: &AuthInfo) -> Option<SystemTime> {
        let facts = caller.facts();
        let age = self.max_token_age.filter(|_| *facts.issuer != *API_KEY_ISSUER);
        let too_old = age.and_then(|age| Some(facts.issued_at()?.saturating_add(age.as_secs())));
        let end = facts.expires_at.map(NonZeroU64::get).into_iter().chain(too_old).min()?;
        // In whole seconds, as `has_expired` counts.
        let end = end.saturating_add(self.leeway_of(facts).as_secs());
        UNIX_EPOCH.checked_add(Duration::from_secs(end))
    }

    /// How far the clock that wrote a token's times may be from ours. It is ours that ends an API key.
    fn leeway_of(&self, facts: &Facts) -> Duration {
        if *facts.issuer == *API_KEY_ISSUER { Duration::ZERO } else { self.leeway }
    }

    fn trust(&self, facts: &Facts) -> Result<(), Denial> {
        let is_of = |family: &Family| family.names(&facts.issuer);
        if self.issuers.contains(&facts.issuer) || self.families.iter().any(is_of) {
            return Ok(());
        }
        Err(Denial::invalid(Reason::Issuer).detail(format!(
            "the verifier vouched for a token of an issuer that is not trusted here: name it with `.trusted_issuer(..)`; trusted: {:?}",
            self.issuers,
        )))
    }

    fn in_time(&self, facts: &Facts, now: SystemTime) -> Result<(), Denial> {
        let second = seconds(now);
        if !has_begun(facts.not_before, second, self.leeway) {
            return Err(Denial::invalid(Reason::NotYetValid));
        }
        let leeway = self.leeway_of(facts);
        if facts.expires_at.is_some_and(|end| has_expired(end.get(), second, leeway)) {
            return Err(Denial::invalid(Reason::Expired));
        }
        self.max_token_age.map_or(Ok(()), |age| self.young_enough(facts, second, age))
    }

    fn young_enough(&self, facts: &Facts, now: u64, age: Duration) -> Result<(), Denial> {
        if *facts.issuer == *API_KEY_ISSUER {
            return Ok(()); // made once, and as old as it is meant to become
        }
        let issued_at = facts.issued_at().ok_or_else(|| {
            Denial::invalid(Reason::Claims)
                .detail("the token does not say how old it is, which `.max_token_age(..)` limits: let the issuer put `iat` into it")
        })?;
        let end = issued_at.saturating_add(age.as_secs());
        if has_expired(end, now, self.leeway) {
            return Err(Denial::invalid(Reason::Expired).detail(
                "the token is older than `.max_token_age(..)` allows: the client has to refresh it",
            ));
        }
        Ok(())
    }

    fn meant_for_us(&self, token: &VerifiedToken) -> Result<(), Denial> {
        let ours = |audience: &str| {
            self.vocabulary.audiences.iter().any(|accepted| is_same_resource(accepted, audience))
        };
        // Most are the same to the byte as one of ours; only others are taken apart.
        let exactly_ours =
            |audience: &str| self.vocabulary.audiences.iter().any(|ours| ours == audience);
        if token.audiences().any(exactly_ours) || token.audiences().any(ours) {
            return Ok(());
        }
        match &token.facts().dialect {
            Some(dialect) if is_meant_for_us_in(dialect, token) => Ok(()),
            _ => Err(self.not_meant_for_us(token)),
        }
    }

    fn not_meant_for_us(&self, token: &VerifiedToken) -> Denial {
        let found: Vec<_> = token.audiences().take(3).collect();
        let wanted = self.vocabulary.audiences.first().map_or("", String::as_str);
        let named = token.facts().dialect.as_ref().and_then(|dialect| dialect.provider);
        let provider = || Provider::recognize(token.issuer(), found.first().copied());
        let change = match (found.first(), named.or_else(provider)) {
            (Some(first), _) if first.trim_end_matches('/') == wanted.trim_end_matches('/') => {
                "they differ in a final slash: use the same URL everywhere".to_owned()
            }
            (_, Some(provider)) => format!("{}: {}", provider.name, provider.advice),
            (None, None) => "configure the audience (API, resource) in your provider".to_owned(),
            (Some(first), None) => format!(
                "set the audience in your provider, or, if this is its name for this resource, add `.audience({first:?})`"
            ),
        };
        Denial::invalid(Reason::Audience)
            .detail(format!("token `aud` is {found:?}, expected {wanted:?}: {change}"))
    }
}

/// Whether no scope would help.
fn is_forbidden(rule: &Rule, facts: &Facts) -> bool {
    let client = || facts.client_id.as_ref().map(|id| id.of(&facts.claims));
    rule.is_forbidden_by(&facts.claims) || rule.is_forbidden_to(client)
}

/// Whether its issuer has another way to say that a token is for us.
fn is_meant_for_us_in(dialect: &Dialect, token: &VerifiedToken) -> bool {
    let is_ours = |audience: &str| dialect.audiences.iter().any(|ours| ours == audience);
    let facts = token.facts();
    let client_id = facts.client_id.as_ref().map(|id| id.of(&facts.claims));
    dialect.is_any_audience_ours
        || token.audiences().any(is_ours)
        // Who names an audience means it.
        || (facts.audience.is_empty() && dialect.is_for_our_client(client_id))
}

/// Whether a token that expires at `end` is refused at `now`, both in seconds since 1970
/// ([RFC 7519 §4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)).
pub(crate) fn has_expired(end: u64, now: u64, leeway: Duration) -> bool {
    now >= end.saturating_add(leeway.as_secs())
}

/// Whether a token valid from `start` on is accepted at `now`.
pub(crate) fn has_begun(start: u64, now: u64, leeway: Duration) -> bool {
    start <= now.saturating_add(leeway.as_secs())
}

/// Whether two audiences name the same resource: byte for byte, but for the case of scheme and host,
/// and for the slash that stands for an empty path (`https://host` and `https://host/`).
///
/// "Implementations SHOULD accept uppercase scheme and host components" (MCP authorization,
/// *Canonical Server URI*).
pub(crate) fn is_same_resource(ours: &str, theirs: &str) -> bool {
    if ours == theirs {
        return true;
    }
    let (Some((scheme, host, path)), Some((their_scheme, their_host, their_path))) =
        (url::split(ours), url::split(theirs))
    else {
        return false;
    };
    scheme.eq_ignore_ascii_case(their_scheme)
        && host.eq_ignore_ascii_case(their_host)
        && or_slash(path) == or_slash(their_path)
}

fn or_slash(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::*;
    use crate::model::denial::Refusal;

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

    fn permit(token: VerifiedToken, now: u64) -> Result<AuthInfo, Denial> {
        let policy = Policy {
            issuers: vec![ISSUER.into()],
            families: Vec::new(),
            leeway: Duration::from_secs(60),
            max_token_age: None,
            required: ["read"].into(),
            operations: None,
            vocabulary: Vocabulary {
                audiences: vec![RESOURCE.to_owned()],
                ..Vocabulary::default()
            }
            .into(),
        };
        let headers: HeaderMap =
            [(AUTHORIZATION, HeaderValue::from_static("Bearer abc"))].into_iter().collect();
        policy.permit(token, Credentials::from_headers(&headers)?, &Operation::default(), at(now))
    }

    #[test]
    fn a_token_that_meets_everything_is_admitted() {
        let auth = permit(token().client_id("inspector"), 1059).expect("admitted");
        assert_eq!(
            (auth.subject(), auth.issuer(), auth.client_id()),
            ("alice", ISSUER, Some("inspector"))
        );
        assert_eq!(auth.expires_at(), Some(at(1000)));
        assert_eq!(auth.token().expose(), "abc");
    }

    #[test]
    fn what_does_not_is_refused_by_table_the_first_failure_first() {
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
            assert_eq!(permit(token, now).expect_err(name).reason(), Some(reason), "{name}");
        }
    }

    #[test]
    fn the_age_of_tokens_is_judged_by_table() {
        let policy = Policy {
            leeway: Duration::from_secs(60),
            max_token_age: Some(Duration::from_secs(600)),
            ..Policy::default()
        };
        let rows = [
            (ISSUER, r#"{"iat":1000}"#, 1000, None),
            (ISSUER, r#"{"iat":1000}"#, 1659, None),
            (ISSUER, r#"{"iat":1000}"#, 1660, Some(Reason::Expired)),
            (ISSUER, r#"{"iat":1000.9}"#, 1660, Some(Reason::Expired)),
            (ISSUER, "{}", 0, Some(Reason::Claims)),
            (ISSUER, r#"{"iat":null}"#, 0, Some(Reason::Claims)),
            (ISSUER, r#"{"iat":"1000"}"#, 1000, Some(Reason::Claims)),
            (API_KEY_ISSUER, "{}", 0, None),
        ];
        for (issuer, claims, now, reason) in rows {
            let claims: serde_json::Value = serde_json::from_str(claims).expect("JSON");
            let token = VerifiedToken::assert(issuer, "a").with_claims(&claims).expect("an object");
            let judged = policy.in_time(token.facts(), at(now));
            assert_eq!(judged.err().and_then(|it| it.reason()), reason, "{issuer} {claims} {now}");
        }
    }

    #[test]
    fn a_missing_scope_is_refused_with_all_that_is_required() {
        let denial = permit(token().scopes(["write"]), 0).expect_err("refused");
        assert_eq!(*denial.refusal(), Refusal::InsufficientScope(["read"].into()));
    }

    #[test]
    fn the_operator_reads_what_to_change() {
        let denial = permit(VerifiedToken::assert(ISSUER, "a").audience("api://default"), 0)
            .expect_err("refused");
        let detail = denial.operator_detail().expect("a detail");
        assert!(
            detail.contains(
                r#"token `aud` is ["api://default"], expected "https://api.example.com/mcp""#
            ),
            "{detail}"
        );
        assert!(detail.contains(r#"add `.audience("api://default")`"#), "{detail}");
    }

    #[test]
    fn audiences_compare_by_table() {
        let rows = [
            (RESOURCE, "HTTPS://API.example.com/mcp", true),
            (RESOURCE, "https://api.example.com/MCP", false),
            (RESOURCE, "https://api.example.com/mcp/", false),
            (RESOURCE, "https://api.example.com/mcp?x", false),
            (RESOURCE, "https://api.example.com", false),
            (RESOURCE, "https://api.example.com.evil.example/mcp", false),
            (RESOURCE, "", false),
            ("https://api.example.com", "https://api.example.com/", true),
            ("https://api.example.com/", "https://API.example.com", true),
            ("https://api.example.com", "https://api.example.com//", false),
            ("https://api.example.com:8443", "https://api.example.com", false),
            ("api://orders", "API://orders", false),
            ("urn:x", "urn:x", true),
        ];
        for (ours, theirs, same) in rows {
            assert_eq!(is_same_resource(ours, theirs), same, "{ours} {theirs}");
        }
    }

    #[test]
    fn the_end_of_a_token_is_the_moment_from_which_on_it_is_refused() {
        let policy = Policy { leeway: Duration::from_millis(60_900), ..Policy::default() };
        let end_of = |token| policy.end_of(&permit(token, 0).expect("admitted"));
        let end = end_of(token()).expect("an end");
        assert!(has_expired(1000, seconds(end), policy.leeway));
        assert!(!has_expired(1000, seconds(end - Duration::from_millis(1)), policy.leeway));
        let endless = VerifiedToken::assert(ISSUER, "a").audience(RESOURCE).scopes(["read"]);
        assert_eq!(end_of(endless), None);

        let policy = Policy { max_token_age: Some(Duration::from_secs(600)), ..policy };
        let end_of = |token| policy.end_of(&permit(token, 0).expect("admitted"));
        let issued = |second: u64| {
            token().with_claims(&serde_json::json!({ "iat": second })).expect("an object")
        };
        assert_eq!(end_of(issued(100)), Some(at(760)), "too old before it expires");
        assert_eq!(end_of(issued(900)), Some(at(1060)));
    }

    #[test]
    fn times_at_the_edges_do_not_overflow() {
        assert!(!has_expired(u64::MAX, 1, Duration::from_secs(60)));
        assert!(!has_begun(u64::MAX, 1, Duration::from_secs(60)));
        assert!(has_begun(0, seconds(UNIX_EPOCH - Duration::from_secs(5)), Duration::ZERO));
    }
}
