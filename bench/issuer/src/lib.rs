//! The issuer that the benchmarks trust: its keys, its tokens, and its documents over loopback HTTP.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The length of the claims in an RS256 token of 900 bytes, in bytes.
pub const CLAIMS_BYTES: usize = 372;

/// The name of an anonymous caller. It is as long as a subject, so that answers are equally long.
pub const NOBODY: &str = "nobody-000000";

/// A signature algorithm, and the key with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rs256,
    Es256,
    Ed25519,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::Ed25519];

    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Ed25519 => "EdDSA",
        }
    }

    /// The length of the claims in a token of 900 bytes.
    pub fn claims_bytes_of_900(self) -> usize {
        match self {
            Self::Rs256 => CLAIMS_BYTES,
            Self::Es256 | Self::Ed25519 => 564,
        }
    }
}

pub struct Issuer {
    pub url: String,
    pub audience: String,
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    random: SystemRandom,
}

/// What distinguishes one token from the next.
#[derive(Clone, Copy)]
pub struct Token {
    pub kind: Kind,
    /// Part of `sub` and `jti`, so that tokens with different serials differ.
    pub serial: usize,
    /// In seconds from now.
    pub expires_in: i64,
    pub claims_bytes: usize,
}

impl Token {
    pub fn new(kind: Kind, serial: usize) -> Self {
        Self { kind, serial, expires_in: 4 * 60 * 60, claims_bytes: CLAIMS_BYTES }
    }
}

impl Issuer {
    /// Creates an issuer with this URL and new keys.
    pub fn new(url: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            audience: audience.into(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key"),
            ed: Ed25519KeyPair::generate().expect("an Ed25519 key"),
            random: SystemRandom::new(),
        }
    }

    /// Signs a token.
    pub fn sign(&self, token: Token) -> String {
        self.sign_with(token, "")
    }

    /// Signs a token that is bound to the key with this thumbprint.
    pub fn sign_bound(&self, token: Token, jkt: &str) -> String {
        self.sign_with(token, &format!(r#""cnf":{{"jkt":"{jkt}"}},"#))
    }

    fn sign_with(&self, token: Token, members: &str) -> String {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
        let (issued, expires) = (now.min(now + token.expires_in) - 60, now + token.expires_in);
        let name = token.kind.name();
        let header = format!(r#"{{"alg":"{name}","typ":"at+jwt","kid":"{name}"}}"#);
        let mut claims = format!(
            r#"{{{members}"iss":"{}","sub":"user-{:08}","aud":"{}","client_id":"inspector","scope":"read write","iat":{issued},"exp":{expires},"jti":"{:032x}","auth_time":{issued},"sid":""#,
            self.url, token.serial, self.audience, token.serial,
        );
        while claims.len() < token.claims_bytes - 2 {
            claims.push(char::from(b'a' + (claims.len() % 26) as u8));
        }
        claims.push_str("\"}");
        let mut text = URL_SAFE_NO_PAD.encode(header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut text);
        let signature = self.signature(token.kind, text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        text
    }

    /// Signs a token; returns the signing input and the signature.
    pub fn signed(&self, token: Token) -> (String, Vec<u8>) {
        let mut text = self.sign(token);
        let dot = text.rfind('.').expect("a dot");
        let signature = URL_SAFE_NO_PAD.decode(&text[dot + 1..]).expect("base64url");
        text.truncate(dot);
        (text, signature)
    }

    fn signature(&self, kind: Kind, message: &[u8]) -> Vec<u8> {
        match kind {
            Kind::Rs256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature)
                    .expect("a signature");
                signature
            }
            Kind::Es256 => {
                self.ec.sign(&self.random, message).expect("a signature").as_ref().to_vec()
            }
            Kind::Ed25519 => self.ed.sign(message).as_ref().to_vec(),
        }
    }

    /// The public keys as text, for [`BareKeys::read`].
    pub fn bare_keys(&self) -> String {
        let (n, e) = self.rsa_components();
        let parts = [n, e, self.ec.public_key().as_ref().to_vec(), self.ed_component()];
        parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(" ")
    }

    /// The public key, parsed by the crypto library: the minimum that any verifier needs.
    pub fn public_key(&self, kind: Kind) -> ParsedPublicKey {
        match kind {
            Kind::Rs256 => {
                let (n, e) = self.rsa_components();
                RsaPublicKeyComponents { n: &n, e: &e }
                    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .expect("a key")
            }
            Kind::Es256 => UnparsedPublicKey::new(
                &ECDSA_P256_SHA256_FIXED,
                self.ec.public_key().as_ref().to_vec(),
            )
            .parse()
            .expect("a key"),
            Kind::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, self.ed.public_key().as_ref().to_vec())
                    .parse()
                    .expect("a key")
            }
        }
    }

