//! JSON Web Tokens of several issuers, each verified once and then remembered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::authorization_server::AuthorizationServer;
use crate::denial::{Denial, Reason};
use crate::jwt::{self, Claims, Jws, Key};
use crate::memory::{Memory, Weigh};
use crate::policy::has_expired;
use crate::token::VerifiedToken;

/// A remembered token is verified anew after this time, whatever it says itself.
const LONGEST_MEMORY: Duration = Duration::from_secs(5 * 60);

/// Verifies JWTs of the issuers it knows, and remembers those that are true.
pub(crate) struct JwtVerifier {
    servers: Vec<AuthorizationServer>,
    leeway: Duration,
    remembered: Memory<Remembered>,
}

/// A token whose signature was verified.
#[derive(Clone)]
struct Remembered {
    token: VerifiedToken,
    /// Retired when its issuer withdraws it, and the token with it.
    key: Arc<Key>,
}

impl JwtVerifier {
    pub(crate) fn new(
        servers: Vec<AuthorizationServer>,
        leeway: Duration,
        capacity: usize,
    ) -> Self {
        Self { servers, leeway, remembered: Memory::new(capacity, LONGEST_MEMORY) }
    }

    /// Whether there is an issuer whose tokens can be verified here.
    pub(super) fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// What is found out about a token that is not remembered.
    pub(super) async fn verify_anew(
        &self,
        token: &str,
        digest: [u8; 32],
        now: SystemTime,
    ) -> Result<VerifiedToken, Denial> {
        // What costs least comes first; nothing is fetched for a token that would be refused anyway.
        let mut jws = Jws::parse(token)?;
        let claims = Claims::parse(std::mem::take(&mut jws.payload))?;
        let server = self.issuer(claims.issuer())?;
        if claims.expires_at().is_some_and(|end| has_expired(end, now, self.leeway)) {
            return Err(Denial::invalid(Reason::Expired));
        }
        jwt::judge(&jws, &claims, server.rules())?;
        let key = server.keyring().verify(&jws).await?;

        let token = claims.into_token(server.rules().issuer.clone());
        self.remembered.keep(digest, Remembered { token: token.clone(), key }, now, None);
        Ok(token)
    }

    /// Whether it has expired is judged by the policy, for remembered tokens as for others.
    pub(super) fn recall(&self, digest: &[u8; 32], now: SystemTime) -> Option<VerifiedToken> {
        let known = self.remembered.recall(digest, now).filter(|known| !known.key.is_retired());
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

impl Weigh for Remembered {
    fn weight(&self) -> u64 {
        self.token.weight()
    }
}
