//! The authorization server that is described.

use mcp_auth::AuthorizationServer;
use mcp_auth::jwt::Profile;

use crate::algorithm::algorithm_named;
use crate::duration::{DurationSetting, Seconds};
use crate::error::Error;
use crate::http_client::secret_header;
use crate::introspection::IntrospectionMethod;
use crate::issuer::{IssuerConfig, RequiredClaim};

impl IssuerConfig {
    /// The authorization server that is described.
    ///
    /// # Errors
    ///
    /// If keys are missing or contradict each other, or a secret cannot be read.
    pub fn to_server(&self) -> Result<AuthorizationServer, Error> {
        let server = self.tokens(self.identified()?)?;
        let mut server = self.requests(server)?;
        if let Some(introspection) = &self.introspection {
            server = match self.has_own_api() {
                true => introspection.tune(server)?,
                false => server.introspection(introspection.to_introspection()?),
            };
            if introspection.method == IntrospectionMethod::TlsClientAuth {
                self.check_tls_client_auth("`introspection`")?;
            }
        }
        Ok(server)
    }

    /// Checks that there is a certificate that can authenticate the gateway here.
    pub(crate) fn check_tls_client_auth(&self, what: &str) -> Result<(), Error> {
        let has_certificate = self.http.as_ref().is_some_and(|http| http.certificate.is_some());
        if has_certificate {
            return Ok(());
        }
        Err(Error::new(format!(
            "{what} has `method = \"tls_client_auth\"`, and the issuer no certificate to show: set `http = {{ certificate = \"..\", key = \"..\" }}` at the issuer"
        )))
    }

    /// What its tokens must be.
    fn tokens(&self, mut server: AuthorizationServer) -> Result<AuthorizationServer, Error> {
        for audience in &self.audiences {
            server = server.audience(audience);
        }
        if let Some(issuer) = &self.advertise_as {
            server = server.advertise_as(issuer);
        }
        if let Some(names) = &self.algorithms {
            let algorithms = names.iter().map(|name| algorithm_named(name));
            server = server.algorithms(algorithms.collect::<Result<Vec<_>, _>>()?);
        }
        if self.rfc9068 {
            server = server.profile(Profile::Rfc9068);
        }
        if let Some(types) = &self.typ {
            server = server.typ(types);
        }
        for (claim, expected) in &self.required_claims {
            server = match expected {
                RequiredClaim::Value(value) => server.required_claim_value(&**claim, &**value),
                RequiredClaim::Present(true) => server.required_claim(&**claim),
                RequiredClaim::Present(false) => {
                    return Err(Error::new(format!(
                        "`required_claims`: {claim:?} is `false`, and should be `true` (it must be there) or the text that it must be"
                    )));
                }
            };
        }
        if let Some(claims) = &self.scope_claims {
            server = server.scope_claims(claims.iter().map(String::as_str));
        }
        if self.dangerous_any_audience {
            server = server.dangerous_any_audience();
        }
        if !self.dangerous_clients_instead_of_audience.is_empty() {
            let clients = self.dangerous_clients_instead_of_audience.clone();
            server = server.dangerous_clients_instead_of_audience(clients);
        }
        Ok(server)
    }

    /// How it is asked.
    fn requests(&self, mut server: AuthorizationServer) -> Result<AuthorizationServer, Error> {
        let durations: [DurationSetting<AuthorizationServer>; 4] = [
            (self.jwks_max_age, AuthorizationServer::jwks_max_age),
            (self.jwks_max_stale, AuthorizationServer::jwks_max_stale),
            (self.jwks_cooldown, AuthorizationServer::jwks_cooldown),
            (self.jwks_timeout, AuthorizationServer::jwks_timeout),
        ];
        for (duration, set) in durations {
            if let Some(Seconds(duration)) = duration {
                server = set(server, duration);
            }
        }
        for (name, value) in &self.headers {
            let (name, value) = secret_header(name, value)?;
            server = server.header(name, value);
        }
        if let Some(token) = &self.bearer {
            server = server.bearer(token.to_secret()?);
        }
        if let Some(origin) = &self.internal_url {
            server = server.internal_url(origin);
        }
        if !self.insecure_http_hosts.is_empty() {
            server =
                server.insecure_http_hosts(self.insecure_http_hosts.iter().map(String::as_str));
        }
        if let Some(http) = &self.http {
            server = server.fetch(http.to_client()?);
        }
        Ok(server)
    }
}
