//! Security events from issuers: validation, and the revocations that they cause.

use crate::issuer::issuer_resolver;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::resource::mcp_auth::McpAuth;
use crate::util::shown;
use crate::verify::jwt::{self, Jws, SecurityEvent, SecurityEventKind};

/// Logged for an event that does not identify its subject as tokens do.
pub(super) const UNKNOWN_SUBJECT: &str = "a security event names its subject in a way that tokens do not, and revokes nothing: let the transmitter use `iss_sub` or `opaque`";

impl McpAuth {
    /// Verifies a logout token and revokes what it names
    /// ([OpenID Connect Back-Channel Logout 1.0 §2.6](https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation)).
    ///
    /// `client_ids` are the client ids under which the issuer knows this receiver. The audience of the token
    /// must be one of them. This method is for servers that cannot use a tower service;
    /// `security_event_receiver` is the same as a service.
    ///
    /// # Errors
    ///
    /// If it is not a valid logout token, if its issuer is not trusted here, or if it is for another audience.
    pub async fn receive_logout_token(
        &self,
        token: &str,
        client_ids: &[impl AsRef<str>],
    ) -> Result<(), Denial> {
        self.receive(SecurityEventKind::Logout, token, client_ids).await
    }

    /// Verifies a security event token ([RFC 8417](https://www.rfc-editor.org/rfc/rfc8417)) and revokes what it
    /// names.
    ///
    /// The events that revoke are CAEP `session-revoked`, `token-claims-change` and `credential-change`, and
    /// RISC `account-disabled`, `account-purged` and `sessions-revoked`. Other events are accepted and ignored.
    ///
    /// # Errors
    ///
    /// If it is not a valid security event, if its issuer is not trusted here, or if it is for another audience.
    pub async fn receive_security_event(
        &self,
        token: &str,
        audiences: &[impl AsRef<str>],
    ) -> Result<(), Denial> {
        self.receive(SecurityEventKind::Set, token, audiences).await
    }

    pub(crate) async fn receive(
        &self,
        kind: SecurityEventKind,
        token: &str,
        audiences: &[impl AsRef<str>],
    ) -> Result<(), Denial> {
        let event = self.accept(kind, token, audiences).await?;
        if event.has_unknown_subject {
            tracing::warn!(target: "mcp_auth", issuer = &*shown::field(&event.issuer), "{UNKNOWN_SUBJECT}");
        }
        Ok(())
    }

    /// Validates a security event, pushed or polled, and revokes what it names. An issuer has no other way to
    /// revoke.
    pub(super) async fn accept(
        &self,
        kind: SecurityEventKind,
        token: &str,
        audiences: &[impl AsRef<str>],
    ) -> Result<SecurityEvent, Denial> {
        // As with tokens, the cheapest checks come first, and nothing is fetched for an event that is refused
        // anyway.
        let mut jws = Jws::parse(token)?;
        let mut event = SecurityEvent::parse(kind, &jws.header, &std::mem::take(&mut jws.payload))?;
        event.validate(audiences, self.0.clock.now(), self.0.policy.validity.leeway)?;
        let known = self.0.servers.iter().find(|server| server.issues(&event.issuer));
        let server = match known {
            Some(server) => Some(server.clone()),
            None => issuer_resolver::resolve(&self.0.resolvers, &event.issuer).await?,
        };
        let server = server.ok_or_else(|| Denial::invalid(Reason::Issuer))?;
        jwt::check_algorithm(&jws, server.rules())?;
        server.issuer_keys().verify(&jws, &event.issuer, Some(event.issued_at())).await?;
        event.revocations.drain(..).for_each(|revocation| self.revoke(revocation));
        Ok(event)
    }
}
