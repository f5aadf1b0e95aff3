//! The public names of a resource: its URL and its aliases, each with its own metadata.

use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::uri::Authority;

use crate::policy::metadata::resource_metadata_url;
use crate::util::url;
use crate::verify::mtls::{Cidr, PeerAddr};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The names of a resource, and the proxies that say by which of them it was called.
///
/// A request only chooses among these names. No part of an answer is made from it.
pub(crate) struct Names {
    /// The URL of the resource comes first, then its aliases.
    all: Vec<Name>,
    /// The proxies whose `X-Forwarded-Host` counts.
    proxies: Vec<Cidr>,
}

/// One public name of a resource.
pub(crate) struct Name {
    /// The URL that clients connect to.
    pub(crate) url: String,
    /// Where challenges say that the metadata is.
    pub(crate) metadata_url: String,
    pub(crate) metadata_json: String,
}

/// In the extensions of a request: the index of the name that has its route, since routers remove the path of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteOf(usize);

/// What a trusted proxy says about the host that the client named.
pub(crate) enum ForwardedHost<'r> {
    /// No trusted proxy says anything: `Host` counts.
    Absent,
    Is(&'r str),
    /// There are several hosts, of which the client may have written some, or it is not text.
    Unclear,
}

impl Names {
    pub(super) fn new(all: Vec<Name>, proxies: Vec<Cidr>) -> Self {
        Self { all, proxies }
    }

    /// The name with this index, else the URL of the resource.
    pub(super) fn get(&self, index: usize) -> Option<&Name> {
        self.all.get(index).or(self.all.first())
    }

    /// The names, and for routers what tells their routes apart.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (Option<RouteOf>, &Name)> {
        let route_of = |(index, name)| (self.has_several().then_some(RouteOf(index)), name);
        self.all.iter().enumerate().map(route_of)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.all.iter()
    }

    pub(crate) fn has_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The index of the name by which the client called: that of the requested host, and if several have this host,
    /// that of the requested path. If no name is clear, it is the first with the route of the request.
    pub(crate) fn index_for(&self, request: &Parts) -> usize {
        if !self.has_several() {
            return 0;
        }
        let default = request.extensions.get().map_or(0, |RouteOf(name)| *name);
        let Some(host) = self.requested_host(request) else { return default };
        let with_port = self.with_host(host, true);
        let found = if with_port.is_empty() { self.with_host(host, false) } else { with_port };
        let requested = request.uri.path();
        let length_below = |index: &usize| {
            let path = self.all.get(*index).map_or("", |name| path_of(&name.url));
            let below = requested.strip_prefix(path)?;
            (!path.is_empty() && (below.is_empty() || below.starts_with('/'))).then_some(path.len())
        };
        let by_path = found.iter().filter(|index| length_below(index).is_some());
        let is_default = found.iter().find(|index| **index == default);
        by_path
            .max_by_key(|index| length_below(index))
            .or(is_default)
            .or(found.first())
            .copied()
            .unwrap_or(default)
    }

    /// The host in the `X-Forwarded-Host` of a trusted proxy. Only the address of the connection says who that is.
    pub(crate) fn forwarded_host<'r>(&self, request: &'r Parts) -> ForwardedHost<'r> {
        let peer = request.extensions.get().map(|PeerAddr(address)| *address);
        let is_trusted = |peer| self.proxies.iter().any(|network| network.contains(peer));
        if !peer.is_some_and(is_trusted) {
            return ForwardedHost::Absent;
        }
        let mut fields = request.headers.get_all(X_FORWARDED_HOST).iter();
        let Some(field) = fields.next() else { return ForwardedHost::Absent };
        match field.to_str() {
            Ok(host) if fields.next().is_none() && !host.contains(',') => {
                ForwardedHost::Is(host.trim())
            }
            _ => ForwardedHost::Unclear,
        }
    }

    pub(crate) fn requested_host<'r>(&self, request: &'r Parts) -> Option<&'r str> {
        match self.forwarded_host(request) {
            ForwardedHost::Is(host) => Some(host),
            ForwardedHost::Unclear => None,
            ForwardedHost::Absent => {
                let host = || request.headers.get(HOST)?.to_str().ok();
                request.uri.authority().map(Authority::as_str).or_else(host)
            }
        }
    }

    /// The indexes of the names with this host.
    fn with_host(&self, named: &str, with_port: bool) -> Vec<usize> {
        let Some((host, port)) = url::host_and_port(named) else { return Vec::new() };
        let is_named = |name: &Name| {
            let Some((scheme, authority, _)) = url::split(&name.url) else { return false };
            let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            url::host_and_port(authority).is_some_and(|(ours, our_port)| {
                ours.eq_ignore_ascii_case(host)
                    && (!with_port || our_port.unwrap_or(default) == port.unwrap_or(default))
            })
        };
        self.all.iter().enumerate().filter(|(_, name)| is_named(name)).map(|(i, _)| i).collect()
    }
}

impl Name {
    /// The paths at which the metadata of this name is served: below `/.well-known/`, and at the place that was set,
    /// if it is on the host of this name.
    pub(crate) fn metadata_paths(&self) -> impl Iterator<Item = String> {
        let standard = resource_metadata_url(&self.url);
        let is_here = url::authority(&self.metadata_url) == url::authority(&self.url);
        let own = is_here.then(|| self.metadata_url.clone());
        standard.into_iter().chain(own).map(|url| path_with_slash(&url).to_owned())
    }
}

/// Whether two URLs are names of one resource. Spellings that clients and servers take for equal are.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || normal(one) == normal(other)
}

/// What is equal of all spellings of one name: its normal form without the query, and the query.
pub(super) fn normal(name: &str) -> (String, Option<String>) {
    let query = name.split_once('?').map(|(_, query)| query.to_owned());
    (url::normal(name).unwrap_or_else(|| name.to_owned()), query)
}

/// The path of a URL, without slashes at its end. Empty at the root.
pub(crate) fn path_of(url: &str) -> &str {
    path_with_slash(url).trim_end_matches('/')
}

fn path_with_slash(url: &str) -> &str {
    let path = url::split(url).map_or("", |(_, _, rest)| rest);
    path.split(['?', '#']).next().unwrap_or_default()
}
