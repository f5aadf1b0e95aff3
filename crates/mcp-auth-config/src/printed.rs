//! A configuration as it is printed: what is not set is left out.

use serde::Serialize;
use serde_json::{Error, Value, to_value};

use crate::introspection::IntrospectionConfig;
use crate::issuer::IssuerConfig;
use crate::resource::ResourceConfig;

/// The configuration without the keys that have their default.
pub(crate) fn as_set<C: Serialize + Default>(config: &C) -> Result<Value, Error> {
    let mut written = to_value(config)?;
    drop_defaults(&mut written, &to_value(C::default())?);
    let introspection_defaults = to_value(IntrospectionConfig::default())?;
    let (issuer, resource) =
        (to_value(IssuerConfig::default())?, to_value(ResourceConfig::default())?);
    for one in written.get_mut("issuers").and_then(Value::as_object_mut).into_iter().flatten() {
        drop_defaults(one.1, &issuer);
        if let Some(introspection) = one.1.get_mut("introspection") {
            drop_defaults(introspection, &introspection_defaults);
        }
    }
    for one in written.get_mut("resources").and_then(Value::as_array_mut).into_iter().flatten() {
        drop_defaults(one, &resource);
    }
    drop_nulls(&mut written);
    Ok(written)
}

fn drop_defaults(written: &mut Value, defaults: &Value) {
    if let Some(members) = written.as_object_mut() {
        members.retain(|key, value| defaults.get(key) != Some(value));
    }
}

/// In TOML, what is not set has no value. The metadata of a resource keeps its `null`s, which are an error then.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let metadata = members.remove("metadata");
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
            members.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
        }
        Value::Array(values) => values.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
