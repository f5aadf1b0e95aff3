//! A range of IP addresses in CIDR notation, for trusted proxies.

use std::net::IpAddr;

/// A range of IP addresses: all with the same prefix ([RFC 4632](https://www.rfc-editor.org/rfc/rfc4632)).
///
/// ```
/// let proxies = mcp_auth::Cidr::parse("10.0.0.0/8").expect("a range");
/// assert!(proxies.contains([10, 1, 2, 3].into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u32,
}

impl Cidr {
    /// Parses `10.0.0.0/8`, `fd00::/8`, or one address. Returns `None` for anything else, and for a range of all
    /// addresses (`/0`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &&str| bits.bytes().all(|b| b.is_ascii_digit());
        let bits = match bits {
            Some(bits) => Some(bits).filter(is_number)?.parse().ok()?,
            None => most,
        };
        (1..=most).contains(&bits).then_some(Self { address, bits })
    }

    /// Whether the range contains an address. An IPv4-mapped IPv6 address counts as the IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("10.9.9.9/8", "10.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("192.168.1.128/25", "192.168.1.127", false),
            ("192.168.1.128/25", "192.168.1.255", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
            ("::1", "127.0.0.1", false),
        ] {
            let network = Cidr::parse(network).expect("a network");
            assert_eq!(network.contains(address.parse().expect("an address")), expected);
        }
    }

    #[test]
    fn invalid_networks_and_the_whole_address_space_are_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/0",
            "::/0",
            "::/129",
            "10.0.0",
            "localhost",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "*",
            "10.0.0.0/99999999999",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text:?}");
        }
    }
}
