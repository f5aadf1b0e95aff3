//! The verifier of JWTs of several issuers, with a cache of verified tokens.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::issuer::authorization_server::{AuthorizationServer, VerifiedBy};
use crate::issuer::issuer_resolver::{self, IssuerResolver};
use crate::issuer::token_cache::{CacheWeight, TokenCache};
use crate::model::confirmation::Confirmation;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::provider::Provider;
use crate::model::verified_token::VerifiedToken;
use crate::policy::validity::{expired, has_expired};
use crate::util::shown;
use crate::util::unix_time::unix_secs;
use crate::verify::dpop;
use crate::verify::jwt::{self, Claims, Jws, TokenHash};

/// How long a verified token is cached, at most. After that it is verified again, whatever its `exp` says.
const MAX_CACHE_TTL: Duration = Duration::from_secs(5 * 60);

/// Verifies JWTs of the configured and the resolved issuers, and caches those that are valid.
pub(crate) struct JwtVerifier {
    servers: Vec<AuthorizationServer>,
    resolvers: Arc<[IssuerResolver]>,
    leeway: Duration,
    cache: TokenCache<CachedJwt>,
}

/// A token whose signature was verified.
#[derive(Clone)]
pub(super) struct CachedJwt {
    pub(super) token: VerifiedToken,
    pub(super) verified_by: Arc<VerifiedBy>,
}

impl JwtVerifier {
    pub(crate) fn new(
        servers: Vec<AuthorizationServer>,
        resolvers: Arc<[IssuerResolver]>,
        leeway: Duration,
        capacity: usize,
    ) -> Self {
        let cache = TokenCache::new(capacity, MAX_CACHE_TTL);
        Self { servers, resolvers, leeway, cache }
    }

    /// Whether there is no issuer whose tokens can be verified here.
    pub(super) fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.resolvers.is_empty()
    }

    /// Verifies a token that is not in the cache, and caches it.
    pub(super) async fn verify_uncached(
        &self,
        token: &str,
        token_hash: TokenHash,
        now: SystemTime,
    ) -> Result<CachedJwt, Denial> {
        // The cheapest checks come first, so that nothing is fetched for a token that would be refused anyway.
        let mut jws = Jws::parse(token).map_err(|denial| self.explain_form(token, denial))?;
        let claims = Claims::parse(std::mem::take(&mut jws.payload))?;
        let issuer = claims.issuer();
        let known = self.servers.iter().find(|server| server.issues(issuer));
        if known.is_none() && !self.resolvers.iter().any(|resolver| resolver.contains(issuer)) {
            return Err(self.refuse_issuer(issuer));
        }
        let end = claims.expires_at();
        if let Some(end) = end.filter(|end| has_expired(*end, unix_secs(now), self.leeway)) {
            return Err(expired(end, unix_secs(now), self.leeway));
        }
        let resolved;
        let server = match known {
            Some(server) => server,
            None => {
                resolved = issuer_resolver::resolve(&self.resolvers, issuer).await?;
                resolved.as_ref().ok_or_else(|| self.refuse_issuer(issuer))?
            }
        };
        jwt::check(&jws, &claims, server.rules())?;
        let key = server.issuer_keys().verify(&jws, issuer, claims.issued_at).await;
        let key = key.map_err(|denial| explain_signature(denial, &jws))?;
        let verified = with_ath_digest(claims.into_token(server.rules())?, token);
        let verified_by = server.verified_by(key);
        let token =
            if verified_by.introspector.is_some() { verified.introspected() } else { verified };
        let verified = CachedJwt { token, verified_by };
        self.cache.insert(token_hash, verified.clone(), now, None);
        Ok(verified)
    }

    /// Returns a cached token unless its key was withdrawn. Its expiry is checked by the policy, as for other
    /// tokens.
    pub(super) fn get(&self, token_hash: &TokenHash, now: SystemTime) -> Option<CachedJwt> {
        self.cache.get(token_hash, now).filter(|known| !known.verified_by.key.is_retired())
    }

    fn refuse_issuer(&self, issuer: &str) -> Denial {
        tracing::debug!(target: "mcp_auth", iss = &*shown::field(issuer), "a token of an issuer that is not trusted");
        let trusted: Vec<_> = self.servers.iter().map(AuthorizationServer::issuer).collect();
        let row = Provider::recognize(issuer, None).filter(|row| !row.about_issuer.is_empty());
        let about = row.map(|row| format!("; {}: {}", row.name, row.about_issuer));
        Denial::invalid(Reason::Issuer).detail(format!(
            "the token's `iss` (logged at debug) is not, byte for byte, one of {trusted:?}: a final slash matters{}",
            about.unwrap_or_default(),
        ))
    }

    /// Adds what kind of token it is, if it is signed with a secret: refresh tokens are, which their issuer alone reads.
    /// Or why the provider's tokens are not signed JWTs. With several servers the provider of the token is unknown, and
    /// the denial stays as it is.
    fn explain_form(&self, token: &str, denial: Denial) -> Denial {
        if denial.reason() == Some(Reason::Algorithm) {
            return match Claims::kind_of(token) {
                Some(kind) => denial
                    .detail(format!("the token is {kind}: the client must send its access token")),
                None => denial,
            };
        }
        let [server] = &self.servers[..] else { return denial };
        let is_opaque = denial.reason() == Some(Reason::Encrypted) || token.split('.').count() < 3;
        let row = server.row().or_else(|| Provider::recognize(server.issuer(), None));
        match row.filter(|row| is_opaque && !row.opaque.is_empty()) {
            Some(row) => denial.detail(format!("the token is not a signed JWT: {}", row.opaque)),
            None => denial,
        }
    }
}

/// The token with its digest, if it is bound to a DPoP key: every proof names the digest (`ath`).
fn with_ath_digest(token: VerifiedToken, text: &str) -> VerifiedToken {
    let confirmation = token.data().confirmation.as_deref();
    match confirmation.and_then(Confirmation::jkt_bytes) {
        Some(_) => token.with(|data| data.ath = Some(dpop::ath(text.as_bytes()).into())),
        None => token,
    }
}

/// Explains the signature of Microsoft's tokens for Graph, which nobody else can verify.
fn explain_signature(denial: Denial, jws: &Jws<'_>) -> Denial {
    if denial.reason() != Some(Reason::Signature) || !jws.header.has_nonce {
        return denial;
    }
    denial.detail(
        "the token's header has a `nonce`: it is one of Microsoft's for Graph, which nobody else can verify; let the client ask for a scope of this API",
    )
}

impl CacheWeight for CachedJwt {
    fn weight(&self) -> u64 {
        self.token.weight()
    }
}
