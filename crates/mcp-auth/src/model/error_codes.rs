//! Reasons for refusals: codes for logs and metrics, fixed sentences for clients, hints for operators.

/// What is wrong with an MCP message, or with the headers that mirror it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadMessage {
    /// Two parsers could read it differently: a member occurs twice, in another case, or with a NUL.
    Ambiguous,
    /// It is an array of messages, which this protocol version does not support, or has too many messages.
    Batch,
    /// An MCP header is missing, occurs twice, or differs from the body.
    HeaderMismatch,
    /// It is not a JSON-RPC request, notification or response.
    NotAMessage,
    /// It is not JSON in UTF-8.
    NotJson,
    /// The body did not arrive completely in time.
    Timeout,
    /// The target of the method (a name, a URI) is missing or invalid.
    Target,
    /// The body is longer than the limit.
    TooLarge,
    /// The body ended before it was complete, or is longer than declared.
    Incomplete,
    /// The request asks to leave HTTP (`Upgrade`, `CONNECT`), and there are rules for operations.
    Upgrade,
    /// The URI is not in canonical form, so the server could take it for another one.
    Uri,
}

/// What is wrong with the request as a whole: `invalid_request`
/// ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadRequest {
    /// The `Authorization` header is not `Bearer` or `DPoP` followed by one token.
    MalformedAuthorization,
    /// There is more than one `Authorization` header.
    RepeatedAuthorization,
}

/// What is wrong with a DPoP proof: the checks of
/// [RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3), and replay detection (§11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadProof {
    /// Its signature algorithm is unknown, not allowed, symmetric or `none` (check 5).
    Algorithm,
    /// A claim is missing or of the wrong type (check 3).
    Claims,
    /// Its key is missing, is private, or must not be used in this way (checks 6 and 7).
    Key,
    /// It cannot be parsed (check 2).
    Malformed,
    /// It is for another method (`htm`, check 8).
    Method,
    /// There is no proof.
    Missing,
    /// It has no nonce of this server, or an expired one (check 10).
    Nonce,
    /// The token is bound to another key (`cnf.jkt`, check 12).
    KeyMismatch,
    /// It is for another token (`ath`, check 12).
    AthMismatch,
    /// There is more than one `DPoP` header (check 1).
    Repeated,
    /// It was used before (§11.1).
    Replayed,
    /// Its signature is invalid (check 6).
    Signature,
    /// It is too old, or from the future (`iat`, check 11).
    Time,
    /// It is another kind of token (`typ`, check 4).
    Type,
    /// It is for another URL (`htu`, check 9).
    Url,
}

/// Why a token is not valid here. Used in logs, metrics and the extensions of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The signature algorithm is unknown, not allowed, symmetric or `none`.
    Algorithm,
    /// It was issued for another resource.
    Audience,
    /// It is bound to a key or a certificate (`cnf`), and the sender did not prove possession of it.
    Binding,
    /// It is bound to a client certificate. The connection has another one, or none.
    Certificate,
    /// A claim is missing or of the wrong type.
    Claims,
    /// It requires an extension (`crit`, `b64`) that is not supported.
    Critical,
    /// A member occurs twice in its header or its claims.
    Duplicate,
    /// It is not strictly base64url-encoded without padding.
    Encoding,
    /// It is encrypted (JWE).
    Encrypted,
    /// It has expired.
    Expired,
    /// It is unknown to its issuer, or was revoked.
    Inactive,
    /// Its issuer is not trusted here.
    Issuer,
    /// The key that it names must not be used in this way (`use`, `key_ops`, `alg`), or is too short.
    Key,
    /// It cannot be parsed.
    Malformed,
    /// It is not valid yet, or was issued in the future.
    NotYetValid,
    /// It is longer than the limit.
    Oversize,
    /// Its signature is invalid.
    Signature,
    /// It is another kind of token: an ID token, a logout token, a DPoP proof...
    Type,
    /// It is not sender-constrained, although the settings or the scheme `DPoP` require it.
    NotSenderConstrained,
    /// Its issuer publishes no matching key.
    UnknownKey,
}

/// Declares the texts of each value: variant, stable code, sentence for the client, hint for the operator.
macro_rules! error_codes {
    ($type:ident { $($variant:ident: $code:literal, $sentence:literal, $hint:literal;)* }) => {
        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code for logs and metrics.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The fixed sentence for the client, sent as `error_description`.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $sentence),* }
            }

            /// What the operator should check, if the denial has no specific detail.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint),* }
            }
        }
    };
}

