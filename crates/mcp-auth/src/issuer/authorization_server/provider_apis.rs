//! Providers whose tokens are opaque, and that are asked by an API of their own.

use crate::issuer::authorization_server::server::AuthorizationServer;
use crate::issuer::authorization_server::settings::KeySource;
use crate::issuer::introspection::{Introspection, Secret};
use crate::model::provider::Provider;

impl AuthorizationServer {
    /// [GitHub](Provider), with an OAuth app or a GitHub App of your own: its client ID and secret. Clients log
    /// in with this app, and the tokens of no other are accepted.
    ///
    /// GitHub is asked about each token by
    /// [`POST /applications/{client_id}/token`](https://docs.github.com/en/rest/apps/oauth-applications#check-a-token),
    /// which only the app itself may do, and which knows no other app's tokens. (`GET /user` answers for the
    /// tokens of every app: anybody who gets hold of one could use it here.) Only what has the form of a user's
    /// token of an app is sent, `gho_` or `ghu_`. Answers are remembered, and outages are borne, as with
    /// [`Introspection`].
    ///
    /// The subject is the number of the user; [`claims`](crate::AuthInfo::claims) have `user` and `app`.
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
        Self::github_by("github", "", client_id.as_ref(), secret.into())
    }

    /// [GitHub Enterprise Server](Provider) at this URL, as [GitHub](Self::github).
    #[must_use]
    pub fn github_enterprise(
        url: impl AsRef<str>,
        client_id: impl AsRef<str>,
        secret: impl Into<Secret>,
    ) -> Self {
        Self::github_by("github_enterprise", url.as_ref(), client_id.as_ref(), secret.into())
    }

    /// [Google](Provider), with the IDs of OAuth clients of your own. Clients log in with these, and the tokens
    /// of no other are accepted.
    ///
    /// Google is asked about each token by `tokeninfo`, which needs no secret. Its access tokens are opaque;
    /// its JWTs are ID tokens, and refused. Answers are remembered, and outages are borne, as with
    /// [`Introspection`]. A token without the scope `openid` does not say whose it is, and is refused.
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
        // A token is for the client that is its `aud`.
        let clients = clients.into_iter().map(Into::into).collect();
        Self::provider("google", [])
            .asked(&[], None)
            .with_overrides(|overrides| overrides.audiences = clients)
    }

    /// Changes how this server is asked about tokens: for how long answers are remembered, how many
    /// questions there are at once. For a server that is not asked there is nothing to change.
    ///
    /// ```
    /// # let secret = String::from("correct horse battery staple");
    /// use mcp_auth::AuthorizationServer;
    /// use std::time::Duration;
    ///
    /// let github = AuthorizationServer::github("Iv1.8a61f9b3a7aba766", secret)
    ///     .map_introspection(|asking| asking.cache_for(Duration::from_secs(5 * 60)));
    /// ```
    #[must_use]
    pub fn map_introspection(self, change: impl FnOnce(Introspection) -> Introspection) -> Self {
        self.with(|settings| settings.introspection = settings.introspection.take().map(change))
    }

    fn github_by(id: &str, url: &str, client_id: &str, secret: Secret) -> Self {
        // What cannot be one is left out, and `build()` says so: it would be another URL.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let part = if client_id.bytes().all(is_plain) { client_id } else { "" };
        // A token names no audience, but the app that got it.
        Self::provider(id, [("url", url)])
            .asked(&[("url", url), ("client_id", part)], Some((client_id, secret)))
            .with_overrides(|overrides| overrides.clients = vec![client_id.to_owned()])
    }

    /// Has the API of the provider asked, as the row of the table describes it.
    fn asked(self, places: &[(&str, &str)], client: Option<(&str, Secret)>) -> Self {
        let Some((row, api)) = self.row().and_then(|row| Some((row, row.api.as_ref()?))) else {
            return self;
        };
        let endpoint = row.fill(api.endpoint, places);
        self.with(|settings| {
            settings.keys = KeySource::None;
            settings.introspection = Some(Introspection::of_api(api, &endpoint, client));
        })
    }

    /// What is wrong with how the API of a provider is asked.
    pub(super) fn api_config_error(&self) -> Option<String> {
        let row: &Provider = self.row().filter(|row| row.api.is_some())?;
        let (name, id) = (row.name, row.id);
        match self.introspects() {
            None => Some(format!(
                "{name} has an API of its own for its tokens: name it with `AuthorizationServer::{id}(..)`, which asks it",
            )),
            Some(asking) if !asking.asks_api() => Some(format!(
                "{name} has an API of its own for its tokens: change how it is asked with `.map_introspection(..)`, and leave `.introspection(..)` out",
            )),
            Some(asking) => asking.given_endpoint().filter(|url| url.contains('{')).map(|_| {
                format!(
                    "a part of the URL at which {name} is asked is missing or cannot be one: {}",
                    row.placeholders
                )
            }),
        }
    }
}
