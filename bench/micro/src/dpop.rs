//! A request with a DPoP proof, compared with one signature.

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use bench_issuer::{Issuer, Kind, Token};
use http::Request;
use http::request::Parts;
use mcp_auth::McpAuth;

use crate::race::Race;
use crate::{RESOURCE, TOKENS, Verdicts, admit, base64_url, requests};

/// Each proof is valid for one request. These are enough for all turns.
const PROOFS: usize = 60_000;

/// Cached tokens with new proofs, compared with the signature of a proof alone, and with Bearer.
pub fn dpop(issuer: &Issuer, auth: &McpAuth, verdicts: &mut Verdicts) {
    let client = Client::new();
    let tokens: Vec<_> = (0..TOKENS)
        .map(|serial| issuer.sign_bound(Token::new(Kind::Rs256, serial), &client.thumbprint()))
        .collect();
    let all: Vec<_> = (0..PROOFS).map(|i| client.request(&tokens[i % TOKENS], i)).collect();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, client.0.public_key().as_ref());
    let key = key.parse().expect("a key");
    let bearer = requests(issuer, auth);
    let (mut a, mut b, mut c) = (all.iter().cycle(), all.iter(), bearer.iter().cycle());
    for _ in 0..TOKENS {
        admit(auth, &parts(&b.next().expect("a request").0)); // from now on the tokens are cached
    }
    let times = Race::new()
        .runner("a proof's signature alone", || {
            let (headers, message, signature) = a.next().expect("a request");
            black_box(parts(headers)); // in both: a new request, as from the network, not in a CPU cache
            assert!(key.verify_sig(black_box(message.as_bytes()), signature).is_ok());
        })
        .runner("admit, a hit, DPoP", || {
            let (headers, ..) = b.next().expect("a proof that was not used");
            black_box(admit(auth, &black_box(parts(headers))));
        })
        .runner("admit, a hit, Bearer", || {
            let (_, parts) = c.next().expect("a request");
            black_box(admit(auth, black_box(parts)));
        })
        .run();
    times.print("A DPoP request, its token remembered, ES256 proofs");
    let over = times.over("admit, a hit, DPoP", "a proof's signature alone") / 1000.0;
    verdicts.add("a DPoP request over one ES256 signature, µs".into(), over, 3.0);
}

struct Client(EcdsaKeyPair);

impl Client {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    fn jwk(&self) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, base64_url(x), base64_url(y))
    }

    fn thumbprint(&self) -> String {
        digested(&self.jwk())
    }

    /// The headers of a request with its own proof; the proof's signing input; and its signature.
    fn request(&self, token: &str, number: usize) -> ([String; 2], String, Vec<u8>) {
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{}}}"#, self.jwk());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let claims = format!(
            r#"{{"jti":"{number:022x}","htm":"POST","htu":"{RESOURCE}","iat":{now},"ath":"{}"}}"#,
            digested(token)
        );
        let message =
            format!("{}.{}", base64_url(header.as_bytes()), base64_url(claims.as_bytes()));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
        let proof = format!("{message}.{}", base64_url(signature.as_ref()));
        ([format!("DPoP {token}"), proof], message, signature.as_ref().to_vec())
    }
}

fn parts([authorization, proof]: &[String; 2]) -> Parts {
    let request =
        Request::post("/mcp").header("authorization", authorization).header("dpop", proof);
    request.body(()).expect("a request").into_parts().0
}

fn digested(text: &str) -> String {
    base64_url(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}
