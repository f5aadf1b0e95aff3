//! The library from outside, a file for each question, in a world without sockets.

mod api_keys;
mod api_keys_file;
mod architecture;
mod asked_jwts;
mod asked_providers;
mod attacks;
mod attacks_on_tokens;
mod attacks_on_operations;
mod config;
mod doors;
mod dpop;
mod forged_tokens;
mod guide_table;
mod issuers;
mod given_keys;
mod handles;
mod introspection;
mod keys;
mod ledger;
mod lists;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod mtls;
mod operations;
mod origins;
mod polling;
mod providers;
mod refusals;
mod revocation;
mod rmcp_server;
mod rmcp_world;
mod sessions;
mod streams;
mod verifiers;
mod world;