    /// `n` and `e`, big-endian.
    pub fn rsa_components(&self) -> (Vec<u8>, Vec<u8>) {
        let key = self.rsa.public_key();
        let bytes =
            |part: aws_lc_rs::io::Positive<'_>| part.big_endian_without_leading_zero().to_vec();
        (bytes(key.modulus()), bytes(key.exponent()))
    }

    /// The RSA key as PEM.
    pub fn rsa_pem(&self) -> String {
        use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
        let der: PublicKeyX509Der<'_> = self.rsa.public_key().as_der().expect("a public key");
        let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// `x` and `y` of the P-256 key.
    pub fn ec_components(&self) -> (Vec<u8>, Vec<u8>) {
        let point = self.ec.public_key().as_ref();
        (point[1..33].to_vec(), point[33..].to_vec())
    }

    /// The Ed25519 key.
    pub fn ed_component(&self) -> Vec<u8> {
        self.ed.public_key().as_ref().to_vec()
    }

    pub fn jwks(&self) -> String {
        let text = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let ((n, e), (x, y)) = (self.rsa_components(), self.ec_components());
        format!(
            r#"{{"keys":[{{"kty":"RSA","use":"sig","alg":"RS256","kid":"RS256","n":"{}","e":"{}"}},{{"kty":"EC","use":"sig","alg":"ES256","kid":"ES256","crv":"P-256","x":"{}","y":"{}"}},{{"kty":"OKP","use":"sig","alg":"EdDSA","kid":"EdDSA","crv":"Ed25519","x":"{}"}}]}}"#,
            text(n),
            text(e),
            text(x),
            text(y),
            text(self.ed_component()),
        )
    }

    pub fn metadata(&self) -> String {
        let url = &self.url;
        format!(
            r#"{{"issuer":"{url}","authorization_endpoint":"{url}/authorize","token_endpoint":"{url}/token","jwks_uri":"{url}/jwks","introspection_endpoint":"{url}/introspect","response_types_supported":["code"],"code_challenge_methods_supported":["S256"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}}"#
        )
    }

    /// Returns the document at this path, if there is one.
    pub fn document(&self, path: &str) -> Option<String> {
        match path {
            "/jwks" => Some(self.jwks()),
            "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration" => {
                Some(self.metadata())
            }
            _ => None,
        }
    }

    /// Serves the documents on another thread until the process ends.
    pub fn serve(self: Arc<Self>, listener: TcpListener) {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                drop(self.answer(stream));
            }
        });
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(&stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let document = self.document(request.split(' ').nth(1).unwrap_or_default());
        let (status, body) = document.map_or(("404 Not Found", String::new()), |it| ("200 OK", it));
        write!(
            &stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: max-age=3600\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// The issuer's parsed keys, to measure the cost of a signature alone in the server that verifies it.
pub struct BareKeys([ParsedPublicKey; 3]);

impl BareKeys {
    /// Reads what [`Issuer::bare_keys`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        let parts = text.split(' ').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let parts: [Vec<u8>; 4] = parts.collect::<Option<Vec<_>>>()?.try_into().ok()?;
        let [n, e, point, ed] = &parts;
        let rsa = RsaPublicKeyComponents { n, e };
        Some(Self([
            rsa.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?,
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).parse().ok()?,
            UnparsedPublicKey::new(&ED25519, ed).parse().ok()?,
        ]))
    }

    /// Verifies only the signature of a token.
    pub fn verify(&self, kind: Kind, token: &str) -> bool {
        let Some((message, signature)) = token.rsplit_once('.') else { return false };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        self.0[kind as usize].verify_sig(message.as_bytes(), &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_900_bytes_and_a_signature_that_fits() {
        let issuer = Issuer::new("http://127.0.0.1:9000", "https://api.example.com/mcp");
        for kind in Kind::ALL {
            let token = Token { claims_bytes: kind.claims_bytes_of_900(), ..Token::new(kind, 7) };
            let length = issuer.sign(token).len();
            assert!((895..=905).contains(&length), "{kind:?} {length}");
            let (message, signature) = issuer.signed(token);
            assert!(issuer.public_key(kind).verify_sig(message.as_bytes(), &signature).is_ok());
            let bare = BareKeys::read(&issuer.bare_keys()).expect("keys");
            assert!(bare.verify(kind, &issuer.sign(token)));
            assert!(!bare.verify(kind, "a.b.c"));
        }
    }
}
