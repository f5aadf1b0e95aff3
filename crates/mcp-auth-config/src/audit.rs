//! The audit log, as data.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of JSON for each request to a resource, admitted or refused. Bodies are read before they pass.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// The file to which lines are appended. It is opened again on SIGHUP. Default: the standard output.
    pub file: Option<PathBuf>,
    /// The claim that names the caller. Default: `sub`.
    pub caller: Option<String>,
    /// The names of the arguments of tools that are written down. Default: none.
    pub arguments: Vec<String>,
    /// Whether requests are refused while lines cannot be written.
    pub required: bool,
}
