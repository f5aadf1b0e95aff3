//! `Challenge`: the `WWW-Authenticate` header, which makes clients log in or request more scopes.

use std::fmt;

use crate::model::denial::{Denial, DenialKind};
use crate::model::error_codes::BadProof;
use crate::model::scheme::Scheme;
use crate::model::scope::{Scopes, is_scope_token};

/// A `Bearer` or `DPoP` challenge ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3),
/// [RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1),
/// [RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)).
///
/// It is written in the one form that all clients can read: `Bearer ` first, every value quoted, no escapes,
/// `error_description` last.
///
/// ```
/// use mcp_auth::Challenge;
///
/// let header = r#"Bearer error="insufficient_scope", scope="read write", resource_metadata="https://h/.well-known/oauth-protected-resource/mcp""#;
/// let challenge = Challenge::parse(header).unwrap();
/// assert_eq!(challenge.error.as_deref(), Some("insufficient_scope"));
/// assert_eq!(challenge.to_string(), header);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The scheme by which to send the token.
    pub scheme: Scheme,
    /// The error code: `invalid_request`, `invalid_token`, `insufficient_scope`, `invalid_dpop_proof`... `None`
    /// if there was no token.
    pub error: Option<String>,
    /// The scopes to request.
    pub scope: Option<Scopes>,
    /// The URL of the protected resource metadata.
    pub resource_metadata: Option<String>,
    /// The authentication context classes of which the login must have one
    /// ([RFC 9470 §3](https://www.rfc-editor.org/rfc/rfc9470#section-3)).
    pub acr_values: Option<Scopes>,
    /// The maximum time since the login, in seconds
    /// ([RFC 9470 §3](https://www.rfc-editor.org/rfc/rfc9470#section-3)).
    pub max_age: Option<u64>,
    /// The signature algorithms that are accepted in DPoP proofs, separated by spaces.
    pub algs: Option<String>,
    /// A sentence for the developer of the client.
    pub error_description: Option<String>,
    /// An alternative challenge in the same header. The client may choose.
    pub next: Option<Box<Self>>,
}

impl Challenge {
    /// The challenge for a denial. Returns `None` if no login can help.
    ///
    /// `scope` is the minimum that this resource requires. `resource_metadata` is the URL of its metadata.
    #[must_use]
    pub fn for_denial(denial: &Denial, scope: &Scopes, resource_metadata: &str) -> Option<Self> {
        Self::naming(denial, scope, resource_metadata, Scopes::clone)
    }

    /// The challenge for a denial, with scopes by the names that clients request.
    pub(crate) fn naming(
        denial: &Denial,
        scope: &Scopes,
        resource_metadata: &str,
        requested: impl Fn(&Scopes) -> Scopes,
    ) -> Option<Self> {
        // An invalid scope could end the quoted string, or the header.
        let sound = |scope: &Scopes| {
            requested(scope).iter().filter(|scope| is_scope_token(scope)).collect::<Scopes>()
        };
        let (lacks, with_operation);
        let (error, scope, description) = match denial.kind() {
            DenialKind::BadRequest(why) => (Some("invalid_request"), None, Some(why.description())),
            DenialKind::InsufficientScope(needed) => {
                lacks = insufficient(&denial.missing().map(sound).unwrap_or_default());
                (Some("insufficient_scope"), Some(needed), Some(&*lacks))
            }
            DenialKind::InvalidProof(why) => {
                let is_nonce = *why == BadProof::Nonce;
                let error = if is_nonce { "use_dpop_nonce" } else { "invalid_dpop_proof" };
                (Some(error), Some(scope), Some(why.description()))
            }
            DenialKind::InvalidToken(reason) => {
                (Some("invalid_token"), Some(scope), Some(reason.description()))
            }
            DenialKind::InsufficientUserAuthentication(required) => {
                let description = "The user must log in anew, more recently or in a stronger way";
                (Some("insufficient_user_authentication"), Some(&required.scope), Some(description))
            }
            DenialKind::NoCredentials => {
                let operation = denial.missing().into_iter().flat_map(Scopes::iter);
                with_operation = scope.iter().chain(operation).collect();
                (None, Some(&with_operation), None)
            }
            DenialKind::BadMessage(_)
            | DenialKind::Forbidden
            | DenialKind::HostNotAllowed
            | DenialKind::OriginNotAllowed
            | DenialKind::Unavailable { .. } => return None,
        };
        let login = match denial.kind() {
            DenialKind::InsufficientUserAuthentication(required) => Some(required),
            _ => None,
        };
        let some = |scopes: Scopes| Some(scopes).filter(|scopes| !scopes.is_empty());
        let plain = |scopes: &Scopes| scopes.iter().filter(|it| is_scope_token(it)).collect();
        Some(Self {
            scheme: Scheme::Bearer,
            error: error.map(Into::into),
            scope: scope.map(sound).and_then(some),
            resource_metadata: Some(resource_metadata.to_owned()),
            acr_values: login.map(|login| plain(&login.acr_values)).and_then(some),
            max_age: login.and_then(|login| login.max_age).map(|age| age.as_secs()),
            algs: None,
            error_description: description.map(Into::into),
            next: None,
        })
    }

