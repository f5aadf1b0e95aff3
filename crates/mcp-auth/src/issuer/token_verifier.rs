//! Tokens of several issuers, some of them opaque: each is verified as a JWT, or its issuer is asked about it.

use std::sync::Arc;
use std::time::SystemTime;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::introspection::Introspector;
use crate::issuer::jwt_verifier::{CachedJwt, JwtVerifier};
use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::{Denial, DenialKind};
use crate::model::error_codes::Reason;
use crate::model::provider::Shape;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::{BoxFuture, boxed};
use crate::net::clock::Clock;
use crate::net::metrics;
use crate::verify::jwt::{self, TokenHash, TokenHasher};

/// Chooses by the form of a token: three parts of base64url are a JWT, and anything else is opaque.
pub(crate) struct TokenVerifier {
    jwts: JwtVerifier,
    /// The issuers that are asked about opaque tokens, in the order of the configuration.
    asked: Vec<Introspector>,
    token_hasher: Arc<TokenHasher>,
    clock: Arc<dyn Clock>,
}

impl TokenVerifier {
    /// Nothing if the system has no randomness.
    pub(crate) fn new(
        jwts: JwtVerifier,
        servers: &[AuthorizationServer],
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let asked: Vec<Introspector> =
            servers.iter().filter_map(AuthorizationServer::introspector).cloned().collect();
        let token_hasher = match asked.first() {
            Some(introspector) => introspector.token_hasher()?,
            None => Arc::new(TokenHasher::random()?),
        };
        Some(Self { jwts, asked, token_hasher, clock })
    }

    /// The token, and what time it is by then: there may have been something to wait for.
    pub(crate) async fn get_or_verify(
        &self,
        credentials: &Credentials,
    ) -> Result<(VerifiedToken, SystemTime), Denial> {
        let token = credentials.token();
        let token_hash = self.token_hasher.of(token.as_bytes());
        let token_hash = token_hash.ok_or_else(|| Denial::invalid(Reason::Oversize))?;
        let now = self.clock.now();
        let known = self.get(&token_hash, now);
        metrics::token_cache(known.is_some());
        if let Some(known) = known {
            return Ok((known, now));
        }
        let token = token.expose();
        // Boxed, so that the future is small where a token is remembered.
        let verified = if self.is_opaque(token) {
            credentials.validate_token68()?;
            Box::pin(self.ask(token, token_hash, now)).await?
        } else {
            // What is no token is no JWT either: only what is refused is looked at byte by byte.
            let verified = boxed(|| self.verify_jwt(token, token_hash, now)).await;
            verified.map_err(|denial| credentials.validate_token68().err().unwrap_or(denial))?
        };
        Ok((verified, self.clock.now()))
    }

    fn is_opaque(&self, token: &str) -> bool {
        !self.asked.is_empty() && (self.jwts.is_empty() || !jwt::is_compact(token))
    }

    fn get(&self, token_hash: &TokenHash, now: SystemTime) -> Option<VerifiedToken> {
        if let Some(CachedJwt { token, verified_by }) = self.jwts.get(token_hash, now) {
            let stands = verified_by.introspector.as_ref().is_none_or(|it| {
                let answer = it.get(token_hash, now);
                answer.is_some_and(|answer| is_bound_by(&answer.token, &token))
            });
            return stands.then_some(token);
        }
        let known = self.asked.iter().find_map(|it| it.get(token_hash, now))?;
        // What was answered about a JWT does not stand for its signature.
        (self.jwts.is_empty() || !known.is_compact).then_some(known.token)
    }

    /// Asks one issuer after another, until one knows the token. One that shows whose it is, is shown to
    /// no other.
    async fn ask(
        &self,
        token: &str,
        token_hash: TokenHash,
        now: SystemTime,
    ) -> Result<VerifiedToken, Denial> {
        let shape = self.asked.iter().map(|it| it.shape_of(token)).max();
        if shape.is_none_or(|shape| shape == Shape::Foreign) {
            return Err(self.refuse_shape());
        }
        let mut denied = Denial::invalid(Reason::Inactive);
        for introspector in self.asked.iter().filter(|it| Some(it.shape_of(token)) == shape) {
            match introspector.verify(token, token_hash, now).await {
                Ok(token) => return Ok(token),
                Err(denial) => denied = graver(denied, denial),
            }
        }
        Err(denied)
    }

    /// Of a token that none of the issuers can have issued.
    fn refuse_shape(&self) -> Denial {
        let about: Vec<_> = self.asked.iter().filter_map(Introspector::about_shape).collect();
        Denial::invalid(Reason::Malformed).detail(about.join("; "))
    }

    /// Verifies a JWT, and then asks about it if its issuer is to be asked: no stranger's costs a question.
    async fn verify_jwt(
        &self,
        token: &str,
        token_hash: TokenHash,
        now: SystemTime,
    ) -> Result<VerifiedToken, Denial> {
        let CachedJwt { token: verified, verified_by } = match self.jwts.get(&token_hash, now) {
            Some(known) => known,
            None => self.jwts.verify_uncached(token, token_hash, now).await?,
        };
        match &verified_by.introspector {
            Some(introspector) => {
                bound_by(&introspector.verify(token, token_hash, now).await?, verified)
            }
            None => Ok(verified),
        }
    }
}

impl Verifier for TokenVerifier {
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        Box::pin(async { self.get_or_verify(credentials).await.map(|(token, _)| token) })
    }
}

/// Whether a JWT is bound to all that its issuer's answer binds it to.
fn is_bound_by(answer: &VerifiedToken, jwt: &VerifiedToken) -> bool {
    let binding = &answer.data().binding;
    binding.is_none() || *binding == jwt.data().binding
}

/// The JWT, bound as its issuer answers, who may know more than stands in it
/// ([RFC 9449 §6.2](https://www.rfc-editor.org/rfc/rfc9449#section-6.2)).
fn bound_by(answer: &VerifiedToken, jwt: VerifiedToken) -> Result<VerifiedToken, Denial> {
    if is_bound_by(answer, &jwt) {
        return Ok(jwt);
    }
    match (&answer.data().binding, &jwt.data().binding) {
        (Some(binding), None) => Ok(jwt.clone().bound(binding.clone())),
        _ => Err(Denial::invalid(Reason::Binding)
            .detail("the token and the answer of its issuer name different keys (`cnf`)")),
    }
}

/// What to say if several issuers refuse: that one is out of reach, which may have been the one; else
/// why it is not good; else that none knows it.
fn graver(one: Denial, other: Denial) -> Denial {
    let weight = |denial: &Denial| match denial.kind() {
        DenialKind::Unavailable { .. } => 2,
        DenialKind::InvalidToken(Reason::Inactive) => 0,
        _ => 1,
    };
    if weight(&other) > weight(&one) { other } else { one }
}
