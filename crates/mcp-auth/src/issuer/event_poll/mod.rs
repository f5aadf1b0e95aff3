//! Polling of security events ([RFC 8936](https://www.rfc-editor.org/rfc/rfc8936)).

mod settings;
mod exchange;
mod poll_backoff;

pub(crate) use exchange::{Acks, Sets};
pub(crate) use poll_backoff::{LogLimiter, PollBackoff, PollOutcome};
pub use settings::EventPoll;
