//! Tests of how claims are read.

use http::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::model::credentials::Credentials;
use crate::model::resource_context::ResourceContext;
use crate::model::verified_token::API_KEY_ISSUER;
use crate::model::verified_token::VerifiedToken;
use crate::policy::authorization::Policy;
use crate::policy::operation::Operation;

const RESOURCE: &str = "https://api.example.com/mcp";

/// An admitted caller: `alice` through `inspector`, with these claims.
fn caller(claims: &Value) -> AuthInfo {
    caller_as("alice", Some("inspector"), claims)
}

fn caller_as(subject: &str, client: Option<&str>, claims: &Value) -> AuthInfo {
    let resource = ResourceContext {
        audiences: vec![RESOURCE.to_owned(), "api://orders".to_owned()],
        ..ResourceContext::default()
    };
    let policy = Policy {
        issuers: vec!["https://auth.example.com".into(), API_KEY_ISSUER.into()],
        resource: resource.into(),
        ..Policy::default()
    };
    let issuer = claims["iss"].as_str().unwrap_or("https://auth.example.com");
    let token = VerifiedToken::assert(issuer, subject).audience(RESOURCE);
    let token = client.into_iter().fold(token, |token, client| token.client_id(client));
    let token = token.with_claims(claims).expect("an object");
    let bearer = HeaderValue::from_static("Bearer abc");
    let credentials = Credentials::from_headers(&[(AUTHORIZATION, bearer)].into_iter().collect());
    let credentials = credentials.expect("credentials");
    let caller = policy.authorize(token, credentials, &Operation::default(), UNIX_EPOCH);
    caller.expect("admitted")
}

#[test]
fn claim_values_are_read_as_strings_or_scim_objects() {
    let rows: [(Value, &[&str]); 9] = [
        (json!(["a", "b"]), &["a", "b"]),
        (json!([{"value": "a", "display": "A"}, {"value": "b"}]), &["a", "b"]),
        (json!(["a", {"value": "b"}, {"display": "c"}, 7, null, [], {"value": 1}]), &["a", "b"]),
        (json!("a"), &["a"]),
        (json!("a b"), &["a b"]),
        (json!([]), &[]),
        (json!(null), &[]),
        (json!({"value": "a"}), &[]),
        (json!(7), &[]),
    ];
    for (value, expected) in rows {
        let caller =
            caller(&json!({"roles": value, "groups": value, "entitlements": value, "amr": value}));
        for found in [caller.roles(), caller.groups(), caller.entitlements(), caller.amr()] {
            assert_eq!(found, expected, "{value}");
        }
    }
    assert_eq!(caller(&json!({})).roles(), [""; 0]);
}

#[test]
fn acr_and_auth_time_are_read() {
    let rows = [
        (json!({"acr": "mfa", "auth_time": 1000}), Some("mfa"), Some(1000)),
        (json!({"acr": 1, "auth_time": "1000"}), None, None),
        (json!({"acr": null, "auth_time": -1}), None, None),
        (json!({"auth_time": 1000.9}), None, Some(1000)),
        (json!({}), None, None),
    ];
    for (claims, acr, at) in rows {
        let caller = caller(&claims);
        assert_eq!(caller.acr().as_deref(), acr, "{claims}");
        let at = at.map(|second| UNIX_EPOCH + Duration::from_secs(second));
        assert_eq!(caller.auth_time(), at, "{claims}");
    }
}

#[test]
fn the_outermost_act_is_the_actor_and_a_malformed_act_still_counts() {
    let nested = json!({
        "act": {"sub": "agent", "iss": "https://agents.example", "act": {"sub": "admin"}},
        "may_act": {"sub": "deputy", "client_id": "x"},
    });
    let caller = caller(&nested);
    let actor = caller.actor().expect("an actor");
    assert_eq!(actor.subject().as_deref(), Some("agent"));
    assert_eq!(actor.issuer().as_deref(), Some("https://agents.example"));
    let prior = actor.prior().expect("an actor before it");
    assert_eq!((prior.subject().as_deref(), prior.prior().is_none()), (Some("admin"), true));
    let deputy = caller.may_act().expect("a deputy");
    assert_eq!(deputy.client_id().as_deref(), Some("x"));
    assert_eq!(deputy.claims::<Value>().expect("an object")["sub"], "deputy");

    let nobody = self::caller(&json!({"act": null}));
    assert!(nobody.actor().is_none() && nobody.may_act().is_none());
    for malformed in [json!("agent"), json!([]), json!({}), json!({"sub": 7}), json!(false)] {
        let caller = self::caller(&json!({"act": malformed}));
        let actor = caller.actor().expect("an actor about whom nothing is known");
        assert_eq!(actor.subject(), None, "{malformed}");
    }
}

