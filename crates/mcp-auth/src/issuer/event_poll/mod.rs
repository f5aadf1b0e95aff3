//! Polling of security events ([RFC 8936](https://www.rfc-editor.org/rfc/rfc8936)).

mod settings;
mod poll_request;
mod poll_backoff;

pub(crate) use poll_backoff::{PollBackoff, PollOutcome};
pub(crate) use poll_request::{Acks, Sets};
pub use settings::EventPoll;
