//! Parsers and byte helpers that know nothing of OAuth: URLs, JSON, times.

pub(crate) mod url;
pub(crate) mod byte_scan;
pub(crate) mod json;
pub(crate) mod rfc3339;
