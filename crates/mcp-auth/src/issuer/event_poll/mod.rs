//! Security events that are polled ([RFC 8936](https://www.rfc-editor.org/rfc/rfc8936)).

mod settings;
mod exchange;
mod pace;

pub(crate) use exchange::{Report, Sets};
pub(crate) use pace::{News, Pace, Turn};
pub use settings::EventPoll;
