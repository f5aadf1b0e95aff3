//! DPoP: the twelve checks of RFC 9449 §4.3, replays, nonces, downgrades, and challenges.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response};
use http_body_util::Full;
use mcp_auth::{
    BadProof, Challenge, ConfigError, Credentials, Denial, DenialKind, Dpop, McpAuth, Reason,
    VerifiedToken,
};
use mcp_auth_testkit::{DpopKey, ProofBuilder, SigningAlgorithm, TestIssuer, TokenBuilder};
use serde_json::{Value, json};

use crate::world::{RESOURCE, admit, answer, bearer, request, shown};

/// A resource, an issuer, a client's key, and a token bound to that key.
struct World {
    issuer: TestIssuer,
    auth: McpAuth,
    key: DpopKey,
    token: String,
}

impl World {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(dpop: Option<Dpop>) -> Self {
        let issuer = TestIssuer::new();
        let builder = issuer.protects(RESOURCE).required_scopes(["read"]);
        let builder = match dpop {
            Some(dpop) => builder.dpop(dpop),
            None => builder,
        };
        let key = DpopKey::generate(issuer.clone());
        let token = issuer.token().scopes(["read"]).dpop_bound(&key).sign();
        Self { auth: builder.build().expect("a description"), issuer, key, token }
    }

    fn token(&self) -> TokenBuilder {
        self.issuer.token().scopes(["read"])
    }

    fn proof(&self) -> ProofBuilder {
        self.key.proof("POST", RESOURCE).token(&self.token)
    }

    async fn answer(&self, headers: HeaderMap) -> Response<Bytes> {
        answer(&self.auth, request(headers)).await
    }

    /// The outcome for the default token with this proof.
    async fn outcome(&self, proof: ProofBuilder) -> Result<(), BadProof> {
        outcome(&self.auth, &dpop(&self.token, &proof.sign())).await
    }
}

/// The headers of a request with this token and this proof.
fn dpop(token: &str, proof: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("DPoP {token}").parse().expect("a header value"));
    headers.insert("dpop", proof.parse().expect("a header value"));
    headers
}

async fn outcome(auth: &McpAuth, headers: &HeaderMap) -> Result<(), BadProof> {
    match admit(auth, headers).await {
        Ok(caller) => {
            assert!(caller.confirmation().is_some_and(|confirmation| confirmation.jkt().is_some()));
            Ok(())
        }
        Err(denial) => match denial.kind() {
            DenialKind::InvalidProof(why) => Err(*why),
            other => panic!("{other:?}, {denial}"),
        },
    }
}

fn challenge(response: &Response<Bytes>) -> &str {
    let fields: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(fields.len(), 1, "one field, since some clients read the first alone");
    fields[0].to_str().expect("ASCII")
}

