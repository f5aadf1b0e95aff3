//! Fetches the metadata of an authorization server, from the first place that has it.

use crate::issuer::authorization_server::settings::{MetadataSource, Settings};
use crate::net::fetch::FetchError;
use crate::policy::metadata::{ServerMetadata, Severity, server_metadata_urls, validate};
use crate::util::shown;
use crate::util::url;

/// The media type of metadata ([RFC 8414 §3.2](https://www.rfc-editor.org/rfc/rfc8414#section-3.2)).
const METADATA: &str = "application/json";

impl Settings {
    /// Fetches the metadata, from the first place that has it.
    pub(super) async fn load_metadata(&self) -> Result<ServerMetadata, FetchError> {
        let urls = match &self.source {
            MetadataSource::Discovery => server_metadata_urls(&self.rules.issuer),
            MetadataSource::Static(metadata) => {
                return self.accept(&self.rules.issuer, ServerMetadata::clone(metadata)).await;
            }
            MetadataSource::External => Vec::new(),
            MetadataSource::Url(url) => vec![url.to_string()],
        };
        let mut reported: Option<FetchError> = None;
        for url in urls {
            let error = match self.fetch_metadata(&url).await {
                Ok(document) => {
                    let published = document.jwks_uri().map(str::to_owned);
                    let metadata = self.accept(&url, document).await;
                    // Whoever configures `map_metadata` may choose where the keys are.
                    let is_published = |it: &ServerMetadata| it.jwks_uri() == published.as_deref();
                    match metadata {
                        Ok(metadata) if is_published(&metadata) => {
                            match self.jwks_uri_problem(&url, &metadata) {
                                None => return Ok(metadata),
                                Some(why) => FetchError::InvalidDocument { url, why },
                            }
                        }
                        Ok(metadata) => return Ok(metadata),
                        // `map_metadata` took too long, as it would for the next document.
                        Err(error @ FetchError::Timeout(_)) => return Err(error),
                        Err(error) => error,
                    }
                }
                // They concern every URL of the issuer.
                Err(
                    error @ (FetchError::Unreachable(_)
                    | FetchError::NoClient
                    | FetchError::Secret(_)),
                ) => {
                    return Err(error);
                }
                // Whatever else is wrong there, the next URL may have it: the document must name the issuer.
                Err(error) => error,
            };
            if reported.as_ref().is_none_or(|it| relevance(&error) >= relevance(it).max(1)) {
                reported = Some(error);
            }
        }
        Err(reported
            .unwrap_or_else(|| FetchError::Transport("there is no place to fetch it from".into())))
    }

    async fn fetch_metadata(&self, url: &str) -> Result<ServerMetadata, FetchError> {
        let response = self.get(url, METADATA).await?;
        ServerMetadata::parse(response.body())
            .map_err(|why| FetchError::InvalidDocument { url: url.to_owned(), why: why.to_owned() })
    }

    /// Why keys are not fetched from where metadata at this URL says.
    fn jwks_uri_problem(&self, url: &str, metadata: &ServerMetadata) -> Option<String> {
        let jwks_uri = metadata.jwks_uri()?;
        // Plain http is for this machine and named hosts, and metadata of a remote server must not send requests there.
        let internal = self.internal_url.as_ref();
        let problem = match url::is_https(url) && !url::is_https(jwks_uri) {
            true if internal.is_some_and(|internal| internal.is_internal(jwks_uri)) => None,
            true => url::problem(jwks_uri, &[]).or(Some("https is required, as for the metadata")),
            false => url::problem(jwks_uri, &self.outbound.http_hosts),
        };
        problem.map(|problem| format!("its `jwks_uri` cannot be fetched: {problem}"))
    }

    /// Applies `map_metadata` to a document, and accepts the document if its `issuer` is this one
    /// ([RFC 8414 §3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
    async fn accept(
        &self,
        url: &str,
        metadata: ServerMetadata,
    ) -> Result<ServerMetadata, FetchError> {
        let metadata = match &self.map_metadata {
            Some(map) => tokio::time::timeout(self.timeout, map(metadata.document().clone()))
                .await
                .map_err(|_| FetchError::Timeout(self.timeout))?
                .into(),
            None => metadata,
        };
        let issuer = &*self.rules.issuer;
        if metadata.issuer() != issuer {
            let why = format!(
                "its issuer is \"{}\", not {issuer:?}: {}",
                shown::name(metadata.issuer()),
                advice_on_issuer(metadata.issuer(), self.internal_url.is_some())
            );
            return Err(FetchError::InvalidDocument { url: url.to_owned(), why });
        }
        for finding in
            validate(&metadata).iter().filter(|finding| finding.severity > Severity::Pass)
        {
            let issuer = &*shown::field(issuer);
            tracing::debug!(target: "mcp_auth", issuer, code = finding.code, "{}", finding.message);
        }
        Ok(metadata)
    }
}

/// Which error is reported if no well-known URL has the metadata: rather a document that is not right than an outage,
/// and rather that than one that says "not here".
fn relevance(error: &FetchError) -> u8 {
    match error {
        FetchError::InvalidDocument { .. } => 2,
        FetchError::Status { status: ..=499, .. } => 0,
        _ => 1,
    }
}

/// What to change if metadata names another issuer than the configured one.
fn advice_on_issuer(published: &str, is_internal: bool) -> &'static str {
    match published {
        "" => "this is not the metadata of an authorization server",
        it if it.contains(['{', '}']) => {
            "these tenants share their metadata, and each has an issuer of its own; name yours: Microsoft Entra with `AuthorizationServer::entra(..)` or `entra_tenants(..)`, others with `AuthorizationServer::template(..)`"
        }
        _ if is_internal => {
            "let the server write its public URL also if it is asked by `.internal_url(..)` (Keycloak: `KC_HOSTNAME`)"
        }
        _ => "use the issuer as the document writes it",
    }
}
