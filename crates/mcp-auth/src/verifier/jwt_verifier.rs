//! JSON Web Tokens of several issuers, each verified once and then remembered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Verifier;
use crate::authorization_server::AuthorizationServer;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::denial::{Denial, Reason};
use crate::fetch::BoxFuture;
use crate::issuer_resolver::IssuerResolver;
use crate::jwt::{self, Claims, Jws, Key};
use crate::meter;
use crate::policy::has_expired;
use crate::provider::Provider;
use crate::token::{VerifiedToken, seconds};

/// A remembered token is verified anew after this time, whatever it says itself.
const LONGEST_MEMORY: Duration = Duration::from_secs(5 * 60);

/// Verifies JWTs of the issuers it knows, and remembers those that are true.
pub(crate) struct JwtVerifier {
    servers: Vec<AuthorizationServer>,
    resolvers: Vec<IssuerResolver>,
    clock: Arc<dyn Clock>,
    leeway: Duration,
    /// By the SHA-256 of the whole token: no token is kept, and a changed one is another.
    remembered: Cache<[u8; 32], Remembered, BySize>,
}

/// A token with many claims takes the place of several.
#[derive(Clone)]
struct BySize;

/// A token whose signature was verified.
#[derive(Clone)]
struct Remembered {
    token: VerifiedToken,
    /// Retired when its issuer withdraws it, and the token with it.
    key: Arc<Key>,
    /// In seconds since 1970.
    until: u64,
}

impl JwtVerifier {
    pub(crate) fn new(
        servers: Vec<AuthorizationServer>,
        resolvers: Vec<IssuerResolver>,
        clock: Arc<dyn Clock>,
        leeway: Duration,
        capacity: usize,
    ) -> Self {
        let remembered = Cache::with_weighter(capacity, capacity as u64, BySize);
        Self { servers, resolvers, clock, leeway, remembered }
    }

    /// The token, and what time it is by then: its keys may have to be waited for.
    pub(crate) async fn recall_or_verify(
        &self,
        token: &str,
    ) -> Result<(VerifiedToken, SystemTime), Denial> {
        let (digest, now) = (jwt::sha256(token.as_bytes()), self.clock.now());
        if let Some(known) = self.recall(&digest, now) {
            return Ok((known, now));
        }
        // Boxed, so that the future is small where a token is remembered.
        let token = Box::pin(self.verify_anew(token, digest, now)).await?;
        Ok((token, self.clock.now()))
    }

    async fn verify_anew(
        &self,
        token: &str,
        digest: [u8; 32],
        now: SystemTime,
    ) -> Result<VerifiedToken, Denial> {
        // What costs least comes first; nothing is fetched for a token that would be refused anyway.
        let mut jws = Jws::parse(token).map_err(|denial| self.explain_opaque(token, denial))?;
        let claims = Claims::parse(std::mem::take(&mut jws.payload))?;
        let issuer = claims.issuer();
        let known = self.servers.iter().find(|server| server.issues(issuer));
        if known.is_none() && !self.resolvers.iter().any(|resolver| resolver.names(issuer)) {
            return Err(self.refuse_issuer(issuer));
        }
        if has_expired(claims.expires_at(), now, self.leeway) {
            return Err(Denial::invalid(Reason::Expired));
        }
        let resolved;
        let server = match known {
            Some(server) => server,
            None => {
                resolved = self.resolve(issuer).await?;
                &resolved
            }
        };
        jwt::judge(&jws, &claims, server.rules())?;
        let key = server.keyring().verify(&jws, issuer).await;
        let key = key.map_err(|denial| explain_signature(denial, &jws))?;

        let token = claims.into_token(server.rules())?;
        let until = seconds(now).saturating_add(LONGEST_MEMORY.as_secs());
        self.remembered.insert(digest, Remembered { token: token.clone(), key, until });
        Ok(token)
    }

    /// Whether it has expired is judged by the policy, for remembered tokens as for others.
    fn recall(&self, digest: &[u8; 32], now: SystemTime) -> Option<VerifiedToken> {
        let known = self.remembered.get(digest);
        let known = known.filter(|known| {
            let left = known.until.saturating_sub(seconds(now));
            // More is left than ever was if the clock was set back.
            !known.key.is_retired() && (1..=LONGEST_MEMORY.as_secs()).contains(&left)
        });
        meter::token_cache(known.is_some());
        known.map(|known| known.token)
    }

    /// The server of an issuer that is known only at run time.
    async fn resolve(&self, issuer: &str) -> Result<AuthorizationServer, Denial> {
        for resolver in self.resolvers.iter().filter(|resolver| resolver.names(issuer)) {
            if let Some(server) = resolver.resolve(issuer).await? {
                return Ok(server);
            }
        }
        Err(self.refuse_issuer(issuer))
    }

    fn refuse_issuer(&self, issuer: &str) -> Denial {
        tracing::debug!(target: "mcp_auth", iss = issuer, "a token of an issuer that is not trusted");
        let trusted: Vec<_> = self.servers.iter().map(AuthorizationServer::issuer).collect();
        let row = Provider::recognize(issuer, None).filter(|row| !row.about_issuer.is_empty());
        let about = row.map(|row| format!("; {}: {}", row.name, row.about_issuer));
        Denial::invalid(Reason::Issuer).detail(format!(
            "the token's `iss` (logged at debug) is not, byte for byte, one of {trusted:?}: a final slash matters{}",
            about.unwrap_or_default(),
        ))
    }

    /// Says why the provider's token is no signed JWT, if there is but one provider to say it of.
    fn explain_opaque(&self, token: &str, denial: Denial) -> Denial {
        let [server] = &self.servers[..] else { return denial };
        let is_opaque = denial.reason() == Some(Reason::Encrypted) || token.split('.').count() < 3;
        let row = server.row().or_else(|| Provider::recognize(server.issuer(), None));
        match row.filter(|row| is_opaque && !row.opaque.is_empty()) {
            Some(row) => denial.detail(format!("the token is no signed JWT: {}", row.opaque)),
            None => denial,
        }
    }
}

/// Microsoft signs a token for Graph so that nobody else can verify it.
fn explain_signature(denial: Denial, jws: &Jws<'_>) -> Denial {
    if denial.reason() != Some(Reason::Signature) || !jws.header.has_nonce {
        return denial;
    }
    denial.detail(
        "the token's header has a `nonce`: it is one of Microsoft's for Graph, which nobody else can verify; let the client ask for a scope of this API",
    )
}

impl Verifier for JwtVerifier {
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        Box::pin(async {
            self.recall_or_verify(credentials.token().expose()).await.map(|(token, _)| token)
        })
    }
}

impl Weighter<[u8; 32], Remembered> for BySize {
    fn weight(&self, _: &[u8; 32], known: &Remembered) -> u64 {
        1 + known.token.facts().claims.len() as u64 / 1024
    }
}
