//! The settings of an authorization server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::issuer::internal_url::{InternalUrl, address_of};
use crate::issuer::introspection::Introspection;
use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::net::fetch::{FetchError, Limits, Outbound};
use crate::net::metrics::IssuerLabel;
use crate::policy::metadata::{MetadataDocument, ServerMetadata};
use crate::verify::jwt::{HmacKey, JwtRules, KeySet};

/// Maximum size of a document. No metadata document or key set found in practice is a tenth as long.
pub(super) const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) source: MetadataSource,
    pub(super) keys: KeySource,
    pub(super) rules: JwtRules,
    pub(super) metrics_label: IssuerLabel,
    pub(super) timeout: Duration,
    pub(super) cooldown: Duration,
    pub(super) max_age: Duration,
    pub(super) max_stale: Duration,
    pub(super) map_metadata: Option<MapMetadata>,
    pub(super) introspection: Option<Introspection>,
    /// Where this machine reaches the issuer, if not at its public URL.
    pub(super) internal_url: Option<InternalUrl>,
    /// The issuer that is published to clients instead of this one.
    pub(super) advertise_as: Option<Arc<str>>,
    pub(super) outbound: Outbound,
    pub(super) clock: Arc<dyn Clock>,
}

impl Settings {
    /// Fetches a document of one of these media types.
    pub(super) async fn get(
        &self,
        url: &str,
        accept: &'static str,
    ) -> Result<http::Response<Bytes>, FetchError> {
        let limits = Limits { timeout: self.timeout, max_bytes: MAX_DOCUMENT_BYTES };
        let url = address_of(self.internal_url.as_ref(), url);
        self.outbound.get(&url, accept, limits).await
    }
}

/// Where the metadata comes from.
#[derive(Clone)]
pub(super) enum MetadataSource {
    Discovery,
    Static(Arc<ServerMetadata>),
    External,
    Url(Arc<str>),
}

/// Where the keys come from.
#[derive(Clone)]
pub(super) enum KeySource {
    File(Arc<Path>),
    Static(Arc<KeySet>),
    /// From the `jwks_uri` of the metadata.
    JwksUri,
    /// No keys: its tokens are opaque, and its JWTs, if there are any, are not access tokens.
    None,
    /// No keys: its tokens are signed with a shared secret.
    Hmac(Arc<HmacKey>),
}

pub(super) type MapMetadata =
    Arc<dyn Fn(MetadataDocument) -> BoxFuture<'static, MetadataDocument> + Send + Sync>;
