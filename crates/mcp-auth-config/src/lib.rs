//! MCP Auth described as data: a file, in TOML or JSON, becomes protected resources ([`McpAuth`](mcp_auth::McpAuth)).
//!
//! ```
//! let file = r#"
//!     [issuers.login]
//!     url = "https://login.example.com"
//!
//!     [[resources]]
//!     url = "https://mcp.example.com/files"
//!     upstream = "http://127.0.0.1:3000/mcp"
//!     scopes = ["files:read"]
//!
//!     [resources.tools]
//!     "delete_*" = ["files:write"]
//!     "*" = []
//! "#;
//! let config = mcp_auth_config::Config::from_toml(file)?;
//! let auths = config.protected_resources()?;
//! assert_eq!(auths[0].resource(), "https://mcp.example.com/files");
//! # Ok::<(), mcp_auth_config::Error>(())
//! ```
//!
//! A key that is not known is an error, with its line and the nearest known key. A secret is never in the file: it is
//! `env:NAME` or `file:PATH` ([`SecretSource`]).

mod duration;
mod address;
mod keys;
mod reading;
mod places;
mod error;
mod secret;
mod algorithm;
mod http_client;
mod introspection;
mod issuer;
mod provider;
mod server;
mod rule;
mod rate;
mod audit;
mod traces;
mod sender;
mod events;
mod redis;
mod exchange;
mod forward_auth;
mod identity;
mod stdio;
mod import;
mod resource;
mod forward_auth_limits;
mod shape;
mod printed;
mod config;
mod file;
mod built;

pub use address::parse_address;
pub use audit::AuditConfig;
pub use built::{Built, BuiltResource, SharedState};
pub use config::{Config, Drain, Tls};
pub use duration::Seconds;
pub use error::Error;
pub use events::{EventPollConfig, RevocationsConfig, SecurityEventsConfig};
pub use exchange::{ExchangeConfig, ExchangeGrant, ExchangeMethod, UpstreamToken};
pub use file::ConfigFile;
pub use forward_auth::{ForwardAuth, ForwardAuthConfig, ForwardAuthProxy, Mode};
pub use http_client::HttpConfig;
pub use identity::IdentityMode;
pub use import::{ImportedServer, import_mcp_json};
pub use introspection::{IntrospectionConfig, IntrospectionMethod};
pub use issuer::{IssuerConfig, RequiredClaim};
pub use keys::in_keys;
pub use rate::{LimitsConfig, Rate};
pub use redis::{RedisConfig, UncheckedProofs};
pub use resource::ResourceConfig;
pub use rule::{Deny, RuleConfig, RuleTable, Strings};
pub use secret::SecretSource;
pub use sender::{CertificateHeader, ClientCertificates, DpopConfig, DpopMode, DpopTable};
pub use stdio::{EnvValue, ProcessScope, StdioServer, Template};
pub use traces::TracesConfig;
