//! Hosts of private networks, by their names and addresses.

use std::net::IpAddr;

/// Domains that the public DNS does not have: reserved ones ([RFC 6761](https://www.rfc-editor.org/rfc/rfc6761),
/// RFC 6762, RFC 8375, ICANN's `internal`), and those that ICANN does not delegate because networks use them (`corp`,
/// `home`, `lan`).
const PRIVATE_DOMAINS: [&str; 10] = [
    "corp",
    "example",
    "home",
    "home.arpa",
    "internal",
    "invalid",
    "lan",
    "local",
    "localhost",
    "test",
];

/// Whether a host is in a private network, as far as its name shows: a name without a dot, such as that of a container,
/// a name that the public DNS does not have, or a private address.
pub(crate) fn is_private(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse() {
        Ok(IpAddr::V4(it)) => {
            it.is_private() || it.is_link_local() || it.is_loopback()
                // 100.64.0.0/10, for carriers and overlay networks (RFC 6598).
                || matches!(it.octets(), [100, 64..=127, ..])
        }
        Ok(IpAddr::V6(it)) => {
            it.is_unique_local() || it.is_unicast_link_local() || it.is_loopback()
        }
        Err(_) => {
            let is_label = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
            let is_name = host.split('.').all(|it| !it.is_empty() && it.bytes().all(is_label));
            // A number as the last label is read as an address.
            let last = host.rsplit('.').next().unwrap_or_default();
            let is_number = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
            let host = host.to_ascii_lowercase();
            let is_within = |domain: &&str| {
                host.strip_suffix(*domain)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            let is_private = !host.contains('.') || PRIVATE_DOMAINS.iter().any(is_within);
            is_name && !is_number && is_private
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn hosts_are_private_by_their_names_and_addresses() {
        for (host, is_private) in [
            ("keycloak", true),
            ("key_cloak-1", true),
            ("keycloak.auth.svc.cluster.local", true),
            ("sso.internal", true),
            ("sso.home.arpa", true),
            ("sso.arpa", false),
            ("0x8080808", false),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("[fd00::1]", true),
            ("[fe80::1]", true),
            ("localhost", true),
            ("", false),
            ("*", false),
            ("keycloak:8080", false),
            ("http://keycloak", false),
            ("auth.example.com", false),
            ("internal.example.com", false),
            ("keycloak.", false),
            ("8.8.8.8", false),
            ("172.32.0.1", false),
            ("100.128.0.1", false),
            ("134744072", false),
            ("[2001:db8::1]", false),
        ] {
            assert_eq!(super::is_private(host), is_private, "{host}");
        }
    }
}
