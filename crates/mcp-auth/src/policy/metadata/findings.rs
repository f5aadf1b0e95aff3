//! Checks whether MCP clients can work with an authorization server, by a table of rules.

use std::fmt;

use crate::policy::metadata::server::ServerMetadata;
use crate::util::url::is_secure;

/// The outcome of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// A stable code: `pkce_not_supported`, `pkce_supported`...
    pub code: &'static str,
    /// What it means, for humans.
    pub message: &'static str,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The rule is met.
    Pass,
    /// Some clients, or some features, will not work.
    Warning,
    /// Tokens of this server cannot be verified, or clients cannot log in.
    Error,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// A rule: whether it is met, and what to report in either case.
struct Check {
    is_met: fn(&ServerMetadata) -> bool,
    pass: (&'static str, &'static str),
    fail: (Severity, &'static str, &'static str),
}

/// Checks a metadata document against what MCP clients and this resource server need.
///
/// The codes are those of MCP Auth for Node and Python, and three more for the requirements of revision
/// 2026-07-28. Only [`ServerMetadata::issuer`] and [`ServerMetadata::jwks_uri`] matter for verifying tokens.
///
/// ```
/// use mcp_auth::metadata::{ServerMetadata, Severity, validate};
///
/// let bare = ServerMetadata::new("https://auth.example.com", "https://auth.example.com/jwks");
/// let worst = validate(&bare).into_iter().max_by_key(|finding| finding.severity).unwrap();
/// assert_eq!(worst.severity, Severity::Error); // clients could not log in: no authorization endpoint
/// ```
#[must_use]
pub fn validate(metadata: &ServerMetadata) -> Vec<Finding> {
    let check = |check: &Check| {
        let (severity, (code, message)) = if (check.is_met)(metadata) {
            (Severity::Pass, check.pass)
        } else {
            let (severity, code, message) = check.fail;
            (severity, (code, message))
        };
        Finding { severity, code, message }
    };
    CHECKS.iter().map(check).collect()
}

const CHECKS: &[Check] = &[
    Check {
        is_met: |it| {
            is_secure(it.issuer())
                && ["authorization_endpoint", "token_endpoint"]
                    .iter()
                    .all(|name| it.text(name).is_some())
                && it.texts("response_types_supported").is_some()
        },
        pass: ("server_metadata_valid", "The required members are there."),
        fail: (
            Severity::Error,
            "invalid_server_metadata",
            "`issuer` (an https URL), `authorization_endpoint`, `token_endpoint` or `response_types_supported` is missing or malformed.",
        ),
    },
    Check {
        is_met: |it| it.jwks_uri().is_some_and(is_secure),
        pass: ("jwks_uri_present", "The server publishes its keys."),
        fail: (
            Severity::Error,
            "missing_jwks_uri",
            "`jwks_uri` (an https URL) is missing: JWTs of this server cannot be verified.",
        ),
    },
    Check {
        is_met: |it| {
            it.texts("response_types_supported").is_some_and(|types| {
                types.iter().any(|one| one.split(' ').any(|word| word == "code"))
            })
        },
        pass: ("code_response_type_supported", "The response type `code` is supported."),
        fail: (
            Severity::Error,
            "code_response_type_not_supported",
            "`response_types_supported` lacks `code`: clients cannot log in.",
        ),
    },
    Check {
        is_met: |it| {
            it.texts("grant_types_supported")
                .is_none_or(|types| types.contains(&"authorization_code"))
        },
        pass: ("authorization_code_grant_supported", "The authorization code grant is supported."),
        fail: (
            Severity::Error,
            "authorization_code_grant_not_supported",
            "`grant_types_supported` lacks `authorization_code`: clients cannot log in.",
        ),
    },
    Check {
        is_met: |it| {
            it.texts("code_challenge_methods_supported").is_some_and(|methods| !methods.is_empty())
        },
        pass: ("pkce_supported", "PKCE is supported."),
        fail: (
            Severity::Warning,
            "pkce_not_supported",
            "`code_challenge_methods_supported` is missing: MCP clients must refuse such a server, even if it supports PKCE (Entra and Cognito do); serve a completed document to them.",
        ),
    },
    Check {
        is_met: |it| {
            it.texts("code_challenge_methods_supported")
                .is_none_or(|methods| methods.is_empty() || methods.contains(&"S256"))
        },
        pass: ("s256_code_challenge_method_supported", "The PKCE method S256 is not ruled out."),
        fail: (
            Severity::Error,
            "s256_code_challenge_method_not_supported",
            "`code_challenge_methods_supported` lacks `S256`: MCP clients must refuse this server.",
        ),
    },
    Check {
        is_met: |it| it.text("registration_endpoint").is_some(),
        pass: ("dynamic_registration_supported", "Clients can register themselves (RFC 7591)."),
        fail: (
            Severity::Warning,
            "dynamic_registration_not_supported",
            "`registration_endpoint` is missing: clients without Client ID Metadata Documents must be registered by hand.",
        ),
    },
    Check {
        is_met: |it| flag(it, "client_id_metadata_document_supported"),
        pass: (
            "client_id_metadata_document_supported",
            "Client ID Metadata Documents are supported.",
        ),
        fail: (
            Severity::Warning,
            "client_id_metadata_document_not_supported",
            "`client_id_metadata_document_supported` is not true: clients that rely on it must be registered otherwise.",
        ),
    },
    Check {
        is_met: |it| flag(it, "authorization_response_iss_parameter_supported"),
        pass: (
            "issuer_identification_supported",
            "Authorization responses carry `iss` (RFC 9207).",
        ),
        fail: (
            Severity::Warning,
            "issuer_identification_not_supported",
            "`authorization_response_iss_parameter_supported` is not true: clients of several servers are open to mix-up attacks (RFC 9207).",
        ),
    },
];

