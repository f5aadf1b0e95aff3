//! The hosts that requests may name: rmcp's list, parsed once, and the resource's own host.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

use crate::model::denial::Denial;
use crate::resource::names::ForwardedHost;
use crate::util::{shown, url};

/// The hosts of a resource. In a DNS rebinding attack, a web page calls the server by another host.
pub(super) struct Hosts {
    /// The authorities of the resource's names. Most requests name one, so they are compared without being parsed.
    own: Vec<String>,
    /// The allowed hosts. `None` allows every host.
    allowed: Option<Vec<(String, Port)>>,
}

/// `None` is any port.
type Port = Option<u16>;

impl Hosts {
    /// Parses a list in rmcp's form: names or addresses, with one port or with any. An empty list allows every
    /// host. The hosts of the resource's own names are added, with any port, since a proxy may use another one. An
    /// entry that is not a host matches nothing.
    pub(super) fn new<'n>(allowed: &[String], names: impl Iterator<Item = &'n str>) -> Self {
        if allowed.is_empty() {
            return Self { own: Vec::new(), allowed: None };
        }
        let own: Vec<_> = names.filter_map(url::split).map(|(_, authority, _)| authority).collect();
        let any_port = own.iter().filter_map(|own| url::host_and_port(own));
        let any_port = any_port.map(|(host, _)| (host.to_owned(), None));
        let listed = allowed.iter().filter_map(|entry| {
            let host = parse_entry(entry.trim());
            if host.is_none() {
                tracing::warn!(target: "mcp_auth", entry, "an allowed host that names none, and so allows none");
            }
            host
        });
        let allowed = any_port.chain(listed).collect();
        Self { own: own.into_iter().map(str::to_owned).collect(), allowed: Some(allowed) }
    }

    /// Checks the host that a request names. A request that names none is passed on: rmcp refuses it.
    ///
    /// The authority of the target decides, if it has one: in HTTP/2, and in an HTTP/1.1 request as proxies get
    /// it ([RFC 9112 §3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2)). A `Host` beside it must name
    /// the same host ([RFC 9113 §8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)): something on the
    /// way may look at either. What a trusted proxy has forwarded takes the place of both: they are then the proxy's
    /// name for this server.
    pub(super) fn admit(
        &self,
        request: &Parts,
        forwarded: &ForwardedHost<'_>,
    ) -> Result<(), Denial> {
        let Some(hosts) = &self.allowed else { return Ok(()) };
        let target = request.uri.authority().map(Authority::as_str);
        let mut headers = request.headers.get_all(HOST).iter();
        let named = match (forwarded, headers.next(), headers.next(), target) {
            (ForwardedHost::Is(host), ..) => Some(*host),
            (ForwardedHost::Unclear, ..) => None,
            (_, None, _, None) => return Ok(()),
            (_, None, _, Some(target)) => Some(target),
            (_, Some(host), None, None) => host.to_str().ok(),
            (_, Some(host), None, Some(target)) => {
                let scheme = request.uri.scheme_str();
                host.to_str().ok().filter(|host| is_same_host(scheme, host, target))
            }
            (_, Some(_), Some(_), _) => None,
        };
        let is_covered = |(host, port)| {
            hosts.iter().any(|(known, wanted): &(String, Port)| {
                known.eq_ignore_ascii_case(host) && (wanted.is_none() || *wanted == port)
            })
        };
        let is_own = |host| self.own.iter().any(|own| own == host);
        if named.is_some_and(is_own) || named.and_then(url::host_and_port).is_some_and(is_covered) {
            return Ok(());
        }
        let host = request.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let (host, target) = (host.as_deref().map(shown::field), target.map(shown::field));
        let forwarded = match forwarded {
            ForwardedHost::Absent => None,
            ForwardedHost::Is(host) => Some(shown::field(host)),
            ForwardedHost::Unclear => Some("several hosts, or no text".into()),
        };
        tracing::debug!(target: "mcp_auth", host = host.as_deref(), target = target.as_deref(), forwarded = forwarded.as_deref(), "a host that is not allowed");
        if forwarded.is_some() {
            return Err(Denial::host_not_allowed().detail("the proxy that `.forwarded_host_from(..)` names says that the client called a host (logged at debug) that is none of this server's names, or it names several: let it replace the `X-Forwarded-Host` that clients send, and add the host with `.alias(..)` if it is one of this server"));
        }
        Err(Denial::host_not_allowed().detail("`Host`, or the host in the target of the request (both logged at debug), is none of this server's names, comes twice, or they differ: if a proxy in front sends its own name for this server, let it send the client's instead (nginx: `proxy_set_header Host $http_host`); or give rmcp's `with_allowed_hosts(..)` all names that are right, which replace its `localhost`"))
    }
}

