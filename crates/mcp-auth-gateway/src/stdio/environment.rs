//! The environment of a process.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::sync::Arc;

use mcp_auth::AuthInfo;
use mcp_auth_config::EnvValue;
use serde_json::{Map, Value};

/// What a process gets of the gateway's own environment: what programs need to run. Not the rest, which has the secrets of
/// the gateway.
const PASSED_ON: [&str; 10] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// The longest value that is made of claims. Names and identifiers are shorter, and a system limits the environment as a
/// whole.
const MAX_VALUE_BYTES: usize = 4096;

/// Names and values that depend on the caller only. Two callers with the same ones may be served by one process.
pub(crate) type Variables = Arc<[(String, String)]>;

/// The variables of the gateway that are passed on.
pub(crate) fn passed_on() -> impl Iterator<Item = (&'static str, OsString)> {
    PASSED_ON.into_iter().filter_map(|name| env::var_os(name).map(|value| (name, value)))
}

/// The variables with the claims of a caller, without secrets.
///
/// # Errors
///
/// Which claim is missing or cannot be a value. An empty one is refused too, since programs take it for no user at all.
pub(crate) fn of_caller(
    env: &BTreeMap<String, EnvValue>,
    caller: Option<&AuthInfo>,
) -> Result<Variables, String> {
    let mut claims: Option<Map<String, Value>> = None;
    let mut value_of = |claim: &str| {
        let caller = caller.ok_or_else(|| {
            format!("`env` names the claim `{claim}`, and the caller is anonymous")
        })?;
        let value = match claim {
            "iss" => Some(caller.issuer().to_owned()),
            "sub" => Some(caller.subject().to_owned()),
            "client_id" => caller.client_id().map(str::to_owned),
            "scope" => Some(caller.scopes().as_str().to_owned()),
            _ => {
                let all = claims.get_or_insert_with(|| caller.claims().unwrap_or_default());
                match all.get(claim) {
                    Some(Value::String(text)) => Some(text.clone()),
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                    _ => None,
                }
            }
        };
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| {
            format!("`env` names the claim `{claim}`, and the token has none that is a text, a number or a boolean")
        })?;
        if value.contains('\0') || value.len() > MAX_VALUE_BYTES {
            return Err(format!(
                "the claim `{claim}` has a NUL, or is longer than {MAX_VALUE_BYTES} bytes"
            ));
        }
        Ok(value)
    };
    let templates = env.iter().filter_map(|(name, value)| match value {
        EnvValue::Template(template) => Some((name, template)),
        EnvValue::Secret(_) => None,
    });
    templates.map(|(name, template)| Ok((name.clone(), template.fill(&mut value_of)?))).collect()
}

/// The secrets, as they are now.
///
/// # Errors
///
/// Which one cannot be read.
pub(crate) fn secrets(
    env: &BTreeMap<String, EnvValue>,
) -> Result<Vec<(&str, String)>, mcp_auth_config::Error> {
    let secrets = env.iter().filter_map(|(name, value)| match value {
        EnvValue::Secret(source) => Some((name, source)),
        EnvValue::Template(_) => None,
    });
    secrets.map(|(name, source)| Ok((name.as_str(), source.read()?))).collect()
}
