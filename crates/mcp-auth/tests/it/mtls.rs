//! Tokens bound to client certificates (RFC 8705), and the headers in which proxies pass them on (RFC 9440, Envoy).

use std::net::IpAddr;

use http::Request;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use mcp_auth::{
    AuthInfo, ClientCertHeader, ClientCertificate, ConfigError, Denial, McpAuth, PeerAddr, Reason,
};
use mcp_auth_testkit::{DpopKey, TestIssuer, TokenBuilder};
use serde_json::{Value, json};

use crate::world::{RESOURCE, answer, bearer, request, shown};

/// The smallest DER that is taken for a certificate: a SEQUENCE. A token is bound to its bytes, whatever they contain.
const CERTIFICATE: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x01];
const OTHER: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x02];

const PROXY: &str = "10.1.2.3";

fn token(issuer: &TestIssuer) -> TokenBuilder {
    issuer.token().certificate_bound(CERTIFICATE)
}

/// What a request carries in addition to its token.
#[derive(Clone, Default)]
struct Sent {
    certificate: Option<ClientCertificate>,
    peer: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
}

impl Sent {
    fn certificate(der: &[u8]) -> Self {
        Self { certificate: Some(ClientCertificate::from_der(der)), ..Self::default() }
    }

    fn by(peer: &'static str, headers: &[(&'static str, String)]) -> Self {
        Self { peer: Some(peer), headers: headers.to_vec(), ..Self::default() }
    }

    async fn admit(self, auth: &McpAuth, headers: HeaderMap) -> Result<AuthInfo, Denial> {
        let (mut parts, body) = request(headers).into_parts();
        if let Some(certificate) = self.certificate {
            parts.extensions.insert(certificate);
        }
        if let Some(peer) = self.peer {
            parts.extensions.insert(PeerAddr(peer.parse::<IpAddr>().expect("an address")));
        }
        for (name, value) in self.headers {
            parts.headers.append(name, value.parse().expect("a header value"));
        }
        auth.admit(&parts, body).await.map(|(caller, _)| caller)
    }

    async fn reason(self, auth: &McpAuth, token: &str) -> Option<Reason> {
        match self.admit(auth, bearer(token)).await {
            Ok(_) => None,
            Err(denial) => Some(denial.reason().expect("it is about the token")),
        }
    }
}

fn base64(der: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(der)
}

fn client_cert(der: &[u8]) -> (&'static str, String) {
    ("client-cert", format!(":{}:", base64(der)))
}

fn hash(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn xfcc(der: &[u8]) -> (&'static str, String) {
    ("x-forwarded-client-cert", format!("By=spiffe://cluster/mcp;Hash={}", hash(der)))
}

#[tokio::test]
async fn a_certificate_bound_token_needs_its_certificate() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let bound = token(&issuer).sign();
    let wrong = Some(Reason::Certificate);
    for (name, sent, expected) in [
        ("the certificate of the connection", Sent::certificate(CERTIFICATE), None),
        ("another certificate", Sent::certificate(OTHER), wrong),
        ("none", Sent::default(), wrong),
        ("one that begins the same", Sent::certificate(&CERTIFICATE[..4]), wrong),
        (
            "a header, and nobody is believed",
            Sent::by("127.0.0.1", &[client_cert(CERTIFICATE)]),
            wrong,
        ),
        (
            "Envoy's header, and nobody is believed",
            Sent::by("127.0.0.1", &[xfcc(CERTIFICATE)]),
            wrong,
        ),
    ] {
        assert_eq!(sent.reason(&auth, &bound).await, expected, "{name}");
    }
    let of_digest: [u8; 32] = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, CERTIFICATE)
        .as_ref()
        .try_into()
        .expect("32");
    assert_eq!(ClientCertificate::from_sha256(of_digest), ClientCertificate::from_der(CERTIFICATE));

    // A token that is not bound needs no certificate. The caller of a bound one shows its confirmation.
    assert_eq!(Sent::certificate(OTHER).reason(&auth, &issuer.token().sign()).await, None);
    let caller =
        Sent::certificate(CERTIFICATE).admit(&auth, bearer(&bound)).await.expect("admitted");
    let confirmation = caller.confirmation().expect("a binding");
    assert_eq!((confirmation.jkt(), confirmation.x5t_s256().map(|it| it.len())), (None, Some(43)));
}

