//! The table of providers. Every row describes a third-party product: keep its source.

use crate::model::provider::api::{Api, ApiProtocol};
use crate::model::provider::row::{Audience, Evidence, MetadataKind, Provider, TokenMarker};

/// The defaults of all rows.
pub(super) const DEFAULT: Provider = Provider {
    id: "",
    name: "",
    issuer: "{url}",
    placeholders: "`url`: its URL, as `iss` writes it",
    documents: &[MetadataKind::OAuth, MetadataKind::Oidc],
    metadata_url: None,
    typ: "`JWT`",
    audience: Audience::Resource,
    scopes: &["scope"],
    about_scopes: "",
    client_id: "client_id",
    subject: "",
    markers: &[],
    // RFC 9068 §2.2.1: these claims belong to grants that involve a user.
    login_claims: &["auth_time", "amr"],
    advice: "",
    opaque: "",
    inactive: "",
    about_issuer: "",
    has_guids: false,
    is_rfc9068: false,
    hosts: &[],
    known_audiences: &[],
    api: None,
    evidence: Evidence::Vendor,
    source: "",
};

pub(super) const ALL: &[&Provider] = &[
    &AUTH0,
    &OKTA,
    &ENTRA,
    &ENTRA_TENANTS,
    &ENTRA_V1,
    &ENTRA_EXTERNAL_ID,
    &GOOGLE,
    &COGNITO,
    &KEYCLOAK,
    &LOGTO,
    &AUTHKIT,
    &DESCOPE,
    &STYTCH,
    &CLERK,
    &SUPABASE,
    &ORY,
    &ZITADEL,
    &AUTHENTIK,
    &AUTHELIA,
    &KANIDM,
    &RAUTHY,
    &DEX,
    &PINGONE,
    &SPRING,
    &DUENDE,
    &BETTER_AUTH,
    &SCALEKIT,
    &ASGARDEO,
    &GITHUB,
    &GITHUB_ENTERPRISE,
];

const AUTH0: Provider = Provider {
    id: "auth0",
    name: "Auth0",
    issuer: "https://{domain}/",
    placeholders: "`domain`: of the tenant, `acme.eu.auth0.com`, or your own",
    typ: "`JWT`; `at+jwt` with the RFC 9068 profile",
    client_id: "azp",
    about_scopes: "roles of a user are in `permissions`, for a `Rule::claim`",
    subject: "`{client}@clients` for a client without a user",
    advice: "create an API whose identifier is the URL of this resource, and turn on the Resource Parameter Compatibility Profile in the tenant's settings (or make that API its default audience)",
    opaque: "Auth0 gives an opaque token unless the client asks for an API by `audience` or `resource`: turn on the Resource Parameter Compatibility Profile, or set a default audience",
    about_issuer: "its issuers end in a slash",
    hosts: &["auth0.com"],
    source: "https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles",
    ..DEFAULT
};

const OKTA: Provider = Provider {
    id: "okta",
    name: "Okta",
    issuer: "https://{domain}/oauth2/{server}",
    placeholders: "`domain`: of the organization, `acme.okta.com`; `server`: the custom authorization server, `default` or `aus…`",
    typ: "none",
    scopes: &["scp"],
    client_id: "cid",
    subject: "`uid`; `sub` is the login, which may change",
    login_claims: &["auth_time", "amr", "uid"],
    advice: "use a custom authorization server (tokens of the organization's own are for Okta only), and set its Audience to the URL of this resource",
    about_issuer: "an issuer without `/oauth2/` is the organization's own server, whose tokens only Okta can verify: let clients use a custom authorization server",
    hosts: &["okta.com", "okta-emea.com", "oktapreview.com"],
    source: "https://developer.okta.com/docs/guides/customize-tokens-returned-from-okta/",
    ..DEFAULT
};

