//! How many connections clients may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The most connections of one address. A person has a few clients, with a few streams each; a proxy in front of the
/// gateway is one address and multiplexes, so it stays below this too.
const MAX_PER_ADDRESS: usize = 1024;

/// Counts connections, in all and by address.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    max: usize,
    open: Arc<Mutex<Open>>,
}

/// The open connections: how many there are, and by address.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place for a connection. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    open: Arc<Mutex<Open>>,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, open: Arc::default() }
    }

    /// Takes a place. Returns `None` if there is none, in all or for this address.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.by_address.get(&address).copied().unwrap_or_default();
        if open.all >= self.max || own >= MAX_PER_ADDRESS {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, own + 1);
        Some(Place { address, open: Arc::clone(&self.open) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        match open.by_address.get_mut(&self.address) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.by_address.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn places_are_limited_and_become_free_again() {
        let address = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        let connections = Connections::new(3);
        let one = connections.take(address(1));
        let others = [connections.take(address(1)), connections.take(address(2))];
        assert!(one.is_some() && others.iter().all(Option::is_some));
        assert!(connections.take(address(3)).is_none(), "there are three");
        drop(one);
        let again = connections.take(address(3));
        assert!(again.is_some() && connections.take(address(3)).is_none());
        drop((others, again));
        assert!(
            connections.open.lock().is_ok_and(|open| open.all == 0 && open.by_address.is_empty())
        );
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let connections = Connections::new(usize::MAX);
        let one = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let places: Vec<_> = (0..MAX_PER_ADDRESS).filter_map(|_| connections.take(one)).collect();
        assert_eq!(places.len(), MAX_PER_ADDRESS);
        assert!(connections.take(one).is_none());
        assert!(connections.take(IpAddr::V4(Ipv4Addr::BROADCAST)).is_some());
    }
}
