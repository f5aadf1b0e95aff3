//! Where a key belongs, if it is in the wrong table.

use schemars::Schema;
use serde_json::{Map, Value};

/// The tables that have a key, as they are written in TOML.
#[derive(Default)]
pub(crate) struct Places {
    /// The top of the file, issuers and resources.
    pub(crate) main: Vec<String>,
    /// The tables in those.
    pub(crate) inner: Vec<String>,
}

/// Where a key is known.
pub(crate) fn of(key: &str, schema: &Schema) -> Places {
    let whole = schema.as_value();
    let definition = |name: &str| whole.pointer(&format!("/$defs/{name}/properties"));
    let tables = [
        (whole.get("properties"), "the top of the file, before the first table", ""),
        (definition("IssuerConfig"), "`[issuers.NAME]`", "issuers.NAME."),
        (definition("ResourceConfig"), "`[[resources]]`", "resources."),
    ];
    let mut found = Places::default();
    for (keys, name, path) in tables {
        let Some(keys) = keys.and_then(Value::as_object) else { continue };
        if keys.contains_key(key) {
            found.main.push(name.to_owned());
        }
        // `issuers` and `resources` are the tables above.
        let inner =
            keys.iter().filter(|(name, _)| !matches!(name.as_str(), "issuers" | "resources"));
        for (name, value) in inner {
            if keys_of(value, whole).is_some_and(|keys| keys.contains_key(key)) {
                found.inner.push(format!("`[{path}{name}]`"));
            }
        }
    }
    found
}

/// The keys of the table that is the value of a key. Returns `None` if it is something else.
fn keys_of<'s>(value: &'s Value, whole: &'s Value) -> Option<&'s Map<String, Value>> {
    let named = |value: &'s Value| {
        let name = value.get("$ref")?.as_str()?.strip_prefix('#')?;
        whole.pointer(name)?.get("properties")?.as_object()
    };
    let choices = value.get("anyOf").and_then(Value::as_array);
    named(value).or_else(|| choices?.iter().find_map(named))
}