    /// The same challenge, by DPoP only.
    pub(crate) fn dpop_only(self, algs: Option<String>) -> Self {
        Self { scheme: Scheme::Dpop, algs, ..self }
    }

    /// The same challenge, with a DPoP challenge as an alternative. The alternative repeats no parameter of the
    /// first challenge, because some clients search the whole header.
    pub(crate) fn with_dpop_alternative(self, algs: Option<String>) -> Self {
        Self { next: Some(Box::new(Self::default().dpop_only(algs))), ..self }
    }

    /// The challenge for a DPoP request where Bearer is accepted as well. The error is in the DPoP challenge.
    pub(crate) fn with_error_in_dpop(mut self, algs: Option<String>) -> Self {
        let wrong = Self {
            error: self.error.take(),
            acr_values: self.acr_values.take(),
            max_age: self.max_age.take(),
            error_description: self.error_description.take(),
            ..Self::default()
        };
        Self { next: Some(Box::new(wrong.dpop_only(algs))), ..self }
    }

    /// Parses the first `Bearer` challenge of a header, which may also contain challenges of other schemes.
    /// Unknown parameters are skipped. Of a repeated parameter, the first one counts. Returns `None` if there
    /// is no such challenge, or the header is malformed.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut rest = header;
        let mut found: Option<Self> = None;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = token(rest)?;
            let after = after.trim_start_matches([' ', '\t']);
            if let Some(value) = after.strip_prefix('=').filter(|value| !value.starts_with('=')) {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']))?;
                if let Some(challenge) = &mut found {
                    challenge.set(word, value);
                }
                rest = after;
            } else if found.is_some() {
                return found; // the next scheme begins
            } else {
                found = word.eq_ignore_ascii_case("Bearer").then(Self::default);
                rest = after;
            }
            if rest.trim_matches([' ', '\t', ',']).is_empty() {
                return found;
            }
        }
    }

    fn set(&mut self, name: &str, value: String) {
        let text = match name.to_ascii_lowercase().as_str() {
            "error" => &mut self.error,
            "error_description" => &mut self.error_description,
            "resource_metadata" => &mut self.resource_metadata,
            "scope" => return set_scopes(&mut self.scope, &value),
            "acr_values" => return set_scopes(&mut self.acr_values, &value),
            "max_age" => return self.max_age = self.max_age.or_else(|| value.parse().ok()),
            _ => return,
        };
        text.get_or_insert(value);
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max_age = self.max_age.map(|age| age.to_string());
        let parameters = [
            ("error", self.error.as_deref()),
            ("scope", self.scope.as_ref().map(Scopes::as_str)),
            ("resource_metadata", self.resource_metadata.as_deref()),
            ("acr_values", self.acr_values.as_ref().map(Scopes::as_str)),
            ("max_age", max_age.as_deref()),
            ("algs", self.algs.as_deref()),
            ("error_description", self.error_description.as_deref()),
        ];
        f.write_str(self.scheme.name())?;
        let given = parameters.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        for (i, (name, value)) in given.enumerate() {
            write!(f, "{} {name}=\"{value}\"", if i == 0 { "" } else { "," })?;
        }
        self.next.as_ref().map_or(Ok(()), |next| write!(f, ", {next}"))
    }
}

