//! The library from outside, a file for each question, in a world without sockets.

mod architecture;
mod attacks;
mod config;
mod doors;
mod dpop;
mod forged_tokens;
mod keys;
mod ledger;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod mtls;
mod origins;
mod refusals;
mod rmcp_server;
mod verifiers;
mod world;
