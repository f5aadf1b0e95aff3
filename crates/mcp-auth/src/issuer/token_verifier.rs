//! The verifier of tokens of several issuers: JWTs are verified with keys, opaque tokens by introspection.

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

/// Chooses by the form of a token: three parts of base64url are a JWT, anything else is an opaque token.
pub(crate) struct TokenVerifier {
    jwts: JwtVerifier,
    /// The introspectors for opaque tokens, in the order of the configuration.
    introspectors: Vec<Introspector>,
    token_hasher: Arc<TokenHasher>,
    clock: Arc<dyn Clock>,
}

impl TokenVerifier {
    /// Returns `None` if the system provides no random numbers.
    pub(crate) fn new(
        jwts: JwtVerifier,
        servers: &[AuthorizationServer],
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let introspectors: Vec<Introspector> =
            servers.iter().filter_map(AuthorizationServer::introspector).cloned().collect();
        let token_hasher = match introspectors.first() {
            Some(introspector) => introspector.token_hasher()?,
            None => Arc::new(TokenHasher::random()?),
        };
        Some(Self { jwts, introspectors, token_hasher, clock })
    }

    /// Returns the verified token and the current time, which may be later than at the call because of a fetch.
    pub(crate) async fn get_or_verify(
        &self,
        credentials: &Credentials,
    ) -> Result<(VerifiedToken, SystemTime), Denial> {
        let token = credentials.token();
        let token_hash = self.token_hasher.hash(token.as_bytes());
        let token_hash = token_hash.ok_or_else(|| Denial::invalid(Reason::Oversize))?;
        let now = self.clock.now();
        let known = self.get(&token_hash, now);
        metrics::token_cache(known.is_some());
        if let Some(known) = known {
            return Ok((known, now));
        }
        let token = token.expose();
        // Boxed, so that the future is small if the token is cached.
        let verified = if self.is_opaque(token) {
            credentials.validate_token68()?;
            Box::pin(self.introspect(token, token_hash, now)).await?
        } else {
            // A verified JWT is valid token68, so only a refused token is checked byte by byte.
            let verified = boxed(|| self.verify_jwt(token, token_hash, now)).await;
            verified.map_err(|denial| credentials.validate_token68().err().unwrap_or(denial))?
        };
        Ok((verified, self.clock.now()))
    }

    fn is_opaque(&self, token: &str) -> bool {
        !self.introspectors.is_empty() && (self.jwts.is_empty() || !jwt::is_compact(token))
    }

    fn get(&self, token_hash: &TokenHash, now: SystemTime) -> Option<VerifiedToken> {
        if let Some(CachedJwt { token, verified_by }) = self.jwts.get(token_hash, now) {
            let Some(introspector) = &verified_by.introspector else { return Some(token) };
            let answer = introspector.get(token_hash, now)?.token;
            return has_confirmation_of(&answer, &token).then(|| with_scopes_of(&answer, token));
        }
        let known = self.introspectors.iter().find_map(|it| it.get(token_hash, now))?;
        // An introspection response about a JWT does not replace the verification of its signature.
        (self.jwts.is_empty() || !known.is_compact).then_some(known.token)
    }

    /// Introspects the token at one issuer after another, until one knows it. If the form of a token identifies its
    /// issuer, no other issuer sees the token.
    async fn introspect(
        &self,
        token: &str,
        token_hash: TokenHash,
        now: SystemTime,
    ) -> Result<VerifiedToken, Denial> {
        let shape = self.introspectors.iter().map(|it| it.shape_of(token)).max();
        if shape.is_none_or(|shape| shape == Shape::Foreign) {
            return Err(self.refuse_shape());
        }
        let mut denied = None;
        for introspector in self.introspectors.iter().filter(|it| Some(it.shape_of(token)) == shape)
        {
            match introspector.verify(token, token_hash, false, now).await {
                Ok(token) => return Ok(token),
                Err(denial) => {
                    denied = Some(match denied {
                        Some(earlier) => more_relevant(earlier, denial),
                        None => denial,
                    });
                }
            }
        }
        Err(denied.unwrap_or_else(|| Denial::invalid(Reason::Inactive)))
    }

    /// The denial of a token that none of the issuers can have issued.
    fn refuse_shape(&self) -> Denial {
        let about: Vec<_> =
            self.introspectors.iter().filter_map(Introspector::shape_detail).collect();
        Denial::invalid(Reason::Malformed).detail(about.join("; "))
    }

    /// Verifies a JWT, and then introspects it if that is configured. A JWT that fails verification causes no
    /// introspection request.
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
                let answer = introspector.verify(token, token_hash, true, now).await?;
                Ok(with_scopes_of(&answer, with_confirmation_of(&answer, verified)?))
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

/// The JWT with the scopes of the introspection response, if it says what they are. They are the issuer's latest word,
/// and some issuers write none into their JWTs.
fn with_scopes_of(answer: &VerifiedToken, jwt: VerifiedToken) -> VerifiedToken {
    let (answer, known) = (answer.data(), &jwt.data().scopes);
    if !answer.names_scopes || answer.scopes == *known {
        return jwt;
    }
    jwt.scopes(answer.scopes.clone())
}

/// Whether the JWT has the confirmation (`cnf`) of the introspection response, or the response has none.
fn has_confirmation_of(answer: &VerifiedToken, jwt: &VerifiedToken) -> bool {
    let confirmation = &answer.data().confirmation;
    confirmation.is_none() || *confirmation == jwt.data().confirmation
}

/// The JWT with the confirmation (`cnf`) of the introspection response, which may have one that the JWT lacks
/// ([RFC 9449 §6.2](https://www.rfc-editor.org/rfc/rfc9449#section-6.2)). Refuses a JWT with a different one.
fn with_confirmation_of(
    answer: &VerifiedToken,
    jwt: VerifiedToken,
) -> Result<VerifiedToken, Denial> {
    if has_confirmation_of(answer, &jwt) {
        return Ok(jwt);
    }
    match (&answer.data().confirmation, &jwt.data().confirmation) {
        (Some(confirmation), None) => Ok(jwt.clone().with_confirmation(confirmation.clone())),
        _ => Err(Denial::invalid(Reason::Binding)
            .detail("the token and the answer of its issuer name different keys (`cnf`)")),
    }
}

/// The denial to report if several issuers refuse. An unavailable issuer comes first, since it may have issued the
/// token; then the reason why the token is invalid; last, that no issuer knows the token.
fn more_relevant(one: Denial, other: Denial) -> Denial {
    let weight = |denial: &Denial| match denial.kind() {
        DenialKind::Unavailable { .. } => 2,
        DenialKind::InvalidToken(Reason::Inactive) => 0,
        _ => 1,
    };
    if weight(&other) > weight(&one) { other } else { one }
}
