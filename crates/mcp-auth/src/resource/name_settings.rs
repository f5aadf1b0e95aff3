//! The settings of a resource's public names, and of where its metadata is.

use crate::resource::builder::McpAuthBuilder;

impl McpAuthBuilder {
    /// Adds another public URL of the same resource, such as that of a second domain.
    ///
    /// What holds for the URL of the resource then holds for the alias: tokens for it are accepted as an
    /// [`audience`](Self::audience), its host and its origin are allowed, DPoP proofs may name it, and `protect` serves
    /// it. It has metadata of its own, whose `resource` is the alias
    /// ([RFC 9728 §3.3](https://www.rfc-editor.org/rfc/rfc9728#section-3.3)), and the challenges to requests for its
    /// host name that metadata. Sessions, rules and revocations belong to the resource, whatever its name.
    ///
    /// An alias that is not a URL like that of a resource, or that is given twice, is a
    /// [`ConfigError::Alias`](crate::ConfigError::Alias). Whether it is the name of another resource,
    /// [`McpAuth::check_distinct`](crate::McpAuth::check_distinct) says.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let auth = McpAuth::builder("https://mcp.example.com/files")
    ///     .alias("https://files.internal.example/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn alias(mut self, url: impl Into<String>) -> Self {
        self.aliases.push(url.into());
        self
    }

    /// Says in challenges that the metadata is at this URL, instead of at the well-known place
    /// ([RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)): for servers behind a proxy that forwards
    /// only their own path.
    ///
    /// If the URL has the host of the resource, `metadata_routes` serves the document there too, without a token.
    /// Otherwise publish [`metadata_json`](crate::McpAuth::metadata_json) at the URL yourself. Clients that do not read
    /// challenges still look at the well-known place. [Aliases](Self::alias) keep theirs.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let auth = McpAuth::builder("https://api.example.com/teams/notes/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .metadata_url("https://api.example.com/teams/notes/oauth-protected-resource")
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn metadata_url(mut self, url: impl Into<String>) -> Self {
        self.metadata_url = Some(url.into());
        self
    }

    /// Takes the host that the client named from `X-Forwarded-Host`, if the request comes from one of these proxies.
    ///
    /// `peers` are addresses (`127.0.0.1`) and networks (`10.0.0.0/8`) where nothing but the proxies runs. A proxy must
    /// replace a header of that name that a client sends; two hosts in it are refused. The address of the peer is read
    /// from [`PeerAddr`](crate::PeerAddr). From anywhere else the header is ignored, and `Host` counts.
    ///
    /// The host is used to choose among the [names](Self::alias) of the resource, and for the check of `protect_mcp`
    /// that it is one of the allowed hosts. No URL is made from it.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .forwarded_host_from(["10.0.7.0/24"])
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn forwarded_host_from<S: Into<String>>(
        mut self,
        peers: impl IntoIterator<Item = S>,
    ) -> Self {
        self.forwarded_host_from = Some(peers.into_iter().map(Into::into).collect());
        self
    }
}
