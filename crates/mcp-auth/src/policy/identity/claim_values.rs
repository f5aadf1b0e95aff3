//! Reads claim values in the forms that providers write.

use std::borrow::Cow;

use crate::util::json::{Object, Raw};

/// The strings of a claim: those of an array, the `value` of each object in an array (SCIM, RFC 7643 §2.4), or
/// a single string. Anything else is left out, so it grants nothing.
pub(super) fn values<'c>(claim: Raw<'c>) -> Vec<Cow<'c, str>> {
    let value = |one: Raw<'c>| one.string().or_else(|| member(one, "value").and_then(Raw::string));
    match claim.array() {
        Some(list) => list.into_iter().filter_map(value).collect(),
        None => claim.string().into_iter().collect(),
    }
}

/// A member of an object. Returns `None` if it is absent or null, or if the object has duplicate members.
pub(super) fn member<'c>(object: Raw<'c>, name: &str) -> Option<Raw<'c>> {
    Object::of(object.get()).ok()?.get(name)
}