/// What all rows of Entra have in common.
const ENTRA_USUAL: Provider = Provider {
    issuer: "https://login.microsoftonline.com/{tenantid}/v2.0",
    placeholders: "`tenantid`: the Directory (tenant) ID, a GUID; a domain or `common` never stands in `iss`",
    documents: &[MetadataKind::Oidc],
    scopes: &["scp", "roles"],
    about_scopes: "`roles` count only where there is no `scp`: in tokens of an application without a user; clients ask for the Application ID URI, a slash and the scope, see `requested_with_prefix`",
    client_id: "azp",
    subject: "`oid` with `tid`; `sub` is another one for each client",
    // Microsoft's claim references list `azp` and `appid` for access tokens only, not for ID tokens. No
    // optional claim and no claims mapping can add them. `scp` may be absent, and `roles` may be in both kinds
    // of token.
    markers: &[TokenMarker::Has("azp")],
    has_guids: true,
    source: "https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference",
    ..DEFAULT
};

const ENTRA_ADVICE: &str = "in the app registration of this server, set `requestedAccessTokenVersion` to 2 in the manifest, expose an API with a scope, and let clients ask for that scope; let its Application ID URI be the URL of this resource, since Entra refuses clients that send another `resource` than that of their scopes (AADSTS9010010); `aud` is then the Application (client) ID: name it with `.audience(..)`. An `aud` of Microsoft Graph means that the client asked for no scope of this API";

const ENTRA: Provider = Provider {
    id: "entra",
    name: "Microsoft Entra ID",
    audience: Audience::ProviderChosen,
    advice: ENTRA_ADVICE,
    hosts: &["login.microsoftonline.com"],
    known_audiences: &["00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"],
    ..ENTRA_USUAL
};

const ENTRA_TENANTS: Provider = Provider {
    id: "entra_tenants",
    name: "Microsoft Entra ID, several tenants",
    metadata_url: Some(
        "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration",
    ),
    audience: Audience::ProviderChosen,
    advice: ENTRA_ADVICE,
    ..ENTRA_USUAL
};

const ENTRA_V1: Provider = Provider {
    id: "entra_v1",
    name: "Microsoft Entra ID, v1 tokens",
    issuer: "https://sts.windows.net/{tenantid}/",
    metadata_url: Some(
        "https://login.microsoftonline.com/{tenantid}/.well-known/openid-configuration",
    ),
    audience: Audience::ProviderChosen,
    client_id: "appid",
    markers: &[TokenMarker::Has("appid")],
    advice: "`aud` is the Application ID URI (`api://…`) or the Application (client) ID: name it with `.audience(..)`; better, set `requestedAccessTokenVersion` to 2 in the manifest and use `AuthorizationServer::entra`",
    about_issuer: "this is a v1 token: set `requestedAccessTokenVersion` to 2 in the manifest of this server's app registration, or trust it with `AuthorizationServer::entra_v1`",
    hosts: &["sts.windows.net"],
    ..ENTRA_USUAL
};

const ENTRA_EXTERNAL_ID: Provider = Provider {
    id: "entra_external_id",
    name: "Microsoft Entra External ID",
    issuer: "https://{tenantid}.ciamlogin.com/{tenantid}/v2.0",
    audience: Audience::ProviderChosen,
    advice: ENTRA_ADVICE,
    hosts: &["ciamlogin.com"],
    source: "https://learn.microsoft.com/en-us/entra/external-id/customers/concept-supported-features-customers",
    ..ENTRA_USUAL
};

