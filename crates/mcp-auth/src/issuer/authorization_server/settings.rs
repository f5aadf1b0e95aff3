//! What is configured for an authorization server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderMap;

use crate::issuer::introspection::Introspection;
use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::net::fetch::Fetch;
use crate::policy::metadata::{Document, ServerMetadata};
use crate::verify::jwt::{HmacKey, JwtRules, KeySet};

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) source: Source,
    pub(super) keys: KeySource,
    pub(super) rules: JwtRules,
    pub(super) timeout: Duration,
    pub(super) cooldown: Duration,
    pub(super) max_age: Duration,
    pub(super) max_stale: Duration,
    pub(super) headers: HeaderMap,
    pub(super) map_metadata: Option<MapMetadata>,
    pub(super) introspection: Option<Introspection>,
    /// What clients are told to log in at, if not the issuer.
    pub(super) advertise_as: Option<Arc<str>>,
    /// `None` without a client: a build without the feature `reqwest`, and no `Fetch` of the user's own.
    pub(super) fetch: Option<Arc<dyn Fetch>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Where the metadata comes from.
#[derive(Clone)]
pub(super) enum Source {
    Discovery,
    Metadata(Arc<ServerMetadata>),
    External,
    Url(Arc<str>),
}

/// Where the keys come from.
#[derive(Clone)]
pub(super) enum KeySource {
    File(Arc<Path>),
    Static(Arc<KeySet>),
    /// From the place that the metadata names.
    Metadata,
    /// No keys at all: its tokens are opaque, and its JWTs, if it has any, are no access tokens.
    None,
    /// No keys at all: its tokens are signed with a secret.
    Hmac(Arc<HmacKey>),
}

pub(super) type MapMetadata = Arc<dyn Fn(Document) -> BoxFuture<'static, Document> + Send + Sync>;