error_codes!(BadMessage {
    Ambiguous: "ambiguous_message",
        "A member of the message comes twice or in another spelling",
        "a member (`method`, `params`, `name`...) comes twice, in another case or with a NUL: parsers differ on it, and no honest client sends it";
    Batch: "batch",
        "Batches are not part of this protocol version",
        "the body is an array of messages: only clients of 2025-03-26 may send some, and no more than 64";
    HeaderMismatch: "header_mismatch",
        "Header mismatch: each MCP header must be there, once, and say what the body says",
        "an MCP header is missing, comes twice or says something else than the body: the client, or a proxy on the way, is at fault";
    NotAMessage: "not_a_message",
        "Invalid Request: the body must be one JSON-RPC message",
        "the body is JSON, but no JSON-RPC request, notification or response: rules for tools are for MCP endpoints only";
    NotJson: "not_json",
        "Parse error: the body must be JSON in UTF-8",
        "the body is not JSON in UTF-8 without a byte order mark: is it compressed, or cut off?";
    Timeout: "body_timeout",
        "The body of the request came too slowly",
        "the body did not come to its end within 30 seconds";
    Target: "no_target",
        "Invalid params: the name, URI or identifier of what is asked for is missing or malformed",
        "`params` must name what the method applies to by a string without control characters: `name`, `uri`, `taskId`, `ref`";
    TooLarge: "too_large",
        "The body of the request is too large",
        "the body is longer than the limit, 4 MiB unless set with `.max_message_bytes(..)`";
    Incomplete: "incomplete_body",
        "The body of the request broke off",
        "the client went away before its request was complete, or sent more than it had declared";
    Upgrade: "upgrade",
        "This server does not switch protocols here",
        "the request asks to leave HTTP (`Upgrade`, or the method CONNECT): the rules for operations could not see the messages of such a connection, so mount what needs it beside the protected service";
    Uri: "uri_form",
        "Invalid params: the URI is not in canonical form (RFC 3986, 6.2.2)",
        "the URI has empty or dot segments, a fragment, a port or needless percent-encoding, or lacks a needed one: the server could read another resource than the rules see";
});

impl BadMessage {
    /// The JSON-RPC error code: one of JSON-RPC's own, or MCP's code for header mismatches
    /// ([MCP, Server Validation](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation)).
    #[must_use]
    pub const fn json_rpc_code(self) -> i32 {
        match self {
            Self::HeaderMismatch => -32020,
            Self::NotJson => -32700,
            Self::Target | Self::Uri => -32602,
            _ => -32600,
        }
    }
}

error_codes!(BadRequest {
    MalformedAuthorization: "malformed_authorization",
        "The Authorization header must be the word Bearer and one access token",
        "the client, or a proxy on the way, sends a malformed `Authorization` header: an empty token or a stray word, perhaps from an unset variable";
    RepeatedAuthorization: "repeated_authorization",
        "The request must have exactly one Authorization header",
        "the client, or a proxy on the way, adds a second `Authorization` header";
});

error_codes!(BadProof {
    Algorithm: "proof_algorithm",
        "The DPoP proof is signed with an algorithm that is not accepted",
        "the DPoP proof's `alg` is unknown, symmetric or `none`: the client must use one that the challenge and the metadata name";
    Claims: "proof_claims",
        "The DPoP proof lacks a required claim",
        "the DPoP proof needs `jti`, `htm`, `htu` and `ath`, each a string, and `iat`, a number";
    Key: "proof_key",
        "The DPoP proof has no usable public key",
        "the DPoP proof's `jwk` is missing, has a private part, is too short, or is not for verification with its `alg`";
    Malformed: "proof_malformed",
        "The DPoP proof is malformed",
        "the `DPoP` header is not one JWT in compact form, each member once";
    Method: "proof_method",
        "The DPoP proof is for another method",
        "the DPoP proof's `htm` is not the method of the request: the client must make a proof for each request";
    Missing: "proof_missing",
        "The request has no DPoP proof",
        "the request has `Authorization: DPoP` and no `DPoP` header: does a proxy on the way remove it?";
    Nonce: "proof_nonce",
        "The DPoP proof must contain the nonce of this answer",
        "the DPoP proof has no nonce of this server, or an old one, and the client will try again: if it never succeeds, do all your processes share their `.nonce_keys(..)`?";
    KeyMismatch: "proof_key_mismatch",
        "The access token is bound to another key than that of the DPoP proof",
        "the token's `cnf.jkt` is not the thumbprint of the proof's key: the token was stolen, or the client has lost its key and must log in again";
    AthMismatch: "proof_ath_mismatch",
        "The DPoP proof is for another access token",
        "the DPoP proof's `ath` is not the SHA-256 of the token: the client must make a proof for each request";
    Repeated: "proof_repeated",
        "The request must have exactly one DPoP header",
        "the client, or a proxy on the way, adds a second `DPoP` header";
    Replayed: "proof_replayed",
        "The DPoP proof was used before",
        "the same DPoP proof came twice: a client that sends a request again must make a new one; otherwise someone has copied it";
    Signature: "proof_signature",
        "The signature of the DPoP proof is wrong",
        "the DPoP proof was changed, or signed with another key than its `jwk`";
    Time: "proof_time",
        "The DPoP proof is too old or from the future",
        "the DPoP proof's `iat` is out of time: compare the clocks of this machine and of the client";
    Type: "proof_type",
        "The DPoP header is not a DPoP proof",
        "the `typ` of what the `DPoP` header has is not `dpop+jwt`";
    Url: "proof_url",
        "The DPoP proof is for another URL",
        "the DPoP proof's `htu` is not the URL of this resource: clients must use the URL that the resource is described with";
});