fn flag(metadata: &ServerMetadata, name: &str) -> bool {
    metadata.document().get(name).and_then(serde_json::Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complete() -> serde_json::Value {
        json!({
            "issuer": "https://auth.example.com",
            "authorization_endpoint": "https://auth.example.com/authorize",
            "token_endpoint": "https://auth.example.com/token",
            "jwks_uri": "https://auth.example.com/jwks",
            "registration_endpoint": "https://auth.example.com/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "client_id_metadata_document_supported": true,
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn findings_of(document: serde_json::Value) -> Vec<Finding> {
        let metadata = ServerMetadata::parse(document.to_string().as_bytes()).expect("a document");
        validate(&metadata)
    }

    #[test]
    fn a_complete_server_passes_every_rule() {
        let findings = findings_of(complete());
        assert!(findings.iter().all(|finding| finding.severity == Severity::Pass), "{findings:?}");
        assert_eq!(findings.len(), 9);
    }

    #[test]
    fn each_rule_is_broken_by_one_change() {
        use Severity::{Error, Warning};
        let rows = [
            ("issuer", json!(null), Error, "invalid_server_metadata"),
            ("issuer", json!("http://auth.example.com"), Error, "invalid_server_metadata"),
            ("token_endpoint", json!(null), Error, "invalid_server_metadata"),
            ("jwks_uri", json!(null), Error, "missing_jwks_uri"),
            ("jwks_uri", json!("http://auth.example.com/jwks"), Error, "missing_jwks_uri"),
            (
                "response_types_supported",
                json!(["token"]),
                Error,
                "code_response_type_not_supported",
            ),
            (
                "grant_types_supported",
                json!(["implicit"]),
                Error,
                "authorization_code_grant_not_supported",
            ),
            ("code_challenge_methods_supported", json!(null), Warning, "pkce_not_supported"),
            ("code_challenge_methods_supported", json!([]), Warning, "pkce_not_supported"),
            (
                "code_challenge_methods_supported",
                json!(["plain"]),
                Error,
                "s256_code_challenge_method_not_supported",
            ),
            ("registration_endpoint", json!(null), Warning, "dynamic_registration_not_supported"),
            (
                "client_id_metadata_document_supported",
                json!(false),
                Warning,
                "client_id_metadata_document_not_supported",
            ),
            (
                "authorization_response_iss_parameter_supported",
                json!("true"),
                Warning,
                "issuer_identification_not_supported",
            ),
        ];
        for (member, value, severity, code) in rows {
            let mut document = complete();
            document[member] = value;
            let broken: Vec<_> = findings_of(document)
                .into_iter()
                .filter(|finding| finding.severity > Severity::Pass)
                .collect();
            assert!(
                matches!(broken[..], [one] if (one.severity, one.code) == (severity, code)),
                "{member}: {broken:?}"
            );
        }
    }

    #[test]
    fn response_types_may_combine_words() {
        let mut document = complete();
        document["response_types_supported"] = json!(["id_token", "code id_token"]);
        assert!(findings_of(document).iter().all(|finding| finding.severity == Severity::Pass));
    }
}
