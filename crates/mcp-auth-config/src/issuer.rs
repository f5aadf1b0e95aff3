//! Authorization servers, as data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::http_client::HttpConfig;
use crate::introspection::IntrospectionConfig;
use crate::secret::SecretSource;

/// An authorization server: by its issuer URL, or by the name of a provider with what identifies the tenant there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerConfig {
    /// The issuer, byte for byte as in the `iss` of its tokens. For a provider: the URL that it asks for.
    pub url: Option<String>,
    /// The identifier of a provider: `entra`, `keycloak`, `auth0`.
    pub provider: Option<String>,
    /// For a provider: the application.
    pub application: Option<String>,
    /// For a provider: the client, such as Kanidm's.
    pub client: Option<String>,
    /// For a provider: the clients whose tokens are accepted (Amazon Cognito, Google).
    pub clients: Vec<String>,
    /// For a provider: the domain.
    pub domain: Option<String>,
    /// For a provider: the environment.
    pub environment: Option<String>,
    /// For a provider: the organization.
    pub organization: Option<String>,
    /// For a provider: the user pool (Amazon Cognito).
    pub pool: Option<String>,
    /// For a provider: the project.
    pub project: Option<String>,
    /// For a provider: the realm.
    pub realm: Option<String>,
    /// For a provider: its identifier of the resource.
    pub resource: Option<String>,
    /// For GitHub: the client ID of your OAuth app or GitHub App.
    pub client_id: Option<String>,
    /// For GitHub: the client secret of that app.
    pub secret: Option<SecretSource>,
    /// For a provider: the authorization server in it.
    pub server: Option<String>,
    /// For a provider: the tenant.
    pub tenant: Option<String>,
    /// Several tenants: of Entra (`provider = "entra_tenants"`), or those that fill the placeholder in `url`.
    pub tenants: Vec<String>,
    /// With `tenants` and `url`: the claim that also holds the tenant.
    pub tenant_claim: Option<String>,

    /// Other audiences that the tokens of this server may have for this resource.
    pub audiences: Vec<String>,
    /// The issuer that clients are sent to, if it is not the one of the tokens.
    pub advertise_as: Option<String>,
    /// The signature algorithms that are accepted, by their JOSE names. Default: all that are known.
    pub algorithms: Option<Vec<String>>,
    /// Whether only access tokens by RFC 9068 (`typ: at+jwt`) are accepted.
    pub rfc9068: bool,
    /// The header values `typ` of access tokens, for servers with a type of their own. Default: `at+jwt` and `JWT`.
    pub typ: Option<Vec<String>>,
    /// Claims that mark the access tokens of this server: each is a text that the claim must be, or `true` if it need
    /// only be there. For what a caller may do, see `required` of a resource.
    pub required_claims: BTreeMap<String, RequiredClaim>,
    /// The claims with the granted scopes, of which the first that is present counts. Default: those of the provider.
    pub scope_claims: Option<Vec<String>>,
    /// The place of the metadata, if it is not derived from the issuer.
    pub metadata_url: Option<String>,
    /// A file with the metadata, in JSON. Then only its `jwks_uri` is fetched.
    pub metadata_file: Option<PathBuf>,
    /// Where this server is reached from here, instead of at the host of its issuer: scheme, host and port.
    pub internal_url: Option<String>,
    /// Hosts of a private network that are asked without TLS. Whoever can change what is sent between them and the
    /// gateway can issue tokens for any user.
    pub insecure_http_hosts: Vec<String>,
    /// A file with the key set. Then nothing is fetched.
    pub keys_file: Option<PathBuf>,
    /// The secret with which tokens are signed (HS256). Then nothing is fetched.
    pub hmac_secret: Option<SecretSource>,
    /// How long fetched keys are used at most before they are fetched again.
    pub jwks_max_age: Option<Seconds>,
    /// How much longer fetched keys are used while the server is unavailable.
    pub jwks_max_stale: Option<Seconds>,
    /// The shortest time between two fetches that tokens with unknown keys cause.
    pub jwks_cooldown: Option<Seconds>,
    /// How long a fetch may take.
    pub jwks_timeout: Option<Seconds>,
    /// Headers for fetches: names and where their values come from.
    pub headers: BTreeMap<String, SecretSource>,
    /// The token that is sent as `Authorization: Bearer` with each fetch, such as that of a Kubernetes service account.
    pub bearer: Option<SecretSource>,
    /// How the connections to this server are made: certificates and a proxy.
    pub http: Option<HttpConfig>,
    /// How tokens are introspected.
    pub introspection: Option<IntrospectionConfig>,
    /// Accepts tokens of this server for any audience. It opens this resource to tokens for every other one.
    pub dangerous_any_audience: bool,
    /// Accepts tokens of this server that name no audience, if they were issued to one of these clients. Such a token is
    /// for every server that the client uses.
    pub dangerous_clients_instead_of_audience: Vec<String>,
}

/// What a claim must be that marks access tokens.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(
    untagged,
    expecting = "a required claim is `true` (it must be there) or the text that it must be"
)]
pub enum RequiredClaim {
    /// It must be there.
    Present(bool),
    /// It must be this text.
    Value(String),
}