error_codes!(Reason {
    Algorithm: "algorithm",
        "The access token is signed with an algorithm that is not accepted",
        "the token's `alg` is unknown, symmetric or `none`: the client must send its access token (Keycloak signs refresh tokens symmetrically), and the issuer must sign that with an asymmetric algorithm";
    Audience: "audience",
        "The access token was issued for another resource",
        "set the audience (API, resource) in your provider, or accept its name for this resource with `.audience(..)`";
    Binding: "binding",
        "The access token is bound to a key and cannot be used as a bearer token",
        "the token has a `cnf` claim that the request does not meet: bound to a key (`jkt`), it must come as `Authorization: DPoP` with a proof";
    Certificate: "certificate",
        "The access token is bound to another client certificate",
        "the token's `cnf` names a client certificate (`x5t#S256`) that this connection does not show: put a `ClientCertificate` into the extensions of the request, or name your proxy with `.client_certificates_from(..)`";
    Claims: "claims",
        "The access token lacks a required claim",
        "a claim is missing or not of its type: `iss`, `sub`, `aud` and `exp` are required";
    Critical: "critical",
        "The access token requires an extension that is not supported",
        "the token's header demands an extension (`crit`, `b64`): let the issuer leave it out";
    Duplicate: "duplicate",
        "The access token is malformed",
        "a member comes twice in the token's header or claims: the issuer's serializer is broken, or the token forged";
    Encoding: "encoding",
        "The access token is malformed",
        "a part of the token is not strict base64url: it was cut off or altered on its way, or is not a JWT";
    Encrypted: "encrypted",
        "Encrypted access tokens are not accepted",
        "the token is encrypted (JWE): let the issuer only sign tokens for this resource";
    Expired: "expired",
        "The access token expired",
        "the client has to refresh it; if it is new, compare the clocks of this machine and of the issuer";
    Inactive: "inactive",
        "The access token is not active",
        "the verifier does not know the token, or it was revoked; some issuers answer so too if the client that asks is not in the token's audience";
    Issuer: "issuer",
        "The access token was issued by an authorization server that is not trusted here",
        "trust the issuer with `.authorization_server(..)`, byte for byte as its tokens name it: a final slash matters";
    Key: "key",
        "The key of the access token cannot be used",
        "the issuer's key may not be used so: see its `use`, `key_ops`, `alg` and length";
    Malformed: "malformed",
        "The access token is malformed",
        "the token cannot be read: is it an access token of this issuer, and whole?";
    NotYetValid: "not_yet_valid",
        "The access token is not valid yet",
        "`nbf` or `iat` is in the future: compare the clocks of this machine and of the issuer";
    Oversize: "oversize",
        "The access token is too long",
        "the token is longer than 16 KiB, or its header than 4 KiB: let the issuer put fewer claims (groups) into it";
    Signature: "signature",
        "The signature of the access token is wrong",
        "the token was changed, or its issuer signs with another key than it publishes under that name";
    Type: "type",
        "This kind of token is not an access token",
        "the client sends another kind of token: it must send its access token";
    NotSenderConstrained: "not_sender_constrained",
        "The access token must be bound to its sender",
        "the token has no `cnf` of the required kind: the issuer must bind it (DPoP or mTLS); a token that is not bound comes as `Authorization: Bearer`, where this server takes such";
    UnknownKey: "unknown_key",
        "The access token is signed with an unknown key",
        "the issuer publishes no such key: the token is forged, very old, or from another environment of the issuer";
});