const GOOGLE: Provider = Provider {
    id: "google",
    name: "Google",
    issuer: "https://accounts.google.com",
    placeholders: "none; `clients`: the IDs of your OAuth clients",
    documents: &[MetadataKind::Oidc],
    typ: "opaque",
    audience: Audience::FromApi,
    about_scopes: "as full URIs, also in `required_scopes`; without `openid` there is no user",
    client_id: "azp",
    advice: "Google's tokens name no resource, but the OAuth client that they were issued to: name your own OAuth clients, and those only",
    opaque: "Google's access tokens are opaque: name it with `AuthorizationServer::google(..)`, which asks Google",
    about_issuer: "its JWTs are ID tokens, let the client send its access token",
    hosts: &["accounts.google.com"],
    api: Some(Api {
        protocol: ApiProtocol::Google,
        endpoint: "https://oauth2.googleapis.com/tokeninfo",
        headers: &[("accept", "application/json")],
        prefixes: &[],
        longest_token: 2048,
        claims: &["sub", "aud", "azp", "scope", "email", "email_verified", "access_type"],
        shape_detail: "Google's access tokens are opaque, and no JWTs: let the client send its access token, not its ID token",
        unknown_detail: "Google does not know the token: it has expired or was revoked, or it is not an access token",
        no_user_detail: "Google does not say whose the token is: let clients ask for the scope `openid`, with `.required_scopes([\"openid\"])`",
        status_advice: &[
            (
                401,
                "wants credentials, which `tokeninfo` does not: is something else between this server and Google?",
            ),
            (403, GOOGLE_LIMITS),
            (429, GOOGLE_LIMITS),
        ],
    }),
    evidence: Evidence::Others,
    source: "https://developers.google.com/identity/protocols/oauth2",
    ..DEFAULT
};

const GOOGLE_LIMITS: &str = "limits requests from this address: cache answers longer, `.map_introspection(|it| it.cache_for(..))`";

const COGNITO: Provider = Provider {
    id: "cognito",
    name: "Amazon Cognito",
    issuer: "https://cognito-idp.{region}.amazonaws.com/{pool}",
    placeholders: "`pool`: the ID of the user pool, `eu-west-1_AbCdEf`; `region` is its beginning",
    documents: &[MetadataKind::Oidc],
    typ: "none",
    audience: Audience::Clients,
    about_scopes: "`{resource server}/{scope}`, also in `required_scopes`",
    markers: &[TokenMarker::Is("token_use", "access")],
    advice: "Cognito writes no `aud` unless the client binds its token to a resource: name the app clients that may call this server, or add a resource server whose identifier is the URL of this resource",
    source: "https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html",
    ..DEFAULT
};

const KEYCLOAK: Provider = Provider {
    id: "keycloak",
    name: "Keycloak",
    issuer: "{url}/realms/{realm}",
    placeholders: "`url`: of the server, with `/auth` where it has that; `realm`: its name",
    client_id: "azp",
    about_scopes: "roles are in `realm_access`, for a `Rule::claim(\"/realm_access/roles\", ..)`",
    advice: "add an Audience mapper with the URL of this resource to each client scope that clients ask for (a client that registers itself gets only those), with *Add to lightweight access token* on (otherwise a lightweight token has no `aud`; or let Keycloak be asked about every token, by `AuthorizationServer::external(..)` with `.introspection(..)`); `account` is Keycloak's own default and stands for no resource",
    inactive: "Keycloak does not know the token, or it was revoked, or the client that asks is not in the token's audience: ask with a confidential client whose ID is the URL of this resource",
    known_audiences: &["account"],
    evidence: Evidence::SeenLive,
    source: "https://www.keycloak.org/docs/latest/server_admin/#audience-support",
    ..DEFAULT
};

const LOGTO: Provider = Provider {
    id: "logto",
    name: "Logto",
    issuer: "https://{domain}/oidc",
    placeholders: "`domain`: of the tenant, `acme.logto.app`, or your own",
    typ: "`at+jwt`",
    advice: "create an API resource whose identifier is the URL of this resource, byte for byte",
    opaque: "Logto gives an opaque token unless the client sends `resource`: create an API resource whose identifier is the URL of this resource",
    hosts: &["logto.app"],
    source: "https://docs.logto.io/authorization/validate-access-tokens",
    ..DEFAULT
};

