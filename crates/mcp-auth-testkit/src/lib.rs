//! A complete development authorization server for tests of MCP servers protected by [`mcp_auth`].
//!
//! It runs in the process or on a loopback port.
//!
//! [`TestIssuer`] has two forms. Initially it needs no socket: it implements [`mcp_auth::Fetch`], uses
//! a clock that the test moves, counts every request, and fails in the ways that a test chooses. Once
//! [served](TestIssuer::serve), it is a real authorization server on a loopback port, with a login
//! page, dynamic client registration and everything else that an MCP client expects.
//!
//! ```
//! use mcp_auth_testkit::TestIssuer;
//! use std::time::Duration;
//!
//! let issuer = TestIssuer::new();
//! let token = issuer.token().subject("alice").scopes(["read"]).sign();
//! assert_eq!(token.split('.').count(), 3);
//! issuer.clock().advance(Duration::from_secs(300 + 60)); // the token has expired, even with the leeway
//! ```

mod algorithm;
mod builder;
mod document;
mod introspection;
mod dpop;
mod issuer;
mod key;
mod keys;
mod protects;
mod serve;
mod time;
mod token;
mod trouble;
mod world;

pub use algorithm::SigningAlgorithm;
pub use builder::TestIssuerBuilder;
pub use document::MetadataPath;
pub use dpop::{DpopKey, ProofBuilder};
pub use issuer::TestIssuer;
pub use serve::{ServeError, ServedIssuer};
pub use token::TokenBuilder;
pub use trouble::{Endpoint, Trouble};

/// The code of the README is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