#[tokio::test]
async fn each_of_the_twelve_checks_of_rfc_9449_is_enforced() {
    let world = World::new();
    let other = DpopKey::generate(world.issuer.clone());
    let now: i64 = 1_785_196_800; // the start of the manual clock
    let p = || world.proof();
    let private = {
        let mut jwk = world.key.jwk();
        jwk["d"] = json!("AQ");
        jwk
    };
    let with = |name: &str, value: Value| {
        let mut jwk = world.key.jwk();
        jwk[name] = value;
        jwk
    };
    let rows: Vec<(&str, ProofBuilder, Result<(), BadProof>)> = vec![
        ("2: one JWT", p(), Ok(())),
        ("2: claims are an array", p().payload("[]"), Err(BadProof::Malformed)),
        ("2: claims are no JSON", p().payload("{"), Err(BadProof::Malformed)),
        ("2: a claim twice", p().payload(r#"{"jti":"1","jti":"2"}"#), Err(BadProof::Malformed)),
        ("2: critical", p().header("crit", json!(["exp"])), Err(BadProof::Malformed)),
        ("3: unknown claims are ignored", p().claim("x", 1), Ok(())),
        ("3: no jti", p().without("jti"), Err(BadProof::Claims)),
        ("3: jti is empty", p().claim("jti", ""), Err(BadProof::Claims)),
        ("3: jti is a number", p().claim("jti", 1), Err(BadProof::Claims)),
        ("3: no htm", p().without("htm"), Err(BadProof::Claims)),
        ("3: htm is a list", p().claim("htm", json!(["POST"])), Err(BadProof::Claims)),
        ("3: no htu", p().without("htu"), Err(BadProof::Claims)),
        ("3: no iat", p().without("iat"), Err(BadProof::Claims)),
        ("3: iat is text", p().claim("iat", now.to_string()), Err(BadProof::Claims)),
        ("3: iat is negative", p().claim("iat", -1), Err(BadProof::Claims)),
        ("3: iat is huge", p().claim("iat", 1e300), Err(BadProof::Claims)),
        ("4: typ as a media type", p().header("typ", "application/dpop+jwt"), Ok(())),
        ("4: typ in another case", p().header("typ", "DPoP+JWT"), Ok(())),
        ("4: no typ", p().without_header("typ"), Err(BadProof::Type)),
        ("4: typ of a JWT", p().header("typ", "JWT"), Err(BadProof::Type)),
        ("4: typ of an access token", p().header("typ", "at+jwt"), Err(BadProof::Type)),
        ("4: typ is null", p().header("typ", json!(null)), Err(BadProof::Type)),
        ("5: alg none", p().header("alg", "none"), Err(BadProof::Algorithm)),
        ("5: alg HS256", p().header("alg", "HS256"), Err(BadProof::Algorithm)),
        ("5: alg ML-DSA-44", p().header("alg", "ML-DSA-44"), Err(BadProof::Algorithm)),
        ("5: no alg", p().without_header("alg"), Err(BadProof::Malformed)),
        ("6: alg of another kind of key", p().header("alg", "RS256"), Err(BadProof::Key)),
        ("6: alg of another curve", p().header("alg", "ES384"), Err(BadProof::Key)),
        ("6: key for encryption", p().header("jwk", with("use", json!("enc"))), Err(BadProof::Key)),
        ("6: key to sign", p().header("jwk", with("use", json!("sig"))), Ok(())),
        (
            "6: key_ops without verify",
            p().header("jwk", with("key_ops", json!(["sign"]))),
            Err(BadProof::Key),
        ),
        ("6: key_ops with verify", p().header("jwk", with("key_ops", json!(["verify"]))), Ok(())),
        (
            "6: the key has another alg",
            p().header("jwk", with("alg", json!("ES384"))),
            Err(BadProof::Key),
        ),
        ("7: no jwk", p().without_header("jwk"), Err(BadProof::Key)),
        ("7: jwk is text", p().header("jwk", "a key"), Err(BadProof::Key)),
        ("7: a private key", p().header("jwk", private), Err(BadProof::Key)),
        ("7: a secret", p().header("jwk", json!({"kty": "oct", "k": "AQ"})), Err(BadProof::Key)),
        ("7: jku is not followed", p().header("jku", "https://evil.example/jwks"), Ok(())),
        (
            "7: jku alone",
            p().without_header("jwk").header("jku", "https://evil.example/jwks"),
            Err(BadProof::Key),
        ),
        ("8: another method", p().claim("htm", "GET"), Err(BadProof::Method)),
        ("8: in another case", p().claim("htm", "post"), Err(BadProof::Method)),
        ("8: another spelling", p().claim("htm", "POST "), Err(BadProof::Method)),
        ("9: with query and fragment", p().claim("htu", format!("{RESOURCE}?a=b#c")), Ok(())),
        ("9: in another case", p().claim("htu", "HTTPS://API.example.com:443/%6dcp"), Ok(())),
        ("9: another path", p().claim("htu", "https://api.example.com/MCP"), Err(BadProof::Url)),
        ("9: a path below", p().claim("htu", format!("{RESOURCE}/x")), Err(BadProof::Url)),
        ("9: another host", p().claim("htu", "https://evil.example/mcp"), Err(BadProof::Url)),
        ("9: another scheme", p().claim("htu", "http://api.example.com/mcp"), Err(BadProof::Url)),
        (
            "9: another port",
            p().claim("htu", "https://api.example.com:8443/mcp"),
            Err(BadProof::Url),
        ),
        ("9: no URL", p().claim("htu", "/mcp"), Err(BadProof::Url)),
        ("10: a nonce where none is asked for", p().claim("nonce", "x"), Ok(())),
        ("10: a nonce that is none", p().claim("nonce", 1), Err(BadProof::Claims)),
        ("11: as old as may be", p().claim("iat", now - 120), Ok(())),
        ("11: a fraction", p().claim("iat", now as f64 - 0.5), Ok(())),
        ("11: too old", p().claim("iat", now - 121), Err(BadProof::Time)),
        ("11: from another clock", p().claim("iat", now + 60), Ok(())),
        ("11: from the future", p().claim("iat", now + 61), Err(BadProof::Time)),
        ("11: in milliseconds", p().claim("iat", now * 1000), Err(BadProof::Time)),
        ("12: no ath", p().without("ath"), Err(BadProof::Claims)),
        ("12: for another token", p().token("another"), Err(BadProof::AthMismatch)),
        (
            "12: for the token and a bit",
            p().token(&format!("{}=", world.token)),
            Err(BadProof::AthMismatch),
        ),
        (
            "12: of another key",
            other.proof("POST", RESOURCE).token(&world.token),
            Err(BadProof::KeyMismatch),
        ),
        (
            "6 and 12: with the owner's key, signed by another",
            other.proof("POST", RESOURCE).token(&world.token).header("jwk", world.key.jwk()),
            Err(BadProof::Signature),
        ),
    ];
    for (name, proof, expected) in rows {
        assert_eq!(world.outcome(proof).await, expected, "{name}");
    }

    // Check 1: not more than one header. Check 2: a well-formed JWT.
    let good = world.proof().sign();
    for (name, fields, expected) in [
        ("1: none", vec![], Err(BadProof::Missing)),
        ("1: two", vec![good.clone(), world.proof().sign()], Err(BadProof::Repeated)),
        ("1: the same twice", vec![good.clone(), good.clone()], Err(BadProof::Repeated)),
        ("1: two in one field", vec![format!("{good}, {good}")], Err(BadProof::Malformed)),
        ("2: empty", vec![String::new()], Err(BadProof::Malformed)),
        ("2: two parts", vec!["a.b".to_owned()], Err(BadProof::Malformed)),
        ("2: five parts", vec!["AA.AA.AA.AA.AA".to_owned()], Err(BadProof::Malformed)),
        ("2: padding", vec![format!("{good}=")], Err(BadProof::Malformed)),
        ("2: quoted", vec![format!("\"{good}\"")], Err(BadProof::Malformed)),
        ("2: too long", vec!["a".repeat(20_000)], Err(BadProof::Malformed)),
        ("1: one", vec![good], Ok(())),
    ] {
        let mut headers = dpop(&world.token, "");
        headers.remove("dpop");
        for field in fields {
            headers.append("dpop", field.parse().expect("a header value"));
        }
        assert_eq!(outcome(&world.auth, &headers).await, expected, "{name}");
    }
}

#[tokio::test]
async fn proofs_of_every_algorithm_that_is_named_are_accepted() {
    let world = World::with(Some(Dpop::optional()));
    let metadata: Value = serde_json::from_str(world.auth.metadata_json()).expect("JSON");
    let named: Vec<_> = metadata["dpop_signing_alg_values_supported"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let challenged = challenge(&world.answer(HeaderMap::new()).await).to_owned();
    assert!(challenged.ends_with(&format!("DPoP algs=\"{}\"", named.join(" "))), "{challenged}");
    for algorithm in SigningAlgorithm::ALL {
        let key = DpopKey::generate_for(algorithm, world.issuer.clone());
        let is_named = named.contains(&algorithm.name());
        assert_eq!(is_named, !algorithm.name().starts_with("ML-DSA"));
        if !is_named {
            continue;
        }
        let token = world.token().dpop_bound(&key).sign();
        let proof = key.proof("POST", RESOURCE).token(&token).sign();
        assert_eq!(outcome(&world.auth, &dpop(&token, &proof)).await, Ok(()), "{algorithm}");
    }
}

#[tokio::test]
async fn a_proof_is_accepted_once_and_never_after_it_expires() {
    let world = World::new();
    let proof = world.proof().sign();
    let headers = dpop(&world.token, &proof);
    assert_eq!(outcome(&world.auth, &headers).await, Ok(()));
    for _ in 0..3 {
        assert_eq!(outcome(&world.auth, &headers).await, Err(BadProof::Replayed));
        world.issuer.clock().advance(Duration::from_secs(40));
    }
    assert_eq!(outcome(&world.auth, &headers).await, Err(BadProof::Replayed), "in its last second");
    world.issuer.clock().advance(Duration::from_secs(1));
    assert_eq!(outcome(&world.auth, &headers).await, Err(BadProof::Time));

    // One `jti` with two times, and with two keys.
    let again = world.proof().claim("jti", "1");
    assert_eq!(world.outcome(again.clone()).await, Ok(()));
    let later = again.clone().claim("iat", 1_785_196_800 + 130);
    assert_eq!(world.outcome(later).await, Err(BadProof::Replayed));
    let other = DpopKey::generate(world.issuer.clone());
    let token = world.token().dpop_bound(&other).sign();
    let proof = other.proof("POST", RESOURCE).token(&token).claim("jti", "1").sign();
    assert_eq!(outcome(&world.auth, &dpop(&token, &proof)).await, Ok(()));
}

#[tokio::test]
async fn two_requests_at_once_do_not_share_a_proof() {
    let world = World::new();
    let headers = dpop(&world.token, &world.proof().sign());
    let tries = (0..16).map(|_| {
        let (auth, headers) = (world.auth.clone(), headers.clone());
        tokio::spawn(async move { outcome(&auth, &headers).await })
    });
    let tries: Vec<_> = tries.collect();
    let mut admitted = 0;
    for one in tries {
        admitted += usize::from(one.await.expect("no panic").is_ok());
    }
    assert_eq!(admitted, 1);
}

#[tokio::test]
async fn only_proofs_with_a_valid_token_use_the_replay_cache() {
    let world = World::with(Some(Dpop::optional().replay_cache_capacity(4)));
    let other_key = DpopKey::generate(world.issuer.clone());
    let elsewhere = world.token().audience("https://api.example.com/mail").dpop_bound(&other_key);
    let expired = world.token().expired().dpop_bound(&other_key);
    let forged = TestIssuer::new().token().dpop_bound(&other_key);
    for token in [elsewhere.sign(), expired.sign(), forged.sign(), world.token.clone()] {
        for _ in 0..250 {
            let proof = other_key.proof("POST", RESOURCE).token(&token).sign();
            assert!(admit(&world.auth, &dpop(&token, &proof)).await.is_err());
        }
    }
    // Each subject may use one entry of four. Then its quota is used up, which affects no other subject.
    assert_eq!(world.outcome(world.proof()).await, Ok(()));
    let full = world.answer(dpop(&world.token, &world.proof().sign())).await;
    assert_eq!((full.status().as_u16(), full.headers().get(WWW_AUTHENTICATE)), (503, None));
    assert_eq!(full.headers()["retry-after"], "30");

    let other = DpopKey::generate(world.issuer.clone());
    for (subject, status) in [("alice", 503), ("bob", 200)] {
        let token = world.token().subject(subject).dpop_bound(&other).sign();
        let proof = other.proof("POST", RESOURCE).token(&token).sign();
        let response = world.answer(dpop(&token, &proof)).await;
        assert_eq!(response.status().as_u16(), status, "{subject} with another key");
    }

    world.issuer.clock().advance(Duration::from_secs(200));
    let token = world.token().dpop_bound(&world.key).sign();
    let proof = world.key.proof("POST", RESOURCE).token(&token).sign();
    assert_eq!(outcome(&world.auth, &dpop(&token, &proof)).await, Ok(()), "time helps");
}

#[tokio::test]
async fn a_bound_token_is_refused_as_bearer_and_an_unbound_one_needs_no_proof() {
    for settings in [None, Some(Dpop::optional())] {
        let world = World::with(settings);
        let refused = |headers: HeaderMap| {
            let auth = world.auth.clone();
            async move { admit(&auth, &headers).await.expect_err("refused").reason() }
        };
        assert_eq!(refused(bearer(&world.token)).await, Some(Reason::Binding));
        let mut with_proof = bearer(&world.token);
        with_proof.insert("dpop", world.proof().sign().parse().expect("a header value"));
        assert_eq!(refused(with_proof).await, Some(Reason::Binding), "whatever else is sent");

        let plain = world.token().sign();
        let proof = world.key.proof("POST", RESOURCE).token(&plain).sign();
        assert_eq!(refused(dpop(&plain, &proof)).await, Some(Reason::NotSenderConstrained));
        let caller = admit(&world.auth, &bearer(&plain)).await.expect("admitted");
        assert_eq!(caller.confirmation(), None);
        let mut beside = bearer(&plain);
        beside.append("dpop", HeaderValue::from_static("nonsense"));
        beside.append("dpop", HeaderValue::from_static("twice"));
        assert!(admit(&world.auth, &beside).await.is_ok(), "a proof is not looked at");
    }
}

#[tokio::test]
async fn cached_tokens_need_a_proof_for_each_request() {
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(world.outcome(world.proof()).await, Ok(()));
        let denial = admit(&world.auth, &bearer(&world.token)).await.expect_err("refused");
        assert_eq!(denial.reason(), Some(Reason::Binding));
        let wrong = world.proof().claim("htm", "GET");
        assert_eq!(world.outcome(wrong).await, Err(BadProof::Method));
    }
}

#[tokio::test]
async fn cnf_from_a_custom_verifier_binds_the_token() {
    let world = World::new();
    let jkt = world.key.thumbprint();
    let verifier = move |_: Credentials| {
        let claims = json!({ "cnf": { "jkt": jkt } });
        let token = VerifiedToken::assert("https://issuer.test", "alice")
            .audience(RESOURCE)
            .with_claims(&claims);
        async move { token.map_err(|_| Denial::invalid(Reason::Claims)) }
    };
    let auth = world.issuer.protects(RESOURCE).verifier(verifier).build().expect("a description");
    let denial = admit(&auth, &bearer("opaque")).await.expect_err("refused");
    assert_eq!(denial.reason(), Some(Reason::Binding));
    let proof = world.key.proof("POST", RESOURCE).token("opaque").sign();
    assert_eq!(outcome(&auth, &dpop("opaque", &proof)).await, Ok(()));
}

#[tokio::test]
async fn where_dpop_is_required_bearer_tokens_are_refused_and_not_offered() {
    let world = World::with(Some(Dpop::required()));
    let metadata: Value = serde_json::from_str(world.auth.metadata_json()).expect("JSON");
    assert_eq!(metadata["dpop_bound_access_tokens_required"], true);
    assert_eq!(world.outcome(world.proof()).await, Ok(()));
    let bearer = world.answer(bearer(&world.token().sign())).await;
    let denial = bearer.extensions().get::<Denial>().expect("a denial");
    assert_eq!(
        (bearer.status().as_u16(), denial.reason()),
        (401, Some(Reason::NotSenderConstrained))
    );
    for response in [&bearer, &world.answer(HeaderMap::new()).await] {
        let challenge = challenge(response);
        assert!(challenge.starts_with("DPoP ") && !challenge.contains("Bearer"), "{challenge}");
    }
}

#[tokio::test]
async fn dpop_challenges_match_their_snapshots() {
    type Row = (&'static str, Option<Dpop>, fn(&World) -> HeaderMap);
    let nothing: fn(&World) -> HeaderMap = |_| HeaderMap::new();
    let replayed: fn(&World) -> HeaderMap = |world| dpop(&world.token, "nonsense");
    let wrong: fn(&World) -> HeaderMap =
        |world| dpop(&world.token, &world.proof().claim("htu", "https://h").sign());
    let downgraded: fn(&World) -> HeaderMap = |world| bearer(&world.token);
    let no_scope: fn(&World) -> HeaderMap = |world| {
        let token = world.issuer.token().dpop_bound(&world.key).sign();
        dpop(&token, &world.key.proof("POST", RESOURCE).token(&token).sign())
    };
    let expired: fn(&World) -> HeaderMap = |world| {
        let token = world.token().expired().dpop_bound(&world.key).sign();
        dpop(&token, &world.key.proof("POST", RESOURCE).token(&token).sign())
    };
    let good: fn(&World) -> HeaderMap = |world| dpop(&world.token, &world.proof().sign());
    let twice: fn(&World) -> HeaderMap = |world| {
        let mut headers = dpop(&world.token, "a");
        headers.append(AUTHORIZATION, HeaderValue::from_static("DPoP b"));
        headers
    };
    let rows: [Row; 16] = [
        ("default, no credentials", None, nothing),
        ("default, bound as bearer", None, downgraded),
        ("default, wrong proof", None, wrong),
        ("default, insufficient scope", None, no_scope),
        ("default, admitted", None, good),
        ("optional, no credentials", Some(Dpop::optional()), nothing),
        ("optional, bound as bearer", Some(Dpop::optional()), downgraded),
        ("optional, malformed proof", Some(Dpop::optional()), replayed),
        ("optional, expired token", Some(Dpop::optional()), expired),
        ("optional, insufficient scope", Some(Dpop::optional()), no_scope),
        ("optional, repeated authorization", Some(Dpop::optional()), twice),
        ("required, no credentials", Some(Dpop::required()), nothing),
        ("required, bearer", Some(Dpop::required()), |world| bearer(&world.token().sign())),
        ("required, wrong proof", Some(Dpop::required()), wrong),
        ("optional with nonces, no nonce", Some(Dpop::optional().nonce_keys([[7; 32]])), good),
        ("required with nonces, no nonce", Some(Dpop::required().nonce_keys([[7; 32]])), good),
    ];
    for (name, settings, headers) in rows {
        let world = World::with(settings);
        let response = world.answer(headers(&world)).await;
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "dpop" }, {
            insta::assert_snapshot!(name.replace(", ", "_").replace(' ', "_"), shown(&response));
        });
    }
}

#[tokio::test]
async fn clients_that_know_only_bearer_can_parse_the_combined_challenge() {
    for (settings, headers) in [
        (Dpop::optional(), HeaderMap::new()),
        (Dpop::optional(), bearer("nonsense")),
        (Dpop::optional(), bearer(&World::new().token)),
    ] {
        let world = World::with(Some(settings));
        let plain = World::new();
        let with = challenge(&world.answer(headers.clone()).await).to_owned();
        let without = challenge(&plain.answer(headers).await).to_owned();
        // The same bytes as without DPoP, and then the challenge for DPoP.
        assert!(with.starts_with(&format!("{without}, DPoP algs=\"")), "{with}");
        let read = |text: &str| {
            let challenge = Challenge::parse(text).expect("a challenge");
            (challenge.error, challenge.scope, challenge.resource_metadata)
        };
        assert_eq!(read(&with), read(&without), "our own parser");
        for field in ["resource_metadata", "scope", "error", "error_description"] {
            // rmcp reads the first occurrence, TypeScript v1 and v2 the first match of
            // `field=(?:"([^"]+)"|([^\s,]+))`, mcp-remote the last match of `(\w+)=("[^"]*"|[\w-]+)`.
            assert_eq!(first(&with, field), first(&without, field), "{field}");
            assert_eq!(last(&with, field), last(&without, field), "{field}");
        }
        // TypeScript v1 requires `Bearer` and another word after it. v2 finds DPoP by `(?:^|,)\s*dpop(?:\s|$|,)`.
        assert_eq!(with.split(' ').next(), Some("Bearer"));
        assert!(with.contains(", DPoP "));
    }
}

/// The value after the first `field="`.
fn first<'h>(header: &'h str, field: &str) -> Option<&'h str> {
    header.split_once(&format!("{field}=\"")).and_then(|(_, rest)| rest.split('"').next())
}

