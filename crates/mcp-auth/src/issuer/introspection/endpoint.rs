//! One introspection request and its response, or why there is none.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::issuer::internal_url::{InternalUrl, address_in_metadata};
use crate::issuer::introspection::failure::{Failure, retry_after};
use crate::issuer::introspection::request::SIGNED;
use crate::issuer::introspection::settings::Introspection;
use crate::issuer::issuer_keys::IssuerKeys;
use crate::model::denial::{Denial, DenialKind};
use crate::model::error_codes::Reason;
use crate::model::provider::Api;
use crate::model::verified_token::VerifiedToken;
use crate::net::clock::Clock;
use crate::net::fetch::{FetchError, Limits, Outbound, only_ok};
use crate::net::metrics::IssuerLabel;
use crate::net::refreshing_cache::RefreshingCache;
use crate::policy::metadata::ServerMetadata;
use crate::verify::introspection_response::{
    SignedResponse, is_unknown_token, validate_provider_response, validate_response,
};
use crate::verify::jwt::JwtRules;

/// Maximum size of a response. It has room for the claims of a user in very many groups, more than a JWT could
/// hold.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The media type of a response ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)), also of the APIs
/// of providers.
const RESPONSE: &str = "application/json";

/// What is needed to send introspection requests to a server.
pub(crate) struct IntrospectionEndpoint {
    pub(crate) rules: JwtRules,
    pub(crate) metrics_label: IssuerLabel,
    pub(crate) metadata: Arc<RefreshingCache<ServerMetadata>>,
    pub(crate) issuer_keys: Arc<IssuerKeys>,
    pub(crate) internal_url: Option<InternalUrl>,
    pub(crate) outbound: Outbound,
    pub(crate) clock: Arc<dyn Clock>,
}

impl IntrospectionEndpoint {
    pub(super) fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(super) async fn introspect(
        &self,
        settings: &Introspection,
        token: &str,
    ) -> Result<Result<VerifiedToken, Denial>, Failure> {
        let url = self.endpoint(settings).await?;
        let mut headers = self.outbound.headers.clone();
        let secret = settings.authentication.secret(settings.timeout).await?;
        let request =
            settings.request(token, secret.as_deref(), self.issuer(), self.now(), &mut headers);
        let request =
            request.ok_or(Failure::Unavailable("this server cannot say who it is", None))?;

        let limits = Limits { timeout: settings.timeout, max_bytes: MAX_RESPONSE_BYTES };
        let response = self.outbound.post(&url, headers, request, RESPONSE, limits).await?;
        let retry_after = retry_after(response.headers());
        let failure = |error| Failure::Exchange(error, retry_after);
        if let Some(api) = settings.api {
            return self.validate_provider_api(api, &url, response).map_err(failure);
        }
        let response = only_ok(&url, response).map_err(failure)?;
        let invalid = |why: &str| {
            Failure::from(FetchError::InvalidDocument { url: url.clone(), why: why.to_owned() })
        };
        let audience = settings.audience_if_absent.as_deref();
        let subject_is_username = settings.subject_is_username;
        let validate = |json: &[u8]| {
            validate_response(json, &self.rules, audience, subject_is_username).map_err(invalid)
        };
        if !settings.has_signed_responses {
            return validate(response.body());
        }
        if !is_signed(response.headers()) {
            return Err(invalid(
                "the answer is not signed (RFC 9701): let the server sign for this client, or leave `.signed_responses()` out",
            ));
        }
        let client_id = settings.authentication.client_id().unwrap_or_default();
        let signed = SignedResponse::parse(response.body(), client_id, &self.rules, self.now());
        let signed = signed.map_err(invalid)?;
        // It was signed just now, possibly with a key that was published just now.
        match self.issuer_keys.verify(&signed.jws, &signed.issuer, None).await {
            Ok(_) => validate(signed.json.as_bytes()),
            Err(denial) if matches!(denial.kind(), DenialKind::Unavailable { .. }) => Err(
                Failure::Unavailable("the keys that verify its responses are out of reach", None),
            ),
            Err(_) => Err(invalid("no key of the issuer has signed it")),
        }
    }

    /// Validates a response of a provider's own API. Returns an error if this is not a response of that API.
    fn validate_provider_api(
        &self,
        api: &Api,
        url: &str,
        response: Response<Bytes>,
    ) -> Result<Result<VerifiedToken, Denial>, FetchError> {
        let invalid =
            |why: &str| FetchError::InvalidDocument { url: url.to_owned(), why: why.to_owned() };
        if is_unknown_token(api, response.status().as_u16(), response.body()) {
            return Ok(Err(Denial::invalid(Reason::Inactive).detail(api.unknown_detail)));
        }
        if matches!(response.status().as_u16(), 400 | 404 | 422) {
            return Err(invalid("it refuses the question, and not in the words of its API"));
        }
        let response = only_ok(url, response)?;
        validate_provider_response(api, response.body(), &self.rules).map_err(invalid)
    }

    /// The URL of the endpoint, if it is configured or the metadata is cached.
    pub(super) fn known_endpoint(&self, settings: &Introspection) -> Option<String> {
        let given = settings.endpoint.as_deref().map(str::to_owned);
        given.or_else(|| {
            let metadata = self.metadata.peek()?;
            let is_mtls = settings.authentication.is_mtls();
            metadata.endpoint("introspection_endpoint", is_mtls).map(str::to_owned)
        })
    }

    async fn endpoint(&self, settings: &Introspection) -> Result<String, Failure> {
        if let Some(given) = &settings.endpoint {
            return Ok(given.to_string());
        }
        let metadata = self.metadata.current().await;
        let metadata = metadata.map_err(|error| Failure::NoMetadata(error.cause()))?;
        let is_mtls = settings.authentication.is_mtls();
        let url = metadata.endpoint("introspection_endpoint", is_mtls);
        let url = url.ok_or(Failure::Unavailable(
            "the metadata has no `introspection_endpoint`: set `.endpoint(..)`, if the server has one",
            None,
        ))?;
        Ok(address_in_metadata(self.internal_url.as_ref(), self.issuer(), url)?.into_owned())
    }
}

fn is_signed(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(SIGNED)
}
