//! `IdentityToken`: a token of the gateway's own, with which it tells the upstream who calls.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64_simd::URL_SAFE_NO_PAD;
use http::HeaderValue;
use mcp_auth::{AuthInfo, McpAuth};
use mcp_auth_config::ResourceConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How long a token is valid. The upstream verifies it when the request arrives.
const LIFETIME: Duration = Duration::from_secs(60);

/// How long a token is used again for the same caller. The upstream's clock may then be 30 s ahead.
const REUSED_FOR: Duration = Duration::from_secs(30);

/// How many tokens are kept, about 2 MB. A signature costs 20 µs, so a miss is cheap.
const MAX_KEPT: usize = 1024;

/// The claims that the gateway writes itself.
const OWN_CLAIMS: [&str; 10] =
    ["aud", "client_id", "cnf", "exp", "iat", "iss", "jti", "scope", "sub", "sub_id"];

/// The key that signs the tokens of all resources: ES256.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    jwk: Map<String, Value>,
    /// Its thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
    kid: String,
}

impl SigningKey {
    /// A new key, which lives as long as the process.
    pub(crate) fn generate() -> Result<Self, String> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::of(pair.map_err(|error| format!("no key can be made: {error}"))?)
    }

    /// A key in PEM (PKCS #8), as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes it.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, String> {
        let wrong = "`signing_key` is not a key for ES256 in PEM (PKCS #8): make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong)?;
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der());
        Self::of(pair.map_err(|_| wrong)?)
    }

    fn of(pair: EcdsaKeyPair) -> Result<Self, String> {
        // An uncompressed point (SEC 1): 4, x, y.
        let point =
            pair.public_key().as_ref().strip_prefix(&[4]).and_then(|xy| xy.split_at_checked(32));
        let (x, y) = point.ok_or("the public key cannot be read")?;
        let (x, y) = (URL_SAFE_NO_PAD.encode_to_string(x), URL_SAFE_NO_PAD.encode_to_string(y));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode_to_string(digest(&SHA256, canonical.as_bytes()));
        let members = [
            ("alg", "ES256"),
            ("crv", "P-256"),
            ("kid", &kid),
            ("kty", "EC"),
            ("use", "sig"),
            ("x", &x),
            ("y", &y),
        ];
        let jwk = members.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        Ok(Self { jwk: jwk.collect(), pair, kid })
    }

    /// The key set with its public key ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
    pub(crate) fn jwks(&self) -> Value {
        let keys = Value::from(vec![Value::Object(self.jwk.clone())]);
        Value::Object(Map::from_iter([("keys".to_owned(), keys)]))
    }

    fn sign(&self, claims: &Value) -> Result<String, String> {
        let header = Map::from_iter(
            [("alg", "ES256"), ("kid", &self.kid), ("typ", "at+jwt")]
                .map(|(name, value)| (name.to_owned(), Value::from(value))),
        );
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode_to_string(value.to_string());
        let signed = format!("{}.{}", encoded(&Value::Object(header)), encoded(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| "the token about the caller cannot be signed")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature)))
    }
}

/// Contains no private key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Makes tokens about the callers of one resource, for its upstream
/// ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)).
pub(crate) struct IdentityToken {
    issuer: String,
    audience: String,
    /// The issuer of all callers. `None` if there are several.
    only_issuer: Option<String>,
    /// The claims of the caller's token that are copied, and their names here.
    claims: BTreeMap<String, String>,
    key: Arc<SigningKey>,
    /// By the hash of the caller's token and of what it says.
    kept: Mutex<HashMap<[u8; 32], Kept>>,
}

struct Kept {
    bearer: HeaderValue,
    until: SystemTime,
}