#[tokio::test]
async fn client_cert_headers_are_trusted_from_named_proxies_only() {
    let issuer = TestIssuer::new();
    let bound = token(&issuer).sign();
    let wrong = Some(Reason::Certificate);
    for (form, said) in [
        (ClientCertHeader::Rfc9440, client_cert as fn(&[u8]) -> (&'static str, String)),
        (ClientCertHeader::Xfcc, xfcc),
    ] {
        let builder = issuer.protects(RESOURCE);
        let auth = builder.client_certificates_from(form, ["10.0.0.0/8", "::1"]);
        let auth = auth.build().expect("a description");
        let (name, value) = said(CERTIFICATE);
        let stale = Sent {
            certificate: Some(ClientCertificate::from_der(CERTIFICATE)),
            ..Sent::by(PROXY, &[said(OTHER)])
        };
        let own_tls = Sent { peer: Some("203.0.113.9"), ..Sent::certificate(CERTIFICATE) };
        for (row, sent, expected) in [
            ("a named proxy", Sent::by(PROXY, &[said(CERTIFICATE)]), None),
            ("another of the network", Sent::by("10.255.255.255", &[said(CERTIFICATE)]), None),
            ("as the system may show it", Sent::by("::ffff:10.1.2.3", &[said(CERTIFICATE)]), None),
            ("by IPv6", Sent::by("::1", &[said(CERTIFICATE)]), None),
            ("an untrusted address", Sent::by("203.0.113.9", &[said(CERTIFICATE)]), wrong),
            ("this machine, not named", Sent::by("127.0.0.1", &[said(CERTIFICATE)]), wrong),
            (
                "nobody knows who",
                Sent { peer: None, ..Sent::by(PROXY, &[said(CERTIFICATE)]) },
                wrong,
            ),
            ("another certificate", Sent::by(PROXY, &[said(OTHER)]), wrong),
            ("no header", Sent::by(PROXY, &[]), wrong),
            ("twice", Sent::by(PROXY, &[said(CERTIFICATE), said(CERTIFICATE)]), wrong),
            ("twice, differing", Sent::by(PROXY, &[said(OTHER), said(CERTIFICATE)]), wrong),
            ("empty", Sent::by(PROXY, &[(name, String::new())]), wrong),
            ("cut off", Sent::by(PROXY, &[(name, value[..value.len() - 2].to_owned())]), wrong),
            ("the proxy's own certificate does not count", stale, wrong),
            ("TLS of our own, for who is no proxy", own_tls, None),
        ] {
            assert_eq!(sent.reason(&auth, &bound).await, expected, "{form:?}: {row}");
        }
        let crossed = match form {
            ClientCertHeader::Xfcc => client_cert(CERTIFICATE),
            _ => xfcc(CERTIFICATE),
        };
        assert_eq!(
            Sent::by(PROXY, &[crossed]).reason(&auth, &bound).await,
            wrong,
            "the other form"
        );
    }
}

#[tokio::test]
async fn xfcc_with_more_than_one_certificate_is_refused() {
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .client_certificates_from(ClientCertHeader::Xfcc, [PROXY])
        .build()
        .expect("a description");
    let bound = token(&issuer).sign();
    let wrong = Some(Reason::Certificate);
    let (ours, other) = (xfcc(CERTIFICATE).1, xfcc(OTHER).1);
    for (value, expected) in [
        (format!("{ours};Subject=\"CN=a,O=b\";URI=spiffe://a,b"), None),
        (format!("{other},{ours}"), wrong),
        (format!("{ours},{other}"), wrong),
        (format!("{other};URI=spiffe://x,Hash={}", hash(CERTIFICATE)), wrong),
        (format!("{other};URI=spiffe://x;Hash={}", hash(CERTIFICATE)), wrong),
    ] {
        let sent = Sent::by(PROXY, &[("x-forwarded-client-cert", value.clone())]);
        assert_eq!(sent.reason(&auth, &bound).await, expected, "{value}");
    }
}

#[tokio::test]
async fn a_token_bound_to_key_and_certificate_needs_both() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let key = DpopKey::generate(issuer.clone());
    let both = token(&issuer).dpop_bound(&key).sign();
    let proven = || {
        let proof = key.proof("POST", RESOURCE).token(&both).sign();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("DPoP {both}").parse().expect("a header value"));
        headers.insert("dpop", proof.parse().expect("a header value"));
        headers
    };
    let admit = |sent: Sent, headers| {
        let auth = auth.clone();
        async move { sent.admit(&auth, headers).await.map_err(|denial| denial.code()).map(drop) }
    };
    assert_eq!(admit(Sent::certificate(CERTIFICATE), proven()).await, Ok(()));
    assert_eq!(admit(Sent::certificate(OTHER), proven()).await, Err("certificate"));
    assert_eq!(admit(Sent::default(), proven()).await, Err("certificate"));
    assert_eq!(admit(Sent::certificate(CERTIFICATE), bearer(&both)).await, Err("binding"));
    let mut unproven = proven();
    unproven.insert("dpop", HeaderValue::from_static("nonsense"));
    assert_eq!(admit(Sent::certificate(CERTIFICATE), unproven).await, Err("proof_malformed"));
}

