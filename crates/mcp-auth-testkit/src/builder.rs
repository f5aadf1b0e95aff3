//! The builder of test issuers.

use std::sync::Arc;

use mcp_auth::{Fetch, HttpClient, ManualClock};

use crate::SigningAlgorithm;
use crate::document::MetadataPath;
use crate::issuer::{Settings, TestIssuer};
use crate::time::Time;

/// Builds a [`TestIssuer`].
///
/// ```
/// use mcp_auth_testkit::{MetadataPath, SigningAlgorithm, TestIssuer};
///
/// let issuer = TestIssuer::builder()
///     .issuer("https://auth.example.com/tenant")
///     .algorithm(SigningAlgorithm::EdDsa)
///     .metadata_at([MetadataPath::OidcAppended])
///     .build();
/// assert_eq!(issuer.url(), "https://auth.example.com/tenant");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TestIssuerBuilder(Settings);

impl TestIssuerBuilder {
    pub(crate) fn new() -> Self {
        Self(Settings {
            issuer: "https://issuer.test".to_owned(),
            algorithm: SigningAlgorithm::default(),
            metadata_at: MetadataPath::ALL.to_vec(),
            users: vec!["alice".to_owned(), "bob".to_owned()],
            auto_approve: None,
            clients: Vec::new(),
            fetch: Arc::new(HttpClient::new()),
            time: Time::Manual(ManualClock::new()),
        })
    }

    /// Sets the issuer identifier, which is used verbatim
    /// ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)). A served issuer has the
    /// URL of its port instead.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let tenant = TestIssuer::builder().issuer("https://auth.example.com/tenant").build();
    /// assert_eq!(tenant.jwks_uri(), "https://auth.example.com/tenant/jwks");
    /// ```
    pub fn issuer(mut self, url: impl Into<String>) -> Self {
        self.0.issuer = url.into();
        self
    }

    /// Sets the default signature algorithm. Without it, it is ES256, whose keys are quick to
    /// generate.
    ///
    /// The first RSA key of every issuer is the same fixed key. Keys created by rotation are new.
    ///
    /// ```
    /// use mcp_auth_testkit::{SigningAlgorithm, TestIssuer};
    ///
    /// let issuer = TestIssuer::builder().algorithm(SigningAlgorithm::Rs256).build();
    /// assert_eq!(issuer.kid(), "rs256-1");
    /// ```
    pub fn algorithm(mut self, algorithm: SigningAlgorithm) -> Self {
        self.0.algorithm = algorithm;
        self
    }

    /// Sets the paths at which the metadata is served
    /// ([RFC 8414 §5](https://www.rfc-editor.org/rfc/rfc8414#section-5)). By default it is served at all
    /// three, since a client may try any of them.
    ///
    /// ```
    /// use mcp_auth_testkit::{MetadataPath, TestIssuer};
    ///
    /// let issuer = TestIssuer::builder().metadata_at([MetadataPath::OAuth]).build();
    /// ```
    pub fn metadata_at(mut self, paths: impl IntoIterator<Item = MetadataPath>) -> Self {
        self.0.metadata_at = paths.into_iter().collect();
        self
    }

    /// Sets the users that can log in at the login page of a served issuer. By default these are
    /// `alice` and `bob`.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::builder().users(["carol"]).build();
    /// ```
    pub fn users<S: Into<String>>(mut self, users: impl IntoIterator<Item = S>) -> Self {
        self.0.users = users.into_iter().map(Into::into).collect();
        self
    }

    /// Makes a served issuer grant every authorization request at once, as if `user` had consented. Use
    /// it in tests without a browser.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::builder().auto_approve("alice").build();
    /// ```
    pub fn auto_approve(mut self, user: impl Into<String>) -> Self {
        self.0.auto_approve = Some(user.into());
        self
    }

    /// Preregisters a confidential client. It may use the client credentials grant
    /// ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)) and introspect the
    /// tokens of every resource ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::builder().client("robot", "a development secret").build();
    /// ```
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.0.clients.push((id.into(), secret.into()));
        self
    }

    /// Sets how a served issuer fetches client ID metadata documents
    /// ([draft](https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/)).
    /// By default it fetches them over the network.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let no_network = TestIssuer::new();
    /// let issuer = TestIssuer::builder().fetch(no_network).build();
    /// ```
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.0.fetch = Arc::new(fetch);
        self
    }

    /// Builds the issuer.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::builder().build();
    /// ```
    #[must_use]
    pub fn build(self) -> TestIssuer {
        TestIssuer::from_settings(self.0)
    }
}