const AUTHKIT: Provider = Provider {
    id: "authkit",
    name: "WorkOS AuthKit",
    issuer: "https://{domain}",
    placeholders: "`domain`: `name.authkit.app`, or your own",
    about_scopes: "may be absent; roles are in `permissions` and `role`, for a `Rule::claim`",
    advice: "register the URL of this resource as a resource indicator in the dashboard (Connect, Configuration); otherwise `aud` is the client's ID",
    hosts: &["authkit.app"],
    evidence: Evidence::Others,
    source: "https://workos.com/docs/authkit/mcp",
    ..DEFAULT
};

const DESCOPE: Provider = Provider {
    id: "descope",
    name: "Descope",
    issuer: "https://api.descope.com/v1/apps/agentic/{project}/{server}",
    placeholders: "`project`: the project's ID; `server`: the MCP server's ID in Descope",
    client_id: "azp",
    about_scopes: "roles are in `permissions` and `roles`, for a `Rule::claim`",
    advice: "add an MCP server in Descope whose URL is that of this resource, and copy the issuer from its page: it has other forms for inbound apps",
    hosts: &["descope.com"],
    evidence: Evidence::Others,
    source: "https://docs.descope.com/agentic-identity-hub/mcp-servers",
    ..DEFAULT
};

const STYTCH: Provider = Provider {
    id: "stytch",
    name: "Stytch",
    issuer: "https://{domain}",
    placeholders: "`domain`: of the project, `noun-verb-1234.customers.stytch.dev`, or your own",
    advice: "set `access_token_custom_audience` of the Connected App to the URL of this resource; otherwise `aud` is the client or the project: name it with `.audience(..)`. Clients must use the project's domain, not `api.stytch.com`",
    hosts: &["customers.stytch.dev", "customers.stytch.com"],
    source: "https://stytch.com/docs/api-reference/b2b/api/connected-apps/tokens/connected-app-access-token-object",
    ..DEFAULT
};

const CLERK: Provider = Provider {
    id: "clerk",
    name: "Clerk",
    issuer: "https://{domain}",
    placeholders: "`domain`: the Frontend API, `verb-noun-00.clerk.accounts.dev` or `clerk.example.com`",
    typ: "`at+jwt`; session tokens are `JWT`",
    advice: "add this server's URL under Agents, MCP servers in the dashboard, and let the OAuth application issue JWTs; without that its tokens have no `aud`",
    opaque: "Clerk's `oat_` tokens are opaque: let the OAuth application issue JWTs",
    hosts: &["clerk.accounts.dev"],
    source: "https://clerk.com/docs/references/nextjs/build-mcp-server",
    ..DEFAULT
};

const SUPABASE: Provider = Provider {
    id: "supabase",
    name: "Supabase",
    issuer: "https://{project}.supabase.co/auth/v1",
    placeholders: "`project`: its reference",
    audience: Audience::Fixed("authenticated"),
    advice: "`aud` is always `authenticated`, so that every user of the project can enter: keep the project to this server, and sign with an asymmetric key",
    hosts: &["supabase.co"],
    known_audiences: &["authenticated"],
    source: "https://supabase.com/docs/guides/auth/oauth-server",
    ..DEFAULT
};

const ORY: Provider = Provider {
    id: "ory",
    name: "Ory Hydra, Ory Network",
    issuer: "{url}",
    placeholders: "`url`: `https://slug.projects.oryapis.com`, or what `urls.self.issuer` says; it often has a final slash",
    documents: &[MetadataKind::Oidc],
    scopes: &["scp"],
    about_scopes: "or `scope`, by `strategies.jwt.scope_claim`",
    advice: "let the client ask by the parameter `audience` for the URL of this resource, and allow it to in the client's `audience` list; otherwise `aud` is empty",
    opaque: "Ory's tokens are opaque by default: set `strategies.access_token` to `jwt`",
    hosts: &["projects.oryapis.com"],
    evidence: Evidence::SeenLive,
    source: "https://www.ory.sh/docs/oauth2-oidc/jwt-access-token",
    ..DEFAULT
};

