//! Why the gateway refuses a request, or does not answer it: for its operator.

use http::Response;

/// The code and the advice, as an extension of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Because {
    pub(crate) code: &'static str,
    /// What to change.
    pub(crate) advice: &'static str,
}

impl Because {
    /// Writes a line about a request that the library admitted, or has not seen.
    pub(crate) fn log(self) {
        tracing::info!(target: "mcp_auth", decision = self.code, "refused: {}", self.advice);
    }
}

/// Says to the operator why a request was refused.
pub(crate) fn because<B>(mut response: Response<B>, because: Because) -> Response<B> {
    response.extensions_mut().insert(because);
    response
}

pub(crate) const UNKNOWN_HOST: Because = Because {
    code: "unknown_host",
    advice: "no resource has this host: if a proxy is in front, let it pass on the client's `Host`, or name it in `forwarded_host_from`; else clients must use the URLs of the resources",
};

pub(crate) const UNKNOWN_PATH: Because = Because {
    code: "unknown_path",
    advice: "no resource is at this path: compare it with the URLs of the resources; a proxy in front must not remove a part of it",
};

pub(crate) const ASKED_ELSEWHERE: Because = Because {
    code: "asked_elsewhere",
    advice: "the resource has `mode = \"forward-auth\"`: the proxy in front must pass its requests on to the MCP server, and ask the gateway only at `forward_auth.path`",
};

pub(crate) const SEVERAL_CREDENTIALS: Because = Because {
    code: "several_credentials",
    advice: "a request has one credential: an API key in `X-API-Key`, or one `Authorization`",
};

pub(crate) const NOT_RECORDED: Because = Because {
    code: "not_recorded",
    advice: "the audit log cannot be written, and `audit.required` is set: the log says why",
};

pub(crate) const BUFFERS_FULL: Because = Because {
    code: "buffers_full",
    advice: "too many bytes of request bodies are held: callers send long messages slowly, or `max_buffered_bytes` or `max_anonymous_buffered_bytes` is too low",
};

pub(crate) const NOT_AN_API_KEY: Because = Because {
    code: "not_an_api_key",
    advice: "a token was sent in `X-API-Key`: send it as `Authorization: Bearer`",
};

pub(crate) const IDENTITY_UNKNOWN: Because = Because {
    code: "identity_unknown",
    advice: "the upstream cannot be told who calls, so it is not asked",
};

pub(crate) const UNREACHABLE: Because = Because {
    code: "upstream_unreachable",
    advice: "the upstream cannot be reached: check that it is up, and that `upstream` is its address",
};

pub(crate) const CLOSED: Because = Because {
    code: "upstream_closed",
    advice: "the upstream closed the connection before it answered",
};

pub(crate) const REDIRECTED: Because = Because {
    code: "upstream_redirected",
    advice: "the upstream redirects: set `upstream` to the URL to which it leads, perhaps with or without a slash at its end",
};

pub(crate) const REFUSED: Because = Because {
    code: "upstream_refused",
    advice: "the upstream wants credentials: let it accept requests from this gateway without them, give it those that it wants (`upstream_headers`), or let it verify tokens of the gateway (`identity = \"jwt\"`)",
};

pub(crate) const UPGRADED: Because = Because {
    code: "upstream_upgraded",
    advice: "the upstream leaves HTTP, which no client of MCP asks for",
};

pub(crate) const BUSY: Because = Because {
    code: "busy",
    advice: "too many requests are under way, in all or of this caller: the server answers slowly, or `max_connections` is too low",
};