/// Whether `Host` and the authority of the target name the same host and port.
fn is_same_host(scheme: Option<&str>, host: &str, target: &str) -> bool {
    if host == target {
        return true;
    }
    let default_port = match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    let (Some(host), Some(target)) = (url::host_and_port(host), url::host_and_port(target)) else {
        return false;
    };
    host.0.eq_ignore_ascii_case(target.0) && host.1.or(default_port) == target.1.or(default_port)
}

/// Parses an entry of a list: `host`, `host:port`, `host:*`, or an IPv6 address with or without brackets.
fn parse_entry(entry: &str) -> Option<(String, Port)> {
    if entry.parse::<Ipv6Addr>().is_ok() {
        return Some((format!("[{entry}]"), None));
    }
    let (host, port) = match entry.strip_suffix(":*") {
        Some(host) => url::host_and_port(host).filter(|(_, port)| port.is_none())?,
        None => url::host_and_port(entry)?,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[:]".contains(&byte);
    host.bytes().all(is_plain).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn hosts_of(allowed: &[String], resource: &str) -> Hosts {
        Hosts::new(allowed, [resource].into_iter())
    }

    fn admits(hosts: &Hosts, uri: &str, named: &[&[u8]]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in named {
            request = request.header(HOST, *host);
        }
        let request = request.body(()).expect("a request").into_parts().0;
        hosts.admit(&request, &ForwardedHost::Absent).is_ok()
    }

    #[test]
    fn only_allowed_hosts_are_accepted() {
        const ALL: [&str; 10] = [
            "localhost",
            "127.0.0.1",
            "::1",
            " Proxy:8080 ",
            "[fd00::1]:9",
            "any:*",
            "[fd00::2]:*",
            "h:x",
            "i@",
            "",
        ];
        let hosts = hosts_of(&ALL.map(Into::into), "https://api.example.com:8443/mcp");
        for (named, is_admitted) in [
            ("localhost", true),
            ("LOCALHOST:3000", true),
            ("localhost:", true),
            ("127.0.0.1:3000", true),
            ("[::1]:3000", true),
            ("[::1]", true),
            ("api.example.com", true),
            ("api.example.com:8443", true),
            ("API.example.com:8443", true),
            ("api.example.com:443", true), // a proxy's port is not the resource's
            ("proxy:8080", true),
            ("[fd00::1]:9", true),
            ("any", true),
            ("any:3000", true),
            ("[fd00::2]:3000", true),
            ("::1", false), // not a host without brackets
            ("proxy", false),
            ("proxy:80", false),
            ("proxy:8080x", false),
            ("[fd00::1]", false),
            ("[fd00::1]:90", false),
            ("evil.example", false),
            ("evil.example:3000", false),
            ("localhost.evil.example", false),
            ("api.example.com.evil.example", false),
            ("api.example.com.", false),
            ("evil.example@localhost", false),
            ("localhost@evil.example", false),
            ("localhost:80@evil.example", false),
            ("localhost:+80", false),
            ("localhost:99999", false),
            ("localhost/", false),
            ("localhost, evil.example", false),
            (" localhost", false),
            ("h", false),
            ("h:1", false),
            ("i@:80", false),
            ("any:*", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[]", false),
            (":80", false),
            ("", false),
        ] {
            assert_eq!(admits(&hosts, "/mcp", &[named.as_bytes()]), is_admitted, "{named}");
        }
    }

    #[test]
    fn repeated_or_conflicting_hosts_are_refused() {
        let hosts = hosts_of(&["localhost".to_owned()], "https://api.example.com/mcp");
        for (uri, named, is_admitted) in [
            ("/mcp", &[][..], true), // it names none
            ("/mcp", &[&b"localhost\xff"[..]], false),
            ("/mcp", &[b"localhost", b"localhost"], false),
            ("/mcp", &[b"localhost", b"evil.example"], false),
            ("/mcp", &[b"evil.example", b"localhost"], false),
            ("https://localhost/mcp", &[], true),
            ("https://api.example.com:8443/mcp", &[], true),
            ("https://evil.example/mcp", &[], false),
            ("https://localhost/mcp", &[b"evil.example"], false),
            // The target decides, and nobody reads another host.
            ("http://evil.example/mcp", &[b"localhost"], false),
            ("http://evil.example/mcp", &[b"api.example.com"], false),
            ("http://evil.example/mcp", &[b"evil.example"], false),
            ("http://localhost/mcp", &[b"localhost"], true),
            ("http://localhost/mcp", &[b"LOCALHOST"], true),
            ("http://localhost/mcp", &[b"localhost:80"], true),
            ("http://localhost:80/mcp", &[b"localhost"], true),
            ("https://localhost:443/mcp", &[b"localhost"], true),
            ("http://localhost/mcp", &[b"localhost:443"], false),
            ("http://localhost:8080/mcp", &[b"localhost"], false),
            ("http://localhost:8080/mcp", &[b"localhost:8080"], true),
            ("http://localhost/mcp", &[b"api.example.com"], false), // both are ours, but which one is it?
            ("http://localhost/mcp", &[b""], false),
            ("http://localhost/mcp", &[b"localhost", b"localhost"], false),
            ("http://localhost/mcp", &[b"localhost\xff"], false),
            ("http://evil.example@localhost/mcp", &[], false),
            ("http://localhost@evil.example/mcp", &[], false),
            ("http://localhost@evil.example/mcp", &[b"localhost"], false),
            ("http://localhost@evil.example/mcp", &[b"localhost@evil.example"], false),
        ] {
            assert_eq!(admits(&hosts, uri, named), is_admitted, "{uri} {named:?}");
        }
    }

    #[test]
    fn invalid_allowed_host_entries_are_detected() {
        for (entry, is_one) in [
            ("localhost", true),
            ("a_b.example-1.com:8080", true),
            ("127.0.0.1:*", true),
            ("[::1]:*", true),
            ("::1", true),
            ("*", false),
            ("*:*", false),
            ("*.internal", false),
            ("h:80:*", false),
            ("http://h", false),
            ("h/x", false),
            ("a b", false),
            ("h\u{e9}", false),
            ("", false),
        ] {
            assert_eq!(parse_entry(entry).is_some(), is_one, "{entry}");
        }
    }

    #[test]
    fn an_empty_list_allows_any_host_and_invalid_entries_only_the_resources_own() {
        let any = hosts_of(&[], "https://api.example.com/mcp");
        assert!(admits(&any, "/mcp", &[b"evil.example"]) && admits(&any, "/mcp", &[]));
        let own = hosts_of(&[String::new(), "a:b".to_owned()], "https://api.example.com/mcp");
        assert!(admits(&own, "/mcp", &[b"api.example.com"]));
        assert!(!admits(&own, "/mcp", &[b"a"]) && !admits(&own, "/mcp", &[b"localhost"]));
    }
}
