//! API keys, accepted in addition to OAuth: a short list, stored as digests.

mod key;
mod prepared_key;
mod file_format;
mod file;
mod verifier;
mod keys;

pub(crate) use file::KeysFile;
pub use key::{ApiKey, GeneratedKey};
pub use keys::ApiKeys;
