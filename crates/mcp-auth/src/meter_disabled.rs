//! Without the feature `metrics` nothing is counted.

use std::time::Duration;

pub(crate) fn decision(_: &'static str) {}

pub(crate) fn token_cache(_: bool) {}

pub(crate) fn foreign_id(_: &'static str) {}

pub(crate) fn stream_ended() {}

pub(crate) fn withheld(_: &'static str) {}

pub(crate) fn refresh(_: &'static str, _: &str, _: bool) {}

pub(crate) fn keys_age(_: &str, _: impl FnOnce() -> Option<Duration>) {}

pub(crate) fn introspection(_: &str, _: &'static str) {}