#[tokio::test]
async fn certificate_bound_tokens_required_refuses_others_and_is_in_the_metadata() {
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .certificate_bound_tokens_required()
        .build()
        .expect("a description");
    let metadata: Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);

    let shown = || Sent::certificate(CERTIFICATE);
    assert_eq!(shown().reason(&auth, &token(&issuer).sign()).await, None);
    assert_eq!(
        shown().reason(&auth, &issuer.token().sign()).await,
        Some(Reason::NotSenderConstrained)
    );
    let key = DpopKey::generate(issuer.clone());
    let other = issuer.token().dpop_bound(&key).sign();
    assert_eq!(shown().reason(&auth, &other).await, Some(Reason::NotSenderConstrained));
    let unknown = issuer.token().claim("cnf", json!({"x5t": "AQ"})).sign();
    assert_eq!(shown().reason(&auth, &unknown).await, Some(Reason::Binding));

    let plain = issuer.protects(RESOURCE).build().expect("a description");
    assert!(!plain.metadata_json().contains("tls_client_certificate"));
}

#[tokio::test]
async fn mtls_refusals_match_their_snapshots() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let required =
        issuer.protects(RESOURCE).certificate_bound_tokens_required().build().expect("it");
    for (name, auth, token) in [
        ("certificate", &auth, token(&issuer).sign()),
        ("not_sender_constrained", &required, issuer.token().sign()),
    ] {
        let response = answer(auth, request(bearer(&token))).await;
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "refusals" }, {
            insta::assert_snapshot!(name, shown(&response));
        });
    }
}

#[tokio::test]
async fn the_peer_address_comes_from_axum_connect_info() {
    use axum::extract::ConnectInfo;
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .client_certificates_from(ClientCertHeader::Rfc9440, [PROXY])
        .build()
        .expect("a description");
    let app = auth.protect(axum::routing::any(|| async { "hello" }));
    let bound = token(&issuer).sign();
    for (peer, expected) in [("10.1.2.3:5000", 200), ("10.1.2.4:5000", 401)] {
        let (name, value) = client_cert(CERTIFICATE);
        let peer: std::net::SocketAddr = peer.parse().expect("an address");
        let request = Request::post("/mcp")
            .header(AUTHORIZATION, format!("Bearer {bound}"))
            .header(name, value)
            .header("x-forwarded-for", "10.1.2.3")
            .header("forwarded", "for=10.1.2.3")
            .extension(ConnectInfo(peer))
            .body(axum::body::Body::empty())
            .expect("a request");
        let response = tower::ServiceExt::oneshot(app.clone(), request).await.expect("infallible");
        assert_eq!(response.status().as_u16(), expected, "{peer}");
        if expected == 401 {
            let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("ASCII");
            assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
        }
    }
}

#[test]
fn build_rejects_invalid_or_unlimited_proxy_networks() {
    let issuer = TestIssuer::new();
    let build = |peers: &[&str]| {
        let peers = peers.iter().copied();
        issuer.protects(RESOURCE).client_certificates_from(ClientCertHeader::Rfc9440, peers).build()
    };
    for (peers, wrong) in [
        (&[][..], ""),
        (&[""], ""),
        (&["10.0.0.0/8", "0.0.0.0/0"], "0.0.0.0/0"),
        (&["::/0"], "::/0"),
        (&["proxy.example.com"], "proxy.example.com"),
    ] {
        let error = build(peers).expect_err("refused");
        assert_eq!(error, ConfigError::Network(wrong.to_owned()), "{peers:?}");
    }
    assert!(build(&["10.0.0.0/8", "127.0.0.1", "fd00::/8"]).is_ok());
}
