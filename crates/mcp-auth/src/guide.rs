//! The pages of the guide, so that their code is compiled with the tests.

#[doc = include_str!("../../../docs/guide/bearer-auth.md")]
mod bearer_auth {}

#[doc = include_str!("../../../docs/guide/zh-TW/bearer-auth.md")]
mod bearer_auth_zh_tw {}

#[doc = include_str!("../../../docs/guide/from-mcp-auth.md")]
mod from_mcp_auth {}

#[doc = include_str!("../../../docs/guide/providers.md")]
mod providers {}

#[doc = include_str!("../../../README.md")]
mod readme {}