impl IdentityToken {
    /// # Errors
    ///
    /// If a claim would have the name of one that the gateway writes itself.
    pub(crate) fn new(
        auth: &McpAuth,
        resource: &ResourceConfig,
        audience: &str,
        key: Arc<SigningKey>,
    ) -> Result<Self, String> {
        let claims = resource.identity_claims.clone();
        if let Some(name) = claims.values().find(|name| OWN_CLAIMS.contains(&name.as_str())) {
            return Err(format!("`identity_claims`: {name:?} is a claim of the gateway's own"));
        }
        let only_issuer = match auth.authorization_servers() {
            [only] if resource.api_keys_file.is_none() => Some(only.issuer().to_owned()),
            _ => None,
        };
        let (issuer, audience) = (resource.url.clone(), audience.to_owned());
        Ok(Self { issuer, audience, only_issuer, claims, key, kept: Mutex::default() })
    }

    /// The value of `Authorization` that tells the upstream who calls.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub(crate) fn bearer(&self, caller: &AuthInfo, now: SystemTime) -> Result<HeaderValue, String> {
        // What is known about a token may change while it is valid: by introspection, or in the list of API keys.
        let mut hash = Context::new(&SHA256);
        for part in [caller.token().expose(), caller.scopes().as_str(), caller.claims_json()] {
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hash = hash.finish();
        let hash: [u8; 32] = hash.as_ref().try_into().map_err(|_| "a hash has 32 bytes")?;
        if let Some(kept) = self.lock().get(&hash).filter(|kept| now < kept.until) {
            return Ok(kept.bearer.clone());
        }
        let end = now + LIFETIME;
        let expires_at = caller.expires_at().map_or(end, |its| its.min(end));
        let token = self.key.sign(&self.claims_about(caller, now, expires_at)?)?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "the token about the caller cannot be the value of a header")?;
        bearer.set_sensitive(true);
        let until = (now + REUSED_FOR).min(expires_at);
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, kept| now < kept.until);
        }
        if kept.len() < MAX_KEPT {
            kept.insert(hash, Kept { bearer: bearer.clone(), until });
        }
        Ok(bearer)
    }

    fn claims_about(
        &self,
        caller: &AuthInfo,
        now: SystemTime,
        expires_at: SystemTime,
    ) -> Result<Value, String> {
        let mut random = [0; 16];
        fill(&mut random).map_err(|_| "there are no random numbers")?;
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut claims = Map::new();
        let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        if !self.claims.is_empty() {
            let all = claims_of(caller)?;
            for (claim, name) in &self.claims {
                if let Some(value) = all.get(claim) {
                    add(
                        name,
                        serde_json::from_str(value.get()).map_err(|error| error.to_string())?,
                    );
                }
            }
        }
        // The issuer of the caller's token says what the subject means (RFC 9493 §3.2.2).
        let subject = [("format", "iss_sub"), ("iss", caller.issuer()), ("sub", caller.subject())];
        let subject = subject.map(|(name, value)| (name.to_owned(), Value::from(value)));
        add("sub_id", Value::Object(Map::from_iter(subject)));
        add("iss", self.issuer.as_str().into());
        add("aud", self.audience.as_str().into());
        // Subjects are unique at their issuer only. An issuer contains no space.
        let subject = match self.only_issuer.as_deref() == Some(caller.issuer()) {
            true => caller.subject().to_owned(),
            false => format!("{} {}", caller.issuer(), caller.subject()),
        };
        add("sub", subject.into());
        add("scope", caller.scopes().as_str().into());
        add("iat", seconds(now).into());
        add("exp", seconds(expires_at).into());
        add("jti", URL_SAFE_NO_PAD.encode_to_string(random).into());
        if let Some(client) = caller.client_id() {
            add("client_id", client.into());
        }
        Ok(Value::Object(claims))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Contains no token.
impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityToken").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// The claims of the caller's token that are not null.
pub(crate) fn claims_of(caller: &AuthInfo) -> Result<BTreeMap<String, Box<RawValue>>, String> {
    let claims: BTreeMap<String, Box<RawValue>> =
        caller.claims().map_err(|error| format!("the claims cannot be read: {error}"))?;
    Ok(claims.into_iter().filter(|(_, value)| value.get() != "null").collect())
}
