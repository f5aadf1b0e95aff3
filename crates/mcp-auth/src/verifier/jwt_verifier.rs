//! JSON Web Tokens of several issuers, each verified once and then remembered.

use std::future::ready;
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
use crate::jwt::{self, Claims, Jws, Key};
use crate::meter;
use crate::policy::has_expired;
use crate::token::{VerifiedToken, seconds};

/// A remembered token is verified anew after this time, whatever it says itself.
const LONGEST_MEMORY: Duration = Duration::from_secs(5 * 60);

/// Verifies JWTs of the issuers it knows, and remembers those that are true.
pub(crate) struct JwtVerifier {
    servers: Vec<AuthorizationServer>,
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
        clock: Arc<dyn Clock>,
        leeway: Duration,
        capacity: usize,
    ) -> Self {
        let remembered = Cache::with_weighter(capacity, capacity as u64, BySize);
        Self { servers, clock, leeway, remembered }
    }

    async fn verify_anew(
        &self,
        token: &str,
        digest: [u8; 32],
        now: SystemTime,
    ) -> Result<VerifiedToken, Denial> {
        // What costs least comes first; nothing is fetched for a token that would be refused anyway.
        let mut jws = Jws::parse(token)?;
        let claims = Claims::parse(std::mem::take(&mut jws.payload))?;
        let server = self.issuer(claims.issuer())?;
        if has_expired(claims.expires_at(), now, self.leeway) {
            return Err(Denial::invalid(Reason::Expired));
        }
        jwt::judge(&jws, &claims, server.rules())?;
        let key = server.keyring().verify(&jws).await?;

        let token = claims.into_token(server.rules().issuer.clone());
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

    fn issuer(&self, issuer: &str) -> Result<&AuthorizationServer, Denial> {
        self.servers.iter().find(|server| server.issuer() == issuer).ok_or_else(|| {
            tracing::debug!(target: "mcp_auth", iss = issuer, "a token of an issuer that is not trusted");
            let trusted: Vec<_> = self.servers.iter().map(AuthorizationServer::issuer).collect();
            Denial::invalid(Reason::Issuer).detail(format!(
                "the token's `iss` (logged at debug) is not, byte for byte, one of {trusted:?}: a final slash matters",
            ))
        })
    }
}

impl Weighter<[u8; 32], Remembered> for BySize {
    fn weight(&self, _: &[u8; 32], known: &Remembered) -> u64 {
        1 + known.token.facts().claims.len() as u64 / 1024
    }
}

impl Verifier for JwtVerifier {
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        let token = credentials.token().expose();
        let (digest, now) = (credentials.digest(jwt::sha256), self.clock.now());
        match self.recall(&digest, now) {
            Some(known) => Box::pin(ready(Ok(known))),
            None => Box::pin(self.verify_anew(token, digest, now)),
        }
    }
}
