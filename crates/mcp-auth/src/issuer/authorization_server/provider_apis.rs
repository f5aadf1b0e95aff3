//! Providers whose tokens are opaque and are checked by an API of the provider: GitHub and Google.

use crate::issuer::authorization_server::server::AuthorizationServer;
use crate::issuer::authorization_server::settings::KeySource;
use crate::issuer::introspection::Introspection;
use crate::model::provider::Provider;
use crate::net::fetch::Secret;

impl AuthorizationServer {
    /// [GitHub](Provider), with your own OAuth app or GitHub App: its client ID and secret. MCP clients log in with
    /// this app, and only its tokens are accepted.
    ///
    /// Each token is checked with
    /// [`POST /applications/{client_id}/token`](https://docs.github.com/en/rest/apps/oauth-applications#check-a-token),
    /// which only the app itself may call, and which does not know the tokens of other apps. (`GET /user` answers
    /// for the tokens of every app: anyone who obtains such a token could use it here.) Only tokens with the form
    /// of an app's user token, `gho_` or `ghu_`, are sent to GitHub. Caching and outages are handled as with
    /// [`Introspection`].
    ///
    /// The subject is the numeric ID of the user; [`claims`](crate::AuthInfo::claims) contain `user` and `app`.
    ///
    /// ```
    /// # let secret = String::from("correct horse battery staple");
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let github = AuthorizationServer::github("Iv1.8a61f9b3a7aba766", secret);
    /// let auth = McpAuth::builder("https://api.example.com/mcp").authorization_server(github).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn github(client_id: impl AsRef<str>, secret: impl Into<Secret>) -> Self {
        Self::github_at("github", "", client_id.as_ref(), secret.into())
    }

    /// [GitHub Enterprise Server](Provider) at this URL; otherwise the same as [`github`](Self::github).
    #[must_use]
    pub fn github_enterprise(
        url: impl AsRef<str>,
        client_id: impl AsRef<str>,
        secret: impl Into<Secret>,
    ) -> Self {
        Self::github_at("github_enterprise", url.as_ref(), client_id.as_ref(), secret.into())
    }

    /// [Google](Provider), with the IDs of your own OAuth clients. MCP clients log in with these IDs, and only
    /// tokens that were issued to them are accepted.
    ///
    /// Each token is checked with `tokeninfo`, which needs no secret. Google's access tokens are opaque; its JWTs
    /// are ID tokens, and are refused. A token without the scope `openid` does not identify its user, and is
    /// refused. Caching and outages are handled as with [`Introspection`].
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let google = AuthorizationServer::google(["123-abc.apps.googleusercontent.com"]);
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server(google)
    ///     .required_scopes(["openid"])
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn google<S: Into<String>>(clients: impl IntoIterator<Item = S>) -> Self {
        // The `aud` of a token is the client it was issued to.
        let clients = clients.into_iter().map(Into::into).collect();
        Self::provider("google", [])
            .with_provider_api(&[], None)
            .with_overrides(|overrides| overrides.audiences = clients)
    }

    /// Changes the introspection settings of this server, such as how long responses are cached or how many
    /// requests are concurrent. Has no effect on a server without introspection.
    ///
    /// ```
    /// # let secret = String::from("correct horse battery staple");
    /// use mcp_auth::AuthorizationServer;
    /// use std::time::Duration;
    ///
    /// let github = AuthorizationServer::github("Iv1.8a61f9b3a7aba766", secret)
    ///     .map_introspection(|introspection| introspection.cache_for(Duration::from_secs(5 * 60)));
    /// ```
    #[must_use]
    pub fn map_introspection(self, change: impl FnOnce(Introspection) -> Introspection) -> Self {
        self.with(|settings| settings.introspection = settings.introspection.take().map(change))
    }

    fn github_at(id: &str, url: &str, client_id: &str, secret: Secret) -> Self {
        // A client ID with other characters would change the URL. It is left out, and `build()` reports it.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let part = if client_id.bytes().all(is_plain) { client_id } else { "" };
        // A token names no audience, only the app it was issued to.
        Self::provider(id, [("url", url)])
            .with_provider_api(&[("url", url), ("client_id", part)], Some((client_id, secret)))
            .with_overrides(|overrides| overrides.clients = vec![client_id.to_owned()])
    }

    /// Introspects tokens with the provider's API, as its row of the table describes it.
    fn with_provider_api(self, places: &[(&str, &str)], client: Option<(&str, Secret)>) -> Self {
        let Some((row, api)) = self.row().and_then(|row| Some((row, row.api.as_ref()?))) else {
            return self;
        };
        let endpoint = row.fill_placeholders(api.endpoint, places);
        self.with(|settings| {
            settings.keys = KeySource::None;
            settings.introspection = Some(Introspection::provider_api(api, &endpoint, client));
        })
    }

    /// Returns what is wrong with the configuration of a provider that has an API, if anything.
    pub(super) fn api_config_error(&self) -> Option<String> {
        let row: &Provider = self.row().filter(|row| row.api.is_some())?;
        let (name, id) = (row.name, row.id);
        match self.introspects() {
            None => Some(format!(
                "{name} has an API of its own for its tokens: name it with `AuthorizationServer::{id}(..)`, which asks it",
            )),
            Some(asking) if !asking.uses_provider_api() => Some(format!(
                "{name} has an API of its own for its tokens: change how it is asked with `.map_introspection(..)`, and leave `.introspection(..)` out",
            )),
            Some(asking) => asking.configured_endpoint().filter(|url| url.contains('{')).map(|_| {
                format!(
                    "a part of the URL at which {name} is asked is missing or cannot be one: {}",
                    row.placeholders
                )
            }),
        }
    }
}
