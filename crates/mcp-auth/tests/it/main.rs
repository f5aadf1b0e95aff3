//! The library from outside, a file for each question, in a world without sockets.

mod architecture;
mod attacks;
mod config;
mod doors;
mod forged_tokens;
mod guide_table;
mod issuers;
mod keys;
mod ledger;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod origins;
mod providers;
mod refusals;
mod rmcp_server;
mod verifiers;
mod world;
