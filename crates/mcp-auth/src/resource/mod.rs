//! One protected resource: `McpAuth`, its builder, and the decision on each request.

pub(crate) mod config_error;
mod downstream;
mod networks;
pub(crate) mod names;
pub(crate) mod unknown_paths;
mod joined_frames;
pub(crate) mod captured_message;
pub(crate) mod guarded_body;
mod list_rules;
mod sender_constraint;
mod sender_settings;
mod issuer_resolvers;
mod default_verifier;
pub(crate) mod listening_streams;
pub(crate) mod claimed_sessions;
pub(crate) mod builder;
mod name_settings;
pub(crate) mod mcp_auth;
mod build;
mod succession;
pub(crate) mod readiness;
#[cfg(feature = "tower")]
mod recheck;
mod revocation;
mod security_events;
mod security_event_polling;
