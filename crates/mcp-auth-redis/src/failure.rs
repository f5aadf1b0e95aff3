//! What goes wrong with Redis, and what an operator can change.

use std::borrow::Cow;
use std::io;

use redis::{ErrorKind, RedisError};

/// Redis did not answer a question.
///
/// It has the code of the failure, such as `READONLY` or `timeout`, and what to change. It has nothing of the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis: {code}: {advice}")]
pub struct RedisUnavailable {
    pub(crate) code: Cow<'static, str>,
    advice: &'static str,
    /// Whether another connection may help.
    pub(crate) ends_connection: bool,
}

/// What Redis answers, and what to change. Others are of the connection.
const ANSWERS: [(&str, &str); 17] = [
    ("ASK", IS_CLUSTER),
    ("CLUSTERDOWN", "the cluster is down: see `CLUSTER INFO`"),
    ("CROSSSLOT", IS_CLUSTER),
    ("DENIED", "it is in protected mode: let it have a password"),
    (
        "ERR",
        "it does not know a command: Redis 6.2 or Valkey 7.2 is needed, with `EVAL` and streams",
    ),
    ("LOADING", "it loads its data from disk, and answers when it has"),
    ("MASTERDOWN", "it is a replica that has lost its primary: connect to the primary"),
    ("MISCONF", "it cannot write to its disk, and refuses to change anything: see its log"),
    ("MOVED", IS_CLUSTER),
    ("NOAUTH", "it wants a password: set one"),
    (
        "NOPERM",
        "its ACL forbids a command or a key: allow SET, EVAL, GET, TIME, HGET, HSET, HDEL, HSCAN, HLEN, XADD, XRANGE, XREVRANGE, PEXPIRE, PTTL, PING on keys that begin with the prefix",
    ),
    ("NOREPLICAS", "too few replicas are connected to it: see `min-replicas-to-write`"),
    ("OOM", "it is out of memory: raise `maxmemory`, or remove what others have put there"),
    ("READONLY", "it is a replica: connect to the primary"),
    ("TRYAGAIN", IS_CLUSTER),
    ("WRONGPASS", WRONG_PASSWORD),
    (
        "WRONGTYPE",
        "a key with this prefix holds something else: choose a prefix, or a database, that nobody else uses",
    ),
];

const IS_CLUSTER: &str = "it is one node of a cluster: connect to a single primary, or to an address that stands for the whole cluster";

const WRONG_PASSWORD: &str = "it does not know this user name and password";

impl RedisUnavailable {
    const fn of_connection(code: &'static str, advice: &'static str) -> Self {
        Self { code: Cow::Borrowed(code), advice, ends_connection: true }
    }

    /// It was asked in vain a moment ago, and is not asked before it answers again.
    pub(crate) const DOWN: Self = Self::of_connection(
        "down",
        "it does not answer at the moment, and is not asked before it does",
    );

    pub(crate) const TIMEOUT: Self = Self::of_connection(
        "timeout",
        "it did not answer in time: see whether it is overloaded or hangs, how far away it is, and whether it speaks TLS (`rediss://`) or not (`redis://`)",
    );

    pub(crate) const TLS: Self = Self::of_connection(
        "tls",
        "TLS fails: compare the name in its certificate, and the certification authorities that are trusted; or it does not speak TLS",
    );

    pub(crate) const NEVER_ASKED: Self =
        Self::of_connection("connecting", "it has not answered yet");

    pub(crate) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::of_connection(
                "refused",
                "nothing listens there: check that it is up, and its address",
            ),
            io::ErrorKind::TimedOut => Self::TIMEOUT,
            _ => Self::of_connection(
                "closed",
                "the connection cannot be made or broke off: check that it is up, its name and its port, and whether it wants TLS (`rediss://`)",
            ),
        }
    }

    pub(crate) fn of(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::TIMEOUT;
        }
        match error.kind() {
            ErrorKind::Io => {
                let source = std::error::Error::source(error);
                let source = source.and_then(|error| error.downcast_ref::<io::Error>());
                return source
                    .map_or_else(|| Self::of_io(&io::ErrorKind::Other.into()), Self::of_io);
            }
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                return Self::of_connection(
                    "protocol",
                    "what answers there does not speak as Redis does: check the address",
                );
            }
            ErrorKind::AuthenticationFailed => {
                return Self::of_connection("WRONGPASS", WRONG_PASSWORD);
            }
            _ => {}
        }
        // Not its text, which may repeat what it was asked.
        let code = error.code().unwrap_or("ERR");
        let is_code = code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let code = if is_code { code } else { "ERR" };
        let known = ANSWERS.iter().find(|(known, _)| *known == code);
        let advice = known.map_or("see what Redis says about this error", |(_, advice)| advice);
        // A name may stand for another server now: the one that has become the primary, or has another password.
        let ends_connection =
            matches!(code, "READONLY" | "NOAUTH" | "WRONGPASS" | "LOADING" | "MASTERDOWN");
        Self { code: code.to_owned().into(), advice, ends_connection }
    }
}
