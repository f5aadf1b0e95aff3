//! Notices of issuers, from which revocations come.

use crate::issuer::resolver;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::resource::mcp_auth::McpAuth;
use crate::verify::jwt::{self, Jws, SecurityEvent, SecurityEventKind};

/// What the operator is told of an event whose subject is nobody's.
pub(super) const ABOUT_NOBODY: &str = "a security event names its subject in a way that tokens do not, and revokes nothing: let the transmitter use `iss_sub` or `opaque`";

impl McpAuth {
    /// Verifies a logout token, and revokes what it names
    /// ([OpenID Connect Back-Channel Logout 1.0 §2.6](https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation)).
    ///
    /// `client_ids` are those under which the issuer knows the receiver: one must be its audience. For
    /// stacks without a tower service; `security_event_receiver` does the same.
    ///
    /// # Errors
    ///
    /// If it is none, or of an issuer that is not trusted here, or for somebody else.
    pub async fn receive_logout_token(
        &self,
        token: &str,
        client_ids: &[impl AsRef<str>],
    ) -> Result<(), Denial> {
        self.receive(SecurityEventKind::Logout, token, client_ids).await
    }

    /// Verifies a security event token ([RFC 8417](https://www.rfc-editor.org/rfc/rfc8417)), and revokes
    /// what it names: CAEP `session-revoked`, `token-claims-change` and `credential-change`, and RISC
    /// `account-disabled`, `account-purged` and `sessions-revoked`. Other events are accepted, and ignored.
    ///
    /// # Errors
    ///
    /// If it is none, or of an issuer that is not trusted here, or for somebody else.
    pub async fn receive_security_event(
        &self,
        token: &str,
        audiences: &[impl AsRef<str>],
    ) -> Result<(), Denial> {
        self.receive(SecurityEventKind::SecurityEvent, token, audiences).await
    }

    pub(crate) async fn receive(
        &self,
        kind: SecurityEventKind,
        token: &str,
        audiences: &[impl AsRef<str>],
    ) -> Result<(), Denial> {
        let event = self.accept(kind, token, audiences).await?;
        if event.is_about_nobody {
            tracing::warn!(target: "mcp_auth", issuer = event.issuer, "{ABOUT_NOBODY}");
        }
        Ok(())
    }

    /// Judges a notice, however it came, and revokes what it names: there is no other way for an issuer to revoke.
    pub(super) async fn accept(
        &self,
        kind: SecurityEventKind,
        token: &str,
        audiences: &[impl AsRef<str>],
    ) -> Result<SecurityEvent, Denial> {
        // As with tokens: what costs least comes first, and nothing is fetched for what is refused anyway.
        let mut jws = Jws::parse(token)?;
        let mut event = SecurityEvent::parse(kind, &jws.header, &std::mem::take(&mut jws.payload))?;
        event.validate(audiences, self.0.clock.now(), self.0.policy.validity.leeway)?;
        let known = self.0.servers.iter().find(|server| server.issues(&event.issuer));
        let server = match known {
            Some(server) => Some(server.clone()),
            None => resolver::resolve(&self.0.resolvers, &event.issuer).await?,
        };
        let server = server.ok_or_else(|| Denial::invalid(Reason::Issuer))?;
        jwt::check_algorithm(&jws, server.rules())?;
        server.issuer_keys().verify(&jws, &event.issuer).await?;
        event.revocations.drain(..).for_each(|revocation| self.revoke(revocation));
        Ok(event)
    }
}
