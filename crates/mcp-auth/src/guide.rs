//! The pages of the guide, so that their code is compiled with the tests.

#[doc = include_str!("../../../docs/guide/bearer-auth.md")]
mod bearer_auth {}
