//! The pages of the guide, so that their code is compiled with the tests.

#[doc = include_str!("../../../docs/guide/bearer-auth.md")]
mod bearer_auth {}

#[doc = include_str!("../../../docs/guide/bound-tokens.md")]
mod bound_tokens {}

#[doc = include_str!("../../../docs/guide/zh-TW/bearer-auth.md")]
mod bearer_auth_zh_tw {}

#[doc = include_str!("../../../docs/guide/keys.md")]
mod keys {}

#[doc = include_str!("../../../docs/guide/api-keys.md")]
mod api_keys {}

#[doc = include_str!("../../../docs/guide/callers.md")]
mod callers {}

#[doc = include_str!("../../../docs/guide/revocation.md")]
mod revocation {}

#[doc = include_str!("../../../docs/guide/from-mcp-auth.md")]
mod from_mcp_auth {}

#[doc = include_str!("../../../docs/guide/scopes-per-tool.md")]
mod scopes_per_tool {}
#[doc = include_str!("../../../docs/guide/opaque-tokens.md")]
mod opaque_tokens {}

#[doc = include_str!("../../../docs/guide/providers.md")]
mod providers {}

#[doc = include_str!("../../../README.md")]
mod readme {}
