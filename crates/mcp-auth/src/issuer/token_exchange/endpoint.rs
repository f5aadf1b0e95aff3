//! One token exchange request and its response, or why there is none.

use std::time::SystemTime;

use bytes::Bytes;
use http::Response;

use crate::issuer::internal_url::address_in_metadata;
use crate::issuer::introspection::{Form, retry_after};
use crate::issuer::token_exchange::failure::Failure;
use crate::issuer::token_exchange::response::{self, ACCESS_TOKEN};
use crate::issuer::token_exchange::settings::Settings;
use crate::issuer::token_exchange::target::{Grant, Target};
use crate::issuer::token_exchange::token::ExchangedToken;
use crate::model::auth_info::AuthInfo;
use crate::net::fetch::{FetchError, Limits, only_ok};
use crate::util::shown;
use crate::util::unix_time::unix_secs;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

const FORM: &str = "application/x-www-form-urlencoded";

/// The media type of a response ([RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
const RESPONSE: &str = "application/json";

/// Maximum size of a response: four times the longest token that is accepted.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

impl Settings {
    /// Asks the server for a token, in the name of a caller if there is one.
    pub(super) async fn ask(
        &self,
        caller: Option<&AuthInfo>,
        target: &Target,
        sent_at: SystemTime,
    ) -> Result<ExchangedToken, Failure> {
        let Self { server, authentication, timeout, .. } = self;
        let url = self.token_endpoint().await?;
        let mut form = Form::default();
        let token = caller.map(|caller| caller.token().expose());
        match (target.grant, token) {
            (Grant::Exchange, Some(token)) => {
                form.add("grant_type", TOKEN_EXCHANGE);
                form.add("subject_token", token);
                form.add("subject_token_type", ACCESS_TOKEN);
                form.add("requested_token_type", ACCESS_TOKEN);
            }
            (Grant::OnBehalfOf, Some(token)) => {
                form.add("grant_type", JWT_BEARER);
                form.add("assertion", token);
            }
            (Grant::ClientCredentials, None) => form.add("grant_type", "client_credentials"),
            _ => return Err(Failure::Unavailable("the grant does not fit the caller")),
        }
        if !target.parameter.is_empty() {
            form.add(target.parameter, &target.name);
        }
        if !target.scopes.is_empty() {
            form.add("scope", target.scopes.as_str());
        }
        let failed = |error| Failure::Exchange(error, None);
        let secret = authentication.secret(*timeout).await.map_err(failed)?;
        let (secret, issuer) = (secret.as_deref(), server.issuer());
        let mut headers = server.outbound().headers.clone();
        let signed = authentication.authenticate(secret, issuer, sent_at, &mut headers, &mut form);
        signed.ok_or(Failure::Unavailable("this server cannot say who it is"))?;
        let limits = Limits { timeout: *timeout, max_bytes: MAX_RESPONSE_BYTES };
        let request = (FORM, form.into_text());
        let response = server.outbound().post(&url, headers, request, RESPONSE, limits).await;
        let response = response.map_err(failed)?;
        read(&url, response, target.grant, token, sent_at)
    }

    async fn token_endpoint(&self) -> Result<String, Failure> {
        let Self { server, endpoint, authentication, .. } = self;
        if let Some(given) = endpoint {
            return Ok(given.to_string());
        }
        let metadata = server.metadata().await.map_err(Failure::Metadata)?;
        let url = metadata.endpoint("token_endpoint", authentication.is_mtls()).ok_or(
            Failure::Unavailable(
                "the metadata has no `token_endpoint`: set `.endpoint(..)`, if the server has one",
            ),
        )?;
        let address = address_in_metadata(server.internal_address(), server.issuer(), url);
        Ok(address.map_err(|error| Failure::Exchange(error, None))?.into_owned())
    }
}

/// Reads a response: a token, an error of OAuth, or neither.
fn read(
    url: &str,
    response: Response<Bytes>,
    grant: Grant,
    sent: Option<&str>,
    sent_at: SystemTime,
) -> Result<ExchangedToken, Failure> {
    let retry_after = retry_after(response.headers());
    let is_error = response.status().is_client_error() && response.status() != 429;
    // RFC 6749 §5.2 has 400 and 401, and some servers refuse with 403. An error response may be as long as it likes.
    let code = Some(response.body()).filter(|body| is_error && body.len() <= MAX_RESPONSE_BYTES);
    if let Some(code) = code.and_then(|body| response::error_code(body)) {
        tracing::debug!(target: "mcp_auth", error = &*shown::field(&code), "the issuer refuses a token exchange");
        return Err(Failure::of_code(code, response.status()));
    }
    let response = only_ok(url, response).map_err(|error| Failure::Exchange(error, retry_after))?;
    let parsed = response::parse(response.body(), grant, sent, unix_secs(sent_at));
    parsed.map_err(|why| {
        let error = FetchError::InvalidDocument { url: url.to_owned(), why: why.to_owned() };
        Failure::Exchange(error, None)
    })
}
