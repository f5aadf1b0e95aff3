//! Addresses to listen at, as people write them.

use std::net::{Ipv4Addr, SocketAddr};

use serde::de::{Deserialize, Deserializer, Error as _};

/// Parses an address to listen at: an IP address and a port, or `localhost` and a port.
///
/// Other names are not resolved: where the gateway listens could not be seen in its configuration then, and would depend on
/// what answers for the name. A port alone does not say which networks reach it.
///
/// # Errors
///
/// What to write instead.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let of_localhost =
        || Some((Ipv4Addr::LOCALHOST, port(text.strip_prefix("localhost:")?)?).into());
    text.parse().ok().or_else(of_localhost).ok_or_else(|| {
        let port = text.rsplit(':').next().and_then(port).unwrap_or(8080);
        format!(
            "{text:?} is not an address to listen at: write \"127.0.0.1:{port}\" (for this machine only) or \"0.0.0.0:{port}\" (for every network)"
        )
    })
}

fn port(text: &str) -> Option<u16> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "an address is a text, such as \"127.0.0.1:8080\"")]
    enum Written {
        Port(u16),
        Text(String),
    }
    let text = match Option::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Written::Port(port)) => port.to_string(),
        Some(Written::Text(text)) => text,
    };
    parse_address(&text).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ip_addresses_with_a_port() {
        for (text, expected) in [
            ("127.0.0.1:8080", Ok("127.0.0.1:8080")),
            ("[::1]:8080", Ok("[::1]:8080")),
            ("0.0.0.0:0", Ok("0.0.0.0:0")),
            ("localhost:8080", Ok("127.0.0.1:8080")),
            ("localhost", Err("127.0.0.1:8080")),
            ("localhost:+1", Err("127.0.0.1:8080")),
            ("8080", Err("127.0.0.1:8080")),
            (":9000", Err("127.0.0.1:9000")),
            ("mcp.example.com:9000", Err("127.0.0.1:9000")),
            ("127.0.0.1", Err("127.0.0.1:8080")),
            ("127.0.0.1:99999", Err("127.0.0.1:8080")),
            ("http://127.0.0.1:9000", Err("127.0.0.1:9000")),
            ("", Err("127.0.0.1:8080")),
        ] {
            match (parse_address(text), expected) {
                (Ok(address), Ok(expected)) => assert_eq!(address.to_string(), expected, "{text}"),
                (Err(error), Err(advice)) => {
                    assert!(error.contains(&format!("write \"{advice}\"")), "{text}: {error}");
                }
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
    }
}
