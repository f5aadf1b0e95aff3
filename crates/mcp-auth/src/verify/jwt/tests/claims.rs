//! How claims are read: in the forms that issuers use, and never with a wrong type.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::model::auth_info::AuthInfo;
use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::resource_context::ResourceContext;
use crate::model::verified_token::VerifiedToken;
use crate::policy::authorization::Policy;
use crate::policy::operation::Operation;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::jwt_rules::JwtRules;

const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://api.example.com/mcp";

/// A token with these claims, and also an issuer, a subject and an expiry at second 1000.
fn token(claims: &str) -> Result<VerifiedToken, Denial> {
    let comma = if claims.is_empty() { "" } else { "," };
    let json = format!(r#"{{"iss":"{ISSUER}","sub":"alice","exp":1000{comma}{claims}}}"#);
    Claims::parse(json.into_bytes())?.into_token(&JwtRules::new(ISSUER))
}

/// The caller with such a token, at second 500.
fn caller(claims: &str) -> Result<AuthInfo, Denial> {
    let resource =
        ResourceContext { audiences: vec![RESOURCE.to_owned()], ..ResourceContext::default() };
    let policy =
        Policy { issuers: vec![ISSUER.into()], resource: resource.into(), ..Policy::default() };
    let headers: HeaderMap =
        [(AUTHORIZATION, HeaderValue::from_static("Bearer abc"))].into_iter().collect();
    let now = UNIX_EPOCH + Duration::from_secs(500);
    policy.authorize(
        token(claims)?,
        Credentials::from_headers(&headers)?,
        &Operation::default(),
        now,
    )
}

#[test]
fn scopes_are_read_from_scope_scp_and_scopes() {
    for (claims, expected) in [
        ("", ""),
        (r#""scope":"read write""#, "read write"),
        (r#""scope":"  read   write read ""#, "read write"),
        (r#""scope":"""#, ""),
        (r#""scope":" ""#, ""),
        (r#""scope":null"#, ""),
        (r#""scope":["read","write"]"#, "read write"),
        (r#""scope":[]"#, ""),
        (r#""scope":[""]"#, ""),
        (r#""scope":"r\u0065ad""#, "read"),
        (r#""scp":"User.Read Mail.Read""#, "User.Read Mail.Read"),
        (r#""scp":["openid","read"]"#, "openid read"),
        (r#""scopes":["read"]"#, "read"),
        (r#""scopes":"read""#, "read"),
        // The first claim that is present is used, never the union.
        (r#""scope":"read","scp":["admin"],"scopes":["root"]"#, "read"),
        (r#""scopes":["root"],"scp":["admin"],"scope":"read""#, "read"),
        (r#""scope":"","scp":"admin""#, ""),
        (r#""scope":null,"scp":"read""#, "read"),
        // Names are compared byte for byte, and other claims grant nothing.
        (r#""Scope":"read""#, ""),
        (r#""permissions":["read"],"roles":["admin"],"realm_access":{"roles":["root"]}"#, ""),
        (r#""scope":"read\twrite""#, "read\twrite"),
    ] {
        let token = token(claims).expect(claims);
        assert_eq!(token.data().scopes.as_str(), expected, "{claims}");
    }
}

#[test]
fn the_client_is_read_from_client_id_azp_appid_and_cid() {
    for (claims, expected) in [
        ("", None),
        (r#""client_id":"a""#, Some("a")),
        (r#""azp":"a""#, Some("a")),
        (r#""appid":"a""#, Some("a")),
        (r#""cid":"a""#, Some("a")),
        (r#""cid":"d","appid":"c","azp":"b","client_id":"a""#, Some("a")),
        (r#""cid":"d","appid":"c","azp":"b""#, Some("b")),
        (r#""cid":"d","appid":"c""#, Some("c")),
        (r#""client_id":"","azp":"b""#, Some("b")),
        (r#""client_id":null,"azp":"b""#, Some("b")),
        (r#""client_id":"\u0061\"\\""#, Some("a\"\\")),
        (r#""client":"a","clientId":"a","Client_Id":"a""#, None),
    ] {
        let auth = caller(&with_audience(claims)).expect(claims);
        assert_eq!(auth.client_id(), expected, "{claims}");
    }
}

#[test]
fn aud_is_a_string_or_an_array() {
    for (claims, expected) in [
        ("", &[][..]),
        (r#""aud":null"#, &[]),
        (r#""aud":[]"#, &[]),
        (r#""aud":"a""#, &["a"]),
        (r#""aud":"""#, &[""]),
        (r#""aud":["a"]"#, &["a"]),
        (r#""aud":["a","b\u0062"]"#, &["a", "bb"]),
        // RFC 7519 §4.1.3: a string is one audience, whatever is in it.
        (r#""aud":"a b""#, &["a b"]),
        (r#""aud":"[\"a\"]""#, &[r#"["a"]"#]),
    ] {
        let token = token(claims).expect(claims);
        assert_eq!(token.audiences().collect::<Vec<_>>(), expected, "{claims}");
    }
}

#[test]
fn fractional_times_are_rounded_against_the_caller() {
    for (claims, expected) in [
        ("", 0),
        (r#""nbf":5"#, 5),
        (r#""nbf":5.0"#, 5),
        (r#""nbf":5.1"#, 6),
        (r#""iat":5"#, 5),
        (r#""iat":5.000001"#, 6),
        (r#""iat":5,"nbf":7"#, 7),
        (r#""iat":7,"nbf":5"#, 7),
        (r#""iat":null,"nbf":null"#, 0),
        (r#""nbf":1e3"#, 1000),
        (r#""nbf":9007199254740991"#, 9_007_199_254_740_991),
    ] {
        assert_eq!(token(claims).expect(claims).data().not_before, expected, "{claims}");
    }
    for (exp, expected) in [
        ("1", 1),
        ("1999.9", 1999),
        ("0.5", 0),
        ("1e9", 1_000_000_000),
        ("9007199254740991", 9_007_199_254_740_991),
        ("1300819380", 1_300_819_380),
    ] {
        let json = format!(r#"{{"iss":"i","sub":"s","exp":{exp}}}"#);
        let claims = Claims::parse(json.into_bytes()).expect(exp);
        assert_eq!(claims.expires_at(), Some(expected), "{exp}");
    }
}

#[test]
fn a_claim_of_the_wrong_type_is_not_treated_as_missing() {
    let wrong: &[(&str, &[&str])] = &[
        ("aud", &["1", "true", "{}", r#"["a",1]"#, "[null]", r#"[["a"]]"#, r#"{"a":"b"}"#]),
        ("nbf", &["\"5\"", "true", "{}", "[]", "[5]", "-1", "1e400", "9007199254740992"]),
        ("iat", &["\"5\"", "true", "{}", "[]", "-1", "1e400"]),
        ("scope", &["1", "true", "{}", r#"{"read":true}"#, r#"["read",1]"#, r#"[["read"]]"#]),
        ("client_id", &["1", "{}", "[]", r#"["a"]"#, "true"]),
        ("azp", &["1", r#"["a"]"#]),
        // Strings that are not valid Unicode.
        ("aud", &[r#""\ud800""#]),
        ("scope", &[r#""read\udfff""#]),
        ("client_id", &[r#""\ud800""#]),
    ];
    for (name, values) in wrong {
        for value in *values {
            let claims = format!("{name:?}:{value}");
            let denial = token(&claims).expect_err(&claims);
            assert_eq!(denial.reason(), Some(Reason::Claims), "{claims}");
        }
    }
}

#[test]
fn a_claim_whose_name_is_not_registered_is_never_refused() {
    for name in ["scp", "scopes", "appid", "cid"] {
        for value in ["1", "{}", "false", "[null]", r#"[["a"]]"#, r#""\ud800""#] {
            let claims = format!("{name:?}:{value}");
            let token = token(&claims).expect(&claims);
            let data = token.data();
            assert!(data.client_id.is_none() && data.scopes.is_empty(), "{claims}");
        }
    }
}

#[test]
fn a_token_without_our_audience_is_verified_but_not_authorized() {
    for claims in [
        "",
        r#""aud":null"#,
        r#""aud":[]"#,
        r#""aud":"""#,
        r#""aud":"https://api.example.com/mcp/""#,
        r#""aud":"https://api.example.com""#,
        r#""aud":"https://api.example.com/MCP""#,
        r#""aud":"https://api.example.com/mcp https://other.example""#,
        r#""aud":["https://api.example.com/mcpx"]"#,
        r#""resource":"https://api.example.com/mcp""#,
    ] {
        assert_eq!(caller(claims).expect_err(claims).reason(), Some(Reason::Audience), "{claims}");
    }
    for claims in [
        r#""aud":"https://api.example.com/mcp""#,
        r#""aud":["https://other.example","https://api.example.com/mcp"]"#,
        r#""aud":"HTTPS://API.example.com/mcp""#,
        r#""aud":"https:\/\/api.example.com\/mcp""#,
    ] {
        assert!(caller(claims).is_ok(), "{claims}");
    }
}

#[test]
fn the_claims_are_given_as_they_were_signed() {
    let auth =
        caller(&with_audience(r#""team":"red","n":1.50,"nested":{"a":[1]}"#)).expect("admitted");
    assert!(auth.claims_json().ends_with(r#""team":"red","n":1.50,"nested":{"a":[1]}}"#));
    #[derive(serde::Deserialize)]
    struct Team {
        team: String,
    }
    assert_eq!(auth.claims::<Team>().map(|claims| claims.team).ok().as_deref(), Some("red"));
    assert_eq!((auth.subject(), auth.issuer()), ("alice", ISSUER));
    assert_eq!(auth.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(1000)));
}

#[test]
fn a_deeply_nested_claim_is_kept_and_cannot_overflow_the_stack() {
    let deep = format!(r#""deep":{}{}"#, "[".repeat(5000), "]".repeat(5000));
    let auth = caller(&with_audience(&deep)).expect("admitted");
    assert!(auth.claims::<serde_json::Value>().is_err(), "serde_json stops at 128 levels");
    #[derive(serde::Deserialize)]
    struct Subject {
        sub: String,
    }
    assert_eq!(auth.claims::<Subject>().map(|claims| claims.sub).ok().as_deref(), Some("alice"));
}

fn with_audience(claims: &str) -> String {
    let comma = if claims.is_empty() { "" } else { "," };
    format!(r#""aud":"{RESOURCE}"{comma}{claims}"#)
}
