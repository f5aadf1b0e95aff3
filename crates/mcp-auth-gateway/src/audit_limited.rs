//! Requests over `limits.address`, which nobody pays for: they are counted, and a minute of one address is one line.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::audit_line::{AuditLimited, AuditLine, VERSION, rfc3339};

/// How often what was counted is written down.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);

/// The most addresses of a minute that have a line each, about 250 KB. All further ones of a resource share one.
const MAX_ADDRESSES: usize = 1_000;

/// The requests over the limit since they were last written down, by resource and address.
#[derive(Default)]
pub(crate) struct LimitedCounts(Mutex<HashMap<(String, Option<IpAddr>), Count>>);

struct Count {
    first: SystemTime,
    number: u64,
}

impl LimitedCounts {
    pub(crate) fn add(&self, resource: &str, address: IpAddr) {
        let mut all = self.lock();
        let mut key = (resource.to_owned(), Some(address));
        if all.len() >= MAX_ADDRESSES && !all.contains_key(&key) {
            key.1 = None;
        }
        let count = all.entry(key);
        count.or_insert_with(|| Count { first: SystemTime::now(), number: 0 }).number += 1;
    }

    /// The lines that say so. Counting begins again.
    pub(crate) fn take(&self) -> Vec<AuditLine> {
        let mut all: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        all.sort_by_key(|(_, count)| count.first);
        let line = |((resource, address), Count { first, number })| {
            AuditLine::Limited(AuditLimited {
                v: VERSION,
                time: rfc3339(first),
                resource,
                address: Option::map(address, |address: IpAddr| address.to_string()),
                limited: number,
            })
        };
        all.into_iter().map(line).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Option<IpAddr>), Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn many_addresses_are_counted_together_and_no_request_is_left_out() {
        let counts = LimitedCounts::default();
        let address = |number: u32| IpAddr::V4(Ipv4Addr::from(number));
        (0..5_000).for_each(|number| counts.add("https://a.example/mcp", address(number)));
        counts.add("https://a.example/mcp", address(0));
        counts.add("https://b.example/mcp", address(0));
        let lines = counts.take();
        assert_eq!(lines.len(), MAX_ADDRESSES + 2);
        let of = |resource: &str, address: Option<&str>| {
            let found = lines.iter().find_map(|line| match line {
                AuditLine::Limited(it)
                    if it.resource == resource && it.address.as_deref() == address =>
                {
                    Some(it.limited)
                }
                _ => None,
            });
            found.unwrap_or_default()
        };
        assert_eq!(of("https://a.example/mcp", Some("0.0.0.0")), 2);
        assert_eq!(of("https://a.example/mcp", Some("0.0.3.231")), 1);
        assert_eq!(of("https://a.example/mcp", None), 4_000);
        assert_eq!(of("https://b.example/mcp", None), 1);
        assert!(counts.take().is_empty());
    }
}