const ZITADEL: Provider = Provider {
    id: "zitadel",
    name: "Zitadel",
    issuer: "https://{domain}",
    placeholders: "`domain`: of the instance",
    audience: Audience::ProviderChosen,
    scopes: &[],
    about_scopes: "a JWT has none: go by roles with a `Rule::claim`",
    advice: "let the application use JWTs as access tokens; `aud` has the clients and the project: name the project's ID with `.audience(..)`, and let clients ask for the scope `urn:zitadel:iam:org:project:id:{id}:aud`",
    opaque: "Zitadel's tokens are opaque by default: set the application's token type to JWT",
    hosts: &["zitadel.cloud"],
    source: "https://zitadel.com/docs/apis/openidoauth/claims",
    ..DEFAULT
};

const AUTHENTIK: Provider = Provider {
    id: "authentik",
    name: "Authentik",
    issuer: "{url}/application/o/{application}/",
    placeholders: "`url`: of the server; `application`: its slug",
    documents: &[MetadataKind::Oidc],
    audience: Audience::ProviderChosen,
    about_scopes: "absent unless a property mapping adds them",
    client_id: "azp",
    subject: "by the provider's subject mode, a hash unless set",
    // The only claim that `to_access_token` adds. All others are copied from the ID token.
    markers: &[TokenMarker::Has("uid")],
    // `create_client_credentials_response` sets `auth_time` to the present. `amr` comes from a session only.
    login_claims: &["amr"],
    advice: "`aud` is the client's ID: name it with `.audience(..)`; select a signing key in the provider, since without one it signs with a shared secret",
    source: "https://docs.goauthentik.io/docs/add-secure-apps/providers/oauth2/",
    ..DEFAULT
};

const AUTHELIA: Provider = Provider {
    id: "authelia",
    name: "Authelia",
    typ: "`at+jwt`",
    advice: "add the URL of this resource to the client's `audience`, and let the client ask for it",
    opaque: "Authelia's tokens are opaque by default: set `access_token_signed_response_alg` of the client, such as RS256",
    source: "https://www.authelia.com/configuration/identity-providers/openid-connect/clients/",
    ..DEFAULT
};

const KANIDM: Provider = Provider {
    id: "kanidm",
    name: "Kanidm",
    issuer: "{url}/oauth2/openid/{client}",
    placeholders: "`url`: of the server; `client`: the name of the OAuth2 client",
    typ: "`at+jwt`; ID tokens are `JWT`",
    audience: Audience::Fixed("{client}"),
    // ID tokens have the same audience.
    is_rfc9068: true,
    advice: "Kanidm has an issuer for each client, and `aud` is that client: make one client for this server",
    source: "https://kanidm.github.io/kanidm/stable/integrations/oauth2.html",
    ..DEFAULT
};

const RAUTHY: Provider = Provider {
    id: "rauthy",
    name: "Rauthy",
    issuer: "{url}/auth/v1/",
    placeholders: "`url`: of the server",
    client_id: "azp",
    markers: &[TokenMarker::Is("typ", "Bearer")],
    advice: "add the URL of this resource to the allowed resources of the client, which asks for it by `resource`; or make it a default audience",
    source: "https://sebadob.github.io/rauthy/",
    ..DEFAULT
};

const DEX: Provider = Provider {
    id: "dex",
    name: "Dex",
    documents: &[MetadataKind::Oidc],
    typ: "none",
    audience: Audience::ProviderChosen,
    scopes: &[],
    about_scopes: "none: go by `groups` with a `Rule::claim`",
    client_id: "azp",
    subject: "holds user and connector",
    advice: "`aud` is the client's ID: name it with `.audience(..)`; better, make a client for this server, trust the others as its peers, and let them ask for the scope `audience:server:client_id:{it}`. An access token asked for with a `nonce` cannot be told from an ID token, and is refused",
    source: "https://dexidp.io/docs/custom-scopes-claims-clients/",
    ..DEFAULT
};

