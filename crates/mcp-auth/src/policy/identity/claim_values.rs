//! Values of claims, in the forms that providers write.

use std::borrow::Cow;

use crate::util::json::{Object, Raw};

/// Strings in an array, or the `value` of each object there (SCIM, RFC 7643 §2.4); or one string alone.
/// Anything else is left out: it grants nothing.
pub(super) fn values<'c>(claim: Raw<'c>) -> Vec<Cow<'c, str>> {
    let value = |one: Raw<'c>| one.string().or_else(|| member(one, "value").and_then(Raw::string));
    match claim.array() {
        Some(list) => list.into_iter().filter_map(value).collect(),
        None => claim.string().into_iter().collect(),
    }
}

/// A member of an object that has each member once, unless it is null.
pub(super) fn member<'c>(object: Raw<'c>, name: &str) -> Option<Raw<'c>> {
    Object::of(object.get()).ok()?.get(name).filter(|value| value.get() != "null")
}