#[test]
fn authorization_details_are_those_of_the_type_for_this_resource() {
    let pay = |extra: Value| {
        let mut detail = json!({"type": "pay"});
        detail.as_object_mut().expect("it").extend(extra.as_object().cloned().expect("an object"));
        detail
    };
    let rows = [
        (json!([pay(json!({}))]), 1),
        (json!([pay(json!({})), pay(json!({}))]), 2),
        (json!([pay(json!({"locations": [RESOURCE]}))]), 1),
        (
            json!([pay(
                json!({"locations": ["https://else.example", "HTTPS://API.example.com/mcp"]})
            )]),
            1,
        ),
        (json!([pay(json!({"locations": ["api://orders"]}))]), 1),
        (json!([pay(json!({"locations": ["https://else.example"]}))]), 0),
        (json!([pay(json!({"locations": []}))]), 0),
        (json!([pay(json!({"locations": RESOURCE}))]), 0),
        (json!([pay(json!({"locations": [RESOURCE, 7]}))]), 0),
        (json!([{"type": "Pay"}, {"type": 7}, {}, "pay", null]), 0),
        (json!({"type": "pay"}), 0),
        (json!("pay"), 0),
    ];
    for (details, number) in rows {
        let caller = caller(&json!({"authorization_details": details}));
        assert_eq!(caller.authorization_details("pay").len(), number, "{details}");
    }
    let caller = caller(&json!({"authorization_details": [
        pay(json!({"actions": ["initiate"], "identifier": "account-1", "max": 5})),
    ]}));
    let detail = caller.authorization_details("pay")[0];
    assert_eq!(detail.actions(), ["initiate"]);
    assert_eq!(detail.identifier().as_deref(), Some("account-1"));
    assert_eq!(detail.read::<Value>().expect("JSON")["max"], 5);
}

#[test]
fn caller_kinds_are_distinguished() {
    use CallerKind::{ApiKey, Client, Unknown, User};
    let rows = [
        ("ci", None, json!({"iss": API_KEY_ISSUER}), ApiKey),
        ("robot", Some("robot"), json!({}), Client),
        ("robot", Some("robot"), json!({"amr": ["pwd"]}), Client),
        ("robot", Some("robot"), json!({"idtyp": "user"}), User),
        ("robot@clients", Some("robot"), json!({}), Client),
        ("robot@clients", Some("other"), json!({}), Unknown),
        ("robot", None, json!({}), Unknown),
        ("alice", Some("inspector"), json!({}), Unknown),
        ("alice", Some("inspector"), json!({"gty": "client-credentials"}), Client),
        ("alice", Some("inspector"), json!({"gty": "password"}), Unknown),
        ("alice", Some("inspector"), json!({"idtyp": "app"}), Client),
        ("alice", Some("inspector"), json!({"idtyp": "app", "auth_time": 1}), Client),
        ("alice", Some("inspector"), json!({"idtyp": "device"}), Unknown),
        ("alice", Some("inspector"), json!({"auth_time": 1000}), User),
        ("alice", Some("inspector"), json!({"auth_time": null}), Unknown),
        ("alice", Some("inspector"), json!({"auth_time": 0}), Unknown),
        ("alice", Some("inspector"), json!({"auth_time": -1}), Unknown),
        ("alice", Some("inspector"), json!({"auth_time": false}), Unknown),
        ("alice", Some("inspector"), json!({"auth_time": 0, "amr": ["pwd"]}), User),
        ("alice", Some("inspector"), json!({"amr": ["pwd"]}), User),
        ("alice", Some("inspector"), json!({"amr": "pwd"}), User),
        ("alice", Some("inspector"), json!({"amr": []}), Unknown),
        ("alice", Some("inspector"), json!({"amr": [""]}), Unknown),
        ("alice", Some("inspector"), json!({"amr": ""}), Unknown),
        ("alice", Some("inspector"), json!({"amr": {}}), Unknown),
        ("alice", Some("inspector"), json!({"uid": "00u1"}), Unknown),
    ];
    for (subject, client, claims, kind) in rows {
        assert_eq!(
            caller_as(subject, client, &claims).kind(),
            kind,
            "{subject} {client:?} {claims}"
        );
    }
}

#[test]
fn nothing_of_a_token_is_shown_that_is_not_a_name() {
    let caller = caller(&json!({
        "act": {"sub": "agent", "secret": "hidden"},
        "authorization_details": [{"type": "pay", "iban": "hidden"}],
    }));
    let shown = format!("{:?} {:?}", caller.actor(), caller.authorization_details("pay"));
    assert!(
        shown.contains("agent") && shown.contains("pay") && !shown.contains("hidden"),
        "{shown}"
    );
}