const PINGONE: Provider = Provider {
    id: "pingone",
    name: "PingOne",
    issuer: "https://{domain}/{environment}/as",
    placeholders: "`domain`: `auth.pingone.com` or that of your region; `environment`: its ID",
    documents: &[MetadataKind::Oidc],
    typ: "none, or `at+jwt`",
    subject: "absent from tokens of a client without a user, which are therefore refused",
    advice: "add a custom resource whose audience is the URL of this resource, and grant its scopes to the application",
    hosts: &[
        "auth.pingone.com",
        "auth.pingone.eu",
        "auth.pingone.ca",
        "auth.pingone.asia",
        "auth.pingone.com.au",
    ],
    source: "https://developer.pingidentity.com/pingone-api/foundations/authentication-concepts/access-tokens-and-id-tokens/token-claims.html",
    ..DEFAULT
};

const SPRING: Provider = Provider {
    id: "spring",
    name: "Spring Authorization Server",
    placeholders: "`url`: what `AuthorizationServerSettings` says",
    typ: "none",
    audience: Audience::ProviderChosen,
    about_scopes: "an array",
    client_id: "",
    subject: "the user's name, unless customized",
    // `JwtGenerator` writes `nbf` into access tokens and `azp` into ID tokens.
    markers: &[TokenMarker::Has("nbf")],
    advice: "`aud` is the client's ID: name it with `.audience(..)`; better, write the URL of this resource into `aud` with an `OAuth2TokenCustomizer`",
    opaque: "Spring issues opaque tokens to clients whose `accessTokenFormat` is `REFERENCE`: introspect them, or set it to `SELF_CONTAINED`",
    evidence: Evidence::SeenLive,
    source: "https://docs.spring.io/spring-authorization-server/reference/core-model-components.html#oauth2-token-customizer",
    ..DEFAULT
};

const DUENDE: Provider = Provider {
    id: "duende",
    name: "Duende IdentityServer",
    typ: "`at+jwt`",
    about_scopes: "an array, unless `EmitScopesAsSpaceDelimitedStringInJwt`",
    advice: "add an `ApiResource` named by the URL of this resource, with the scopes in it: a scope without one gives a token without `aud`",
    source: "https://docs.duendesoftware.com/identityserver/fundamentals/resources/api-resources/",
    ..DEFAULT
};

const BETTER_AUTH: Provider = Provider {
    id: "better_auth",
    name: "Better Auth",
    issuer: "{url}/api/auth",
    placeholders: "`url`: of the application, `baseURL` in its settings; where `basePath` is another, use `AuthorizationServer::discover`",
    typ: "`at+jwt`; ID tokens and the JWTs of sessions have none",
    about_scopes: "`openid` adds the userinfo endpoint to `aud`",
    // The plugin `jwt` signs session tokens with the same keys, and its issuer and audience can be set to
    // anything.
    is_rfc9068: true,
    advice: "let `oauthProvider` list the URL of this resource in `resources`, and in `clientRegistrationDefaultResources` for clients that register themselves",
    opaque: "Better Auth gives an opaque token unless the client sends `resource`: list the URL of this resource in the `resources` of `oauthProvider`, and use its plugin `jwt`",
    evidence: Evidence::SeenLive,
    source: "https://better-auth.com/docs/plugins/oauth-provider/tokens",
    ..DEFAULT
};

const SCALEKIT: Provider = Provider {
    id: "scalekit",
    name: "Scalekit",
    issuer: "{url}/resources/{resource}",
    placeholders: "`url`: of the environment; `resource`: the server's ID, `res_…`",
    documents: &[MetadataKind::OAuth],
    typ: "`at+jwt` or `JWT`",
    audience: Audience::Fixed("{resource}"),
    scopes: &["scope", "scopes"],
    advice: "add an MCP server in Scalekit, and copy the issuer from its metadata: older environments use their own URL",
    hosts: &["scalekit.com", "scalekit.dev"],
    evidence: Evidence::Others,
    source: "https://docs.scalekit.com/guides/mcp/oauth",
    ..DEFAULT
};

