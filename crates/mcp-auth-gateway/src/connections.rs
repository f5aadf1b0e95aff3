//! How many connections clients may have.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The most connections of one address. A person has a few clients, with a few streams each. A proxy in front of the
/// gateway is one address: set more for it, unless it is on this machine.
pub(crate) const DEFAULT_PER_ADDRESS: usize = 1024;

/// Counts connections, in all and by address.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    max: usize,
    max_per_address: usize,
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
    pub(crate) fn new(max: usize, max_per_address: usize) -> Self {
        Self { max, max_per_address, open: Arc::default() }
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    /// Takes a place. Returns `None` if there is none, in all or for this address.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.by_address.get(&address).copied().unwrap_or_default();
        if open.all >= self.max || (own >= self.max_per_address && !address.is_loopback()) {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, own + 1);
        Some(Place { address, open: Arc::clone(&self.open) })
    }
}

/// The address itself, or the network of an IPv6 address (/64), of which one host can have every address.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        address => address,
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
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let connections = Connections::new(3, 10);
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
    fn one_host_does_not_take_all_places() {
        for (host, same, other) in [
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.2"),
            ("2001:db8::1", "2001:db8::ffff:ffff", "2001:db8:0:1::1"),
        ] {
            let [host, same, other] = [host, same, other].map(|it| it.parse::<IpAddr>().expect(it));
            let connections = Connections::new(100, 2);
            let places: Vec<_> = (0..5).filter_map(|_| connections.take(host)).collect();
            assert_eq!(places.len(), 2, "{host}");
            assert!(connections.take(same).is_none(), "{same}");
            assert!(connections.take(other).is_some(), "{other}");
        }
        let connections = Connections::new(100, 2);
        let proxy = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!((0..5).filter_map(|_| connections.take(proxy)).collect::<Vec<_>>().len(), 5);
    }
}
