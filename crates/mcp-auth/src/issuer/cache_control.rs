//! The lifetime of a fetched document: `Cache-Control` within bounds.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, HeaderMap};

/// Minimum lifetime, whatever `Cache-Control` says.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);

/// Maximum lifetime that `max-age` can set, so that a withdrawn key is noticed within the hour.
const LONGEST_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The lifetime of a document: `max-age` minus `Age`, within the bounds above. Returns `default`, at least the
/// minimum, if the headers do not say.
pub(crate) fn lifetime(headers: &HeaderMap, default: Duration) -> Duration {
    let default = default.max(SHORTEST_LIFETIME);
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(directives) = text(CACHE_CONTROL) else { return default };
    let directives = || directives.split(',').map(str::trim);
    if directives()
        .any(|one| ["no-cache", "no-store"].iter().any(|no| one.eq_ignore_ascii_case(no)))
    {
        return SHORTEST_LIFETIME;
    }
    let max_age = directives().find_map(|one| {
        let (name, seconds) = one.split_once('=')?;
        name.eq_ignore_ascii_case("max-age")
            .then(|| seconds.trim_matches('"').parse::<u64>().ok())?
    });
    let Some(max_age) = max_age else { return default };
    let age = text(AGE).and_then(|age| age.parse().ok()).unwrap_or(0);
    Duration::from_secs(max_age.saturating_sub(age)).clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_cache_lifetime_is_clamped_to_its_bounds() {
        let default = Duration::from_secs(600);
        for (cache_control, age, seconds) in [
            (None, None, 600),
            (Some("max-age=300"), None, 300),
            (Some("public, Max-Age=300, must-revalidate"), None, 300),
            (Some("max-age=300"), Some("100"), 200),
            (Some("max-age=300"), Some("1000"), 60),
            (Some("max-age=0"), None, 60),
            (Some("max-age=86400"), None, 3600),
            (Some("max-age=99999999999999999999"), None, 600),
            (Some("max-age=\"120\""), None, 120),
            (Some("no-store"), None, 60),
            (Some("private, no-cache, max-age=300"), None, 60),
            (Some("public"), None, 600),
        ] {
            let mut headers = HeaderMap::new();
            cache_control
                .map(|value| headers.insert(CACHE_CONTROL, HeaderValue::from_static(value)));
            age.map(|value| headers.insert(AGE, HeaderValue::from_static(value)));
            assert_eq!(
                lifetime(&headers, default),
                Duration::from_secs(seconds),
                "{cache_control:?} {age:?}"
            );
        }
    }
}