const ASGARDEO: Provider = Provider {
    id: "asgardeo",
    name: "Asgardeo",
    issuer: "https://api.asgardeo.io/t/{organization}/oauth2/token",
    placeholders: "`organization`: its name",
    documents: &[MetadataKind::Oidc],
    typ: "`at+jwt`",
    client_id: "client_id",
    advice: "let the application issue JWTs, and add the URL of this resource to the audiences of its access token; otherwise `aud` is the client's ID",
    opaque: "Asgardeo's tokens are opaque by default: set the application's access token type to JWT",
    hosts: &["api.asgardeo.io"],
    evidence: Evidence::Others,
    source: "https://wso2.com/asgardeo/docs/references/token-validation/",
    ..DEFAULT
};

const GITHUB: Provider = Provider {
    id: "github",
    name: "GitHub",
    issuer: "https://github.com/login/oauth",
    placeholders: "none; `client_id`: of an OAuth app or a GitHub App of your own",
    documents: &[MetadataKind::OAuth],
    typ: "opaque",
    audience: Audience::FromApi,
    scopes: &["scopes"],
    about_scopes: "tokens of GitHub Apps have none",
    subject: "the numeric `id` of the user; `login` may change",
    advice: "GitHub's tokens name no resource, but the app that they were issued to: let clients log in with the app whose client ID and secret this server has, and with no other",
    opaque: "GitHub's tokens are opaque: name it with `AuthorizationServer::github(..)`, which asks GitHub",
    hosts: &["github.com"],
    api: Some(GITHUB_API),
    source: "https://docs.github.com/en/rest/apps/oauth-applications#check-a-token",
    ..DEFAULT
};

const GITHUB_ENTERPRISE: Provider = Provider {
    id: "github_enterprise",
    name: "GitHub Enterprise Server",
    issuer: "{url}/login/oauth",
    placeholders: "`url`: of the server; `client_id`: of an OAuth app or a GitHub App of your own, on that server",
    documents: &[],
    hosts: &[],
    api: Some(Api { endpoint: "{url}/api/v3/applications/{client_id}/token", ..GITHUB_API }),
    source: "https://docs.github.com/en/enterprise-server/rest/apps/oauth-applications#check-a-token",
    ..GITHUB
};

const GITHUB_API: Api = Api {
    protocol: ApiProtocol::GitHub,
    endpoint: "https://api.github.com/applications/{client_id}/token",
    headers: &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")],
    // https://github.blog/changelog/2021-03-31-authentication-token-format-updates-are-generally-available/
    prefixes: &["gho_", "ghu_"],
    longest_token: 255,
    claims: &["app", "user", "scopes", "created_at", "updated_at", "expires_at", "installation"],
    shape_detail: "what GitHub gives an app for a user begins with `gho_` or `ghu_`: a personal token (`ghp_`, `github_pat_`) and that of an installation (`ghs_`) prove nothing to this server",
    unknown_detail: "GitHub does not know it as a token of this app: it has expired, was revoked, or is another app's (VS Code logs in to GitHub with an app of its own); if that is said of every token, compare the client ID and its secret",
    no_user_detail: "GitHub names no user of the token: it is one from server to server, which speaks for nobody",
    status_advice: &[
        (
            401,
            "refuses this server's credentials: compare the client ID and the client secret with the settings of the app",
        ),
        (403, GITHUB_LIMITS),
        (429, GITHUB_LIMITS),
    ],
};

const GITHUB_LIMITS: &str = "limits the requests of this app, a few thousand an hour, or the app is suspended: cache answers longer, `.map_introspection(|it| it.cache_for(..))`";
