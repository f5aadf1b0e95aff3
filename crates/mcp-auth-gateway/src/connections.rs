//! How many connections clients may have.

use std::net::{IpAddr, Ipv6Addr};

use crate::places::{Place, Places};

/// The most connections of one address. A person has a few clients, with a few streams each. A proxy in front of the
/// gateway is one address: set more for it, unless it is on this machine.
pub(crate) const DEFAULT_PER_ADDRESS: usize = 1024;

/// The connections of clients, by address.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Places<IpAddr>);

impl Connections {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Self {
        Self(Places::new(max, max_per_address))
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.0.taken()
    }

    /// Takes a place. Returns `None` if there is none, in all or for this address. A proxy on this machine may take all.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Place<IpAddr>> {
        let address = network_of(address);
        self.0.take(address, address.is_loopback())
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

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
