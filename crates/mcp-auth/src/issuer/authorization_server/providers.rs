//! Constructors of authorization servers by provider, and settings for tokens that deviate from the standards.

use std::sync::Arc;

use crate::issuer::authorization_server::server::AuthorizationServer;
use crate::issuer::authorization_server::settings::MetadataSource;
use crate::model::issuer_overrides::IssuerOverrides;
use crate::model::provider::{Audience, Provider};
use crate::verify::jwt::Profile;

/// Generates a constructor for each row: its name is the row's, its arguments are the placeholders.
macro_rules! providers {
    ($($(#[$doc:meta])* $id:ident($($place:ident),+);)*) => {
        impl AuthorizationServer {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $id($($place: impl AsRef<str>),+) -> Self {
                    Self::provider(stringify!($id), [$((stringify!($place), $place.as_ref())),+])
                }
            )*
        }
    };
}

providers! {
    /// [Auth0](Provider): `acme.eu.auth0.com`, or your custom domain.
    auth0(domain);
    /// [Okta](Provider), a custom authorization server: `acme.okta.com`, `default`.
    okta(domain, server);
    /// [Microsoft Entra ID](Provider), one tenant, v2 tokens. The tenant is its Directory ID, a GUID: `iss` never
    /// contains a domain.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let login = AuthorizationServer::entra("22222222-2222-2222-2222-222222222222")
    ///     .audience("11111111-1111-1111-1111-111111111111"); // the Application (client) ID of this server
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server(login)
    ///     .required_scopes(["mcp.read"])
    ///     .requested_with_prefix("api://11111111-1111-1111-1111-111111111111/")
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    entra(tenantid);
    /// [Microsoft Entra ID](Provider), one tenant, v1 tokens, which applications get that do not ask for v2.
    entra_v1(tenantid);
    /// [Microsoft Entra External ID](Provider), one tenant.
    entra_external_id(tenantid);
    /// [Keycloak](Provider): the URL of the server, and the realm.
    keycloak(url, realm);
    /// [Logto](Provider): `acme.logto.app`, or your custom domain.
    logto(domain);
    /// [WorkOS AuthKit](Provider): `name.authkit.app`, or your custom domain.
    authkit(domain);
    /// [Descope](Provider): the project, and the MCP server in it.
    descope(project, server);
    /// [Stytch](Provider): the domain of the project, or your custom domain.
    stytch(domain);
    /// [Clerk](Provider): the Frontend API, `verb-noun-00.clerk.accounts.dev`, or your custom domain.
    clerk(domain);
    /// [Supabase](Provider): the reference of the project. Its tokens are for the whole project, so every user of
    /// the project is accepted.
    supabase(project);
    /// [Ory Hydra or the Ory Network](Provider): its issuer, often with a final slash.
    ory(url);
    /// [Zitadel](Provider): the domain of the instance.
    zitadel(domain);
    /// [Authentik](Provider): the URL of the server, and the slug of the application.
    authentik(url, application);
    /// [Authelia](Provider): its URL.
    authelia(url);
    /// [Kanidm](Provider): its URL, and the OAuth2 client. Each client has its own issuer, and is the audience of
    /// its tokens.
    kanidm(url, client);
    /// [Rauthy](Provider): its URL.
    rauthy(url);
    /// [Dex](Provider): its issuer.
    dex(url);
    /// [PingOne](Provider): `auth.pingone.eu`, and the environment.
    pingone(domain, environment);
    /// [Spring Authorization Server](Provider): its issuer.
    spring(url);
    /// [Duende IdentityServer](Provider): its issuer.
    duende(url);
    /// [Better Auth](Provider): the URL of the application it is part of.
    better_auth(url);
    /// [Scalekit](Provider): the URL of the environment, and the ID of the MCP server, `res_…`.
    scalekit(url, resource);
    /// [Asgardeo](Provider): the organization.
    asgardeo(organization);
}

impl AuthorizationServer {
    /// [Microsoft Entra ID](Provider), several tenants with one key set, and no other tenants. Each is a Directory
    /// ID, a GUID.
    ///
    /// The metadata of the resource lists their issuers, or the one set by [`advertise_as`](Self::advertise_as).
    #[must_use]
    pub fn entra_tenants<S: AsRef<str>>(tenants: impl IntoIterator<Item = S>) -> Self {
        let row = |provider: &'static Provider| {
            let given = tenants.into_iter().map(|tenant| {
                // A value that is not a GUID leaves the placeholder, which is not a tenant: `build()` reports it.
                provider.fill_placeholders("{tenantid}", &[("tenantid", tenant.as_ref())])
            });
            let template =
                Self::template(provider.issuer, provider.metadata_url.unwrap_or_default());
            let server = template.tenants(given);
            server.with_overrides(|overrides| {
                *overrides = IssuerOverrides::of(provider);
                overrides.tenant_claim = Some("tid".into());
            })
        };
        Provider::find("entra_tenants").map_or_else(|| Self::discover(""), row)
    }

    /// [Amazon Cognito](Provider): the user pool, and the app clients that may call this resource.
    ///
    /// Cognito's access tokens name no audience, only the client they were issued to. A token that does name an
    /// audience must name this resource.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let login = AuthorizationServer::cognito("eu-west-1_AbCdEf", ["1example23456789"]);
    /// assert_eq!(login.issuer(), "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf");
    /// let auth = McpAuth::builder("https://api.example.com/mcp").authorization_server(login).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn cognito<S: Into<String>>(
        pool: impl AsRef<str>,
        clients: impl IntoIterator<Item = S>,
    ) -> Self {
        let pool = pool.as_ref();
        let region = pool.split_once('_').map_or("", |(region, _)| region);
        Self::provider("cognito", [("region", region), ("pool", pool)]).with_overrides(
            |overrides| overrides.clients = clients.into_iter().map(Into::into).collect(),
        )
    }

    /// A server from a row of the [table](Provider), as its constructor makes it: `id` is the name of the row, and
    /// `places` are its placeholders with their values. For programs that read both from a configuration. Providers
    /// whose tokens are checked by an API have constructors only: [`github`](Self::github),
    /// [`google`](Self::google).
    ///
    /// An unknown row and a placeholder without a value are a [`ConfigError`](crate::ConfigError) at `build()`.
    ///
    /// ```
    /// use mcp_auth::AuthorizationServer;
    ///
    /// let login = AuthorizationServer::provider("keycloak", [("url", "https://sso.example.com"), ("realm", "mcp")]);
    /// assert_eq!(login.issuer(), "https://sso.example.com/realms/mcp");
    /// ```
    #[must_use]
    pub fn provider<'a>(id: &str, places: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let Some(provider) = Provider::find(id) else { return Self::discover(id) };
        let places: Vec<_> = places.into_iter().collect();
        let fill = |form| provider.fill_placeholders(form, &places);
        let source = match provider.metadata_url {
            Some(url) => MetadataSource::Url(fill(url).into()),
            None => MetadataSource::Discovery,
        };
        let mut overrides = IssuerOverrides::of(provider);
        if let Audience::Fixed(audience) = provider.audience {
            overrides.audiences.push(fill(audience));
        }
        // If the URL is the whole issuer, it is used byte for byte: a final slash matters.
        let issuer = match (provider.issuer, &places[..]) {
            ("{url}", [("url", url)]) => (*url).to_owned(),
            (form, _) => fill(form),
        };
        Self::new(&issuer, source).with(|settings| {
            settings.rules.overrides = Some(Arc::new(overrides));
            if provider.is_rfc9068 {
                settings.rules.profile = Profile::Rfc9068;
            }
        })
    }

    /// Also accepts tokens of this server that are issued for this audience, the server's own name for the
    /// resource. It does not apply to tokens of other servers. See also
    /// [`McpAuthBuilder::audience`](crate::McpAuthBuilder::audience).
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with_overrides(|overrides| overrides.audiences.push(audience.into()))
    }

    /// Reads the granted scopes from the first of these claims that is present, a string with spaces or an array. An
    /// element of an array that cannot be a scope, such as a name with spaces, grants nothing.
    ///
    /// A claim with what a user may do (`permissions`, `roles`) does not say what the user allowed the client to
    /// do. Require such a claim with [`Rule::claim`](crate::Rule::claim) instead.
    #[must_use]
    pub fn scope_claims<S: AsRef<str>>(self, claims: impl IntoIterator<Item = S>) -> Self {
        self.with_overrides(|overrides| {
            overrides.scope_claims =
                claims.into_iter().map(|claim| claim.as_ref().into()).collect();
        })
    }

    /// Accepts only JWTs of this server that have this claim. For servers whose access tokens and ID tokens have the same
    /// `typ`: name a claim that only access tokens have.
    ///
    /// If it is called twice, both claims are required. Tokens that are introspected are not affected. For who may do
    /// what, see [`Rule::claim`](crate::Rule::claim).
    ///
    /// ```
    /// use mcp_auth::AuthorizationServer;
    ///
    /// let login = AuthorizationServer::discover("https://auth.example.com").required_claim("scp");
    /// ```
    #[must_use]
    pub fn required_claim(self, claim: impl AsRef<str>) -> Self {
        let marker = (claim.as_ref().into(), None);
        self.with_overrides(|overrides| overrides.required_claims.push(marker))
    }

    /// Accepts only JWTs of this server in which this claim is this string. Otherwise the same as
    /// [`required_claim`](Self::required_claim).
    ///
    /// ```
    /// use mcp_auth::AuthorizationServer;
    ///
    /// let login = AuthorizationServer::discover("https://auth.example.com").required_claim_value("token_use", "access");
    /// ```
    #[must_use]
    pub fn required_claim_value(self, claim: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let marker = (claim.as_ref().into(), Some(value.as_ref().into()));
        self.with_overrides(|overrides| overrides.required_claims.push(marker))
    }

    /// Accepts tokens of this server that name no audience if they were issued to one of these clients. For servers
    /// that write no `aud`.
    ///
    /// Dangerous: such a token is for every server that the client uses. If the client calls other servers too, one
    /// of them can use the token here.
    #[must_use]
    pub fn dangerous_clients_instead_of_audience<S: Into<String>>(
        self,
        clients: impl IntoIterator<Item = S>,
    ) -> Self {
        self.with_overrides(|overrides| {
            overrides.clients.extend(clients.into_iter().map(Into::into))
        })
    }

    /// Accepts tokens of this server whatever their audience is. For servers that issue tokens for this resource
    /// only.
    ///
    /// Dangerous: every token of the server is accepted here, including ID tokens that nothing distinguishes from
    /// access tokens, and whoever receives one can use it here.
    #[must_use]
    pub fn dangerous_any_audience(self) -> Self {
        self.with_overrides(|overrides| overrides.accepts_any_audience = true)
    }

    /// Returns what is wrong with how the server was configured, if anything.
    pub(crate) fn config_error(&self) -> Option<String> {
        let issuer = self.issuer();
        if let Some(host) = self.public_http_host() {
            return Some(format!(
                "{host:?} is not a host of a private network, so it is not asked over plain http: name a host without a dot, one of a private domain such as `internal`, or a private address, without port",
            ));
        }
        if self.has_untried_keys() {
            return Some(format!(
                "more than eight of the keys given for the issuer {issuer:?} fit the same tokens, and eight are tried: name them (`KeySet::from_pem_named`)",
            ));
        }
        if self.has_unusable_tenants() {
            return Some(format!(
                "the issuers {issuer:?} need one placeholder, and the list of the tenants that are trusted, as `iss` writes them (Entra: the Directory ID, a GUID)",
            ));
        }
        if self.issuer_set().is_none() && issuer.contains(['{', '}']) {
            let places = self.row().map_or(
                "every placeholder must be filled in; for several tenants see `AuthorizationServer::template(..)`, for Microsoft Entra `entra(..)` and `entra_tenants(..)`",
                |row| row.placeholders,
            );
            return Some(format!(
                "a part of the issuer {issuer:?} is missing or cannot be one: {places}"
            ));
        }
        if let Some(why) = self
            .settings
            .internal_url
            .as_ref()
            .and_then(|it| it.config_error(&self.settings.outbound.http_hosts))
        {
            return Some(format!("the internal URL of the issuer {issuer:?} {why}"));
        }
        if let Some(why) = self.settings.rules.types_config_error() {
            return Some(format!("the `typ` of the issuer {issuer:?}: {why}"));
        }
        let overrides = self.settings.rules.overrides.as_ref()?;
        let named = overrides.audiences.iter().chain(&overrides.clients).map(String::as_str);
        let mut named = named.chain(overrides.scope_claims.iter().map(|claim| &**claim)).chain(
            overrides.required_claims.iter().flat_map(|(claim, value)| {
                [Some(&**claim), value.as_deref()].into_iter().flatten()
            }),
        );
        if named.any(str::is_empty) {
            return Some(format!(
                "an audience, client or claim for the issuer {issuer:?} is empty: is an environment variable unset?"
            ));
        }
        if let Some(config_error) = self.api_config_error() {
            return Some(config_error);
        }
        let row = overrides.provider?;
        let has_clients = match row.audience {
            Audience::FromApi => !overrides.clients.is_empty() || !overrides.audiences.is_empty(),
            Audience::Clients => !overrides.clients.is_empty(),
            _ => true,
        };
        (!has_clients).then(|| format!("{}: {}", row.name, row.advice))
    }

    /// The row of the table that the server was built from.
    pub(crate) fn row(&self) -> Option<&'static Provider> {
        self.settings.rules.overrides.as_ref().and_then(|overrides| overrides.provider)
    }
}