/// The value after the last `field="` that is a whole word.
fn last<'h>(header: &'h str, field: &str) -> Option<&'h str> {
    header.rsplit_once(&format!(" {field}=\"")).and_then(|(_, rest)| rest.split('"').next())
}

#[tokio::test]
async fn nonces_are_required_issued_and_renewed() {
    let world = World::with(Some(Dpop::optional().nonces()));
    let refused = world.answer(dpop(&world.token, &world.proof().sign())).await;
    assert_eq!(refused.status(), 401);
    assert!(challenge(&refused).contains(r#"DPoP error="use_dpop_nonce""#));
    let nonce = nonce_of(&refused).expect("a nonce");

    let with = |nonce: &str| dpop(&world.token, &world.proof().claim("nonce", nonce).sign());
    let admitted = world.answer(with(&nonce)).await;
    assert_eq!(admitted.status(), 200);
    assert_eq!(nonce_of(&admitted), Some(nonce.clone()), "the same within its minute");

    world.issuer.clock().advance(Duration::from_secs(60));
    let renewed = nonce_of(&world.answer(with(&nonce)).await).expect("a nonce");
    assert_ne!(renewed, nonce, "a new one, long before the old one ends");

    world.issuer.clock().advance(Duration::from_secs(180));
    assert_eq!(world.answer(with(&nonce)).await.status(), 200, "in its last minute");
    for nonce in ["", "x", &nonce[..nonce.len() - 1], &nonce.to_lowercase()] {
        let outcome = outcome(&world.auth, &with(nonce)).await;
        let expected = if nonce.is_empty() { BadProof::Claims } else { BadProof::Nonce };
        assert_eq!(outcome, Err(expected), "{nonce:?}");
    }
    let of_another = World::with(Some(Dpop::optional().nonces()));
    let foreign = of_another.auth.dpop_nonce().expect("a nonce");
    let foreign = foreign.to_str().expect("ASCII");
    assert_eq!(outcome(&world.auth, &with(foreign)).await, Err(BadProof::Nonce));

    // The answer to a Bearer request has no nonce. An expired nonce is refused.
    assert_eq!(nonce_of(&world.answer(bearer(&world.token().sign())).await), None);
    world.issuer.clock().advance(Duration::from_secs(60));
    let token = world.token().dpop_bound(&world.key).sign();
    let proof = world.key.proof("POST", RESOURCE).token(&token).claim("nonce", nonce).sign();
    assert_eq!(outcome(&world.auth, &dpop(&token, &proof)).await, Err(BadProof::Nonce));
}

fn nonce_of(response: &Response<Bytes>) -> Option<String> {
    let nonce = response.headers().get("dpop-nonce")?;
    Some(nonce.to_str().expect("ASCII").to_owned())
}

#[tokio::test]
async fn cors_allows_dpop_and_exposes_dpop_nonce() {
    let world = World::with(Some(Dpop::optional().nonces()));
    let preflight = Request::options("/mcp")
        .header("origin", "https://api.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, dpop")
        .body(Full::default())
        .expect("a request");
    let allowed = answer(&world.auth, preflight).await;
    let text = |name: &str| allowed.headers()[name].to_str().expect("ASCII").to_owned();
    assert!(text("access-control-allow-headers").contains(", DPoP"));
    assert!(text("access-control-expose-headers").contains("DPoP-Nonce"));
}

#[tokio::test]
async fn the_inner_service_sees_neither_token_nor_proof() {
    let world = World::new();
    let whoami = tower::service_fn(|request: Request<_>| async move {
        let names = [
            "authorization",
            "dpop",
            "client-cert",
            "client-cert-chain",
            "x-forwarded-client-cert",
            "client.cert",
        ];
        assert!(!names.iter().any(|name| request.headers().contains_key(*name)));
        assert_eq!(request.headers()["x-other"], "kept");
        let _: mcp_auth::GuardedBody<Full<Bytes>> = request.into_body();
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let plain = world.token().sign();
    for headers in [dpop(&world.token, &world.proof().sign()), bearer(&plain)] {
        let mut headers = headers;
        for name in [
            "dpop",
            "client-cert",
            "client-cert-chain",
            "x-forwarded-client-cert",
            "client.cert",
            "x-other",
        ] {
            headers.entry(name).or_insert(HeaderValue::from_static("kept"));
        }
        let service = tower::Layer::layer(&world.auth.bearer_auth(), whoami);
        let response = tower::ServiceExt::oneshot(service, request(headers)).await;
        assert_eq!(response.expect("infallible").status(), 200);
    }
}

#[tokio::test]
async fn below_the_resource_htu_must_be_the_full_request_url() {
    let world = World::new();
    let inner =
        axum::routing::any(|auth: mcp_auth::AuthInfo| async move { auth.subject().to_owned() });
    let app = world.auth.protect(inner);
    for (path, htu, expected) in [
        ("/mcp", "https://api.example.com/mcp", 200),
        ("/mcp?x=1", "https://api.example.com/mcp", 200),
        ("/mcp/", "https://api.example.com/mcp/", 200),
        ("/mcp/x/y", "https://api.example.com/mcp/x/y", 200),
        ("/mcp/x", "https://api.example.com/mcp", 401),
        ("/mcp/x", "https://api.example.com/mcp/y", 401),
        ("/mcp", "https://api.example.com/mcp/x", 401),
        ("/mcp", "https://evil.example/mcp", 401),
    ] {
        let proof = world.key.proof("POST", htu).token(&world.token).sign();
        let mut request = Request::post(path)
            .header("host", "evil.example")
            .body(axum::body::Body::empty())
            .expect("a request");
        request.headers_mut().extend(dpop(&world.token, &proof));
        let response = tower::ServiceExt::oneshot(app.clone(), request).await.expect("infallible");
        assert_eq!(response.status().as_u16(), expected, "{path} {htu}");
    }
}

#[tokio::test]
async fn an_invalid_dpop_request_is_not_anonymous_with_optional_auth() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).optional().build().expect("a description");
    let key = DpopKey::generate(issuer.clone());
    let token = issuer.token().dpop_bound(&key).sign();
    let good = dpop(&token, &key.proof("POST", RESOURCE).token(&token).sign());
    for (headers, expected) in
        [(HeaderMap::new(), 200), (good, 200), (dpop(&token, "x"), 401), (dpop("a b", "x"), 400)]
    {
        assert_eq!(answer(&auth, request(headers)).await.status().as_u16(), expected);
    }
}

#[test]
fn build_rejects_invalid_dpop_settings() {
    let issuer = TestIssuer::new();
    let build = |dpop| issuer.protects(RESOURCE).dpop(dpop).build();
    let short = build(Dpop::optional().nonce_keys(["short"])).expect_err("refused");
    assert_eq!(short, ConfigError::ShortNonceKey(5));
    for keys in [vec![], vec![vec![1; 32], vec![]]] {
        let empty = build(Dpop::required().nonce_keys(keys)).expect_err("refused");
        assert_eq!(empty, ConfigError::ShortNonceKey(0));
    }
    assert!(build(Dpop::required().nonces()).is_ok());
}

#[tokio::test]
async fn a_handlers_denial_is_challenged_in_the_scheme_of_the_request() {
    let world = World::with(Some(Dpop::optional()));
    let handler =
        tower::service_fn(|request: Request<mcp_auth::GuardedBody<Full<Bytes>>>| async move {
            let caller = request.extensions().get::<mcp_auth::AuthInfo>().expect("a caller");
            let _ = caller.require(["write"]);
            Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
        });
    let plain = world.token().sign();
    for (headers, scheme) in
        [(dpop(&world.token, &world.proof().sign()), "DPoP "), (bearer(&plain), "Bearer ")]
    {
        let service = tower::Layer::layer(&world.auth.bearer_auth(), handler);
        let response = tower::ServiceExt::oneshot(service, request(headers)).await.expect("it");
        assert_eq!(response.status(), 403);
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("ASCII");
        assert!(
            challenge.starts_with(&format!("{scheme}error=\"insufficient_scope\"")),
            "{challenge}"
        );
    }
}