/// The sentence for a token that lacks scopes. Clients show it to their user. It names no scope that a client could take
/// for a parameter: some search the whole challenge for `scope=`.
fn insufficient(missing: &Scopes) -> String {
    let sentence = "The access token does not grant the scopes that this operation requires";
    match missing.is_empty() || missing.as_str().contains('=') {
        true => sentence.to_owned(),
        false => format!("{sentence}: {missing}"),
    }
}

fn set_scopes(scopes: &mut Option<Scopes>, value: &str) {
    scopes.get_or_insert_with(|| Scopes::from(value));
}

/// Splits a `token` (RFC 9110 §5.6.2) from what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Splits a parameter's value, quoted or not, from what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error_codes::Reason;

    const METADATA: &str = "https://h/.well-known/oauth-protected-resource/mcp";

    #[test]
    fn challenge_parameters_have_a_fixed_order_and_need_no_escapes() {
        let challenge = Challenge::for_denial(
            &Denial::invalid(Reason::Expired),
            &"read write".into(),
            METADATA,
        )
        .expect("a challenge");
        assert_eq!(
            challenge.to_string(),
            format!(
                "Bearer error=\"invalid_token\", scope=\"read write\", resource_metadata=\"{METADATA}\", error_description=\"The access token expired\""
            )
        );
        assert!(!challenge.to_string().contains('\\'));
    }

    #[test]
    fn a_challenge_without_credentials_has_no_error_parameter() {
        let challenge =
            Challenge::for_denial(&Denial::no_credentials(), &Scopes::default(), METADATA)
                .expect("a challenge");
        assert_eq!(challenge.to_string(), format!("Bearer resource_metadata=\"{METADATA}\""));
    }

    #[test]
    fn an_invalid_scope_is_left_out_of_the_challenge() {
        let denial = Denial::insufficient_scope(["read", "a\"b", "\n"]);
        let challenge = Challenge::for_denial(&denial, &Scopes::default(), METADATA);
        assert_eq!(challenge.and_then(|challenge| challenge.scope), Some("read".into()));
    }

    #[test]
    fn a_written_challenge_is_parsed_as_the_same() {
        for reason in Reason::ALL {
            let written = Challenge::for_denial(&Denial::invalid(*reason), &"a b".into(), METADATA)
                .expect("a challenge");
            assert_eq!(Challenge::parse(&written.to_string()), Some(written));
        }
    }

    #[test]
    fn challenges_of_other_servers_are_parsed() {
        let error = |header: &str| Challenge::parse(header).map(|challenge| challenge.error);
        for (header, expected) in [
            ("Bearer", Some(None)),
            ("bearer error=invalid_token", Some(Some("invalid_token"))),
            ("Bearer realm=\"a, b\", error=\"x\"", Some(Some("x"))),
            ("Bearer realm=\"a \\\" error=\\\"no\\\"\", error=\"yes\"", Some(Some("yes"))),
            ("DPoP algs=\"ES256\", error=\"no\", Bearer error=\"yes\"", Some(Some("yes"))),
            ("Bearer error=\"yes\", DPoP error=\"no\"", Some(Some("yes"))),
            ("Bearer error = \"yes\"", Some(Some("yes"))),
            ("Bearer error=\"first\", error=\"second\"", Some(Some("first"))),
            ("Basic realm=\"x\"", None),
            ("Negotiate abc==", None),
            ("Bearer error=\"unterminated", None),
            ("", None),
            (",,,", None),
            ("=", None),
        ] {
            assert_eq!(error(header), expected.map(|error| error.map(str::to_owned)), "{header}");
        }
    }
}
