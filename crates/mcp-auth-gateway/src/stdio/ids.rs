//! Requests under way, by numbers of the gateway's own. Clients and servers number their requests as they like, and
//! several clients share a process.

use std::collections::HashMap;

/// Requests under way in one direction.
#[derive(Debug)]
pub(crate) struct Ids<T> {
    last: u64,
    open: HashMap<u64, T>,
}

impl<T> Default for Ids<T> {
    fn default() -> Self {
        Self { last: 0, open: HashMap::new() }
    }
}

impl<T> Ids<T> {
    /// Adds a request. Its number was not used before.
    pub(crate) fn insert(&mut self, request: T) -> u64 {
        self.last += 1;
        self.open.insert(self.last, request);
        self.last
    }

    /// The request with this number, in JSON.
    pub(crate) fn get(&self, json: &str) -> Option<(u64, &T)> {
        let number = json.parse().ok()?;
        self.open.get(&number).map(|request| (number, request))
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        self.open.remove(&number)
    }

    /// The newest request of which this is true.
    pub(crate) fn newest(&self, is_it: impl Fn(&T) -> bool) -> Option<(u64, &T)> {
        let found = self.open.iter().filter(|(_, request)| is_it(request));
        found.max_by_key(|(number, _)| **number).map(|(number, request)| (*number, request))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.open.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes all requests.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.open.drain().map(|(_, request)| request)
    }

    /// Keeps the requests of which this is true.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        self.open.retain(|_, request| is_kept(request));
    }
}
