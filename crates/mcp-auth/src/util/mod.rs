//! OAuth-independent parsers and byte helpers: URLs, JSON, times, hexadecimal digits.

pub(crate) mod byte_scan;
pub(crate) mod hex;
pub(crate) mod json;
pub(crate) mod rfc3339;
pub(crate) mod shown;
pub(crate) mod str_span;
pub(crate) mod unix_time;
pub(crate) mod url;
pub(crate) mod origin;
pub(crate) mod private_host;
