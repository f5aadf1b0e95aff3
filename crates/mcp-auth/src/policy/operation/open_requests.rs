//! The requests in a message that wait for a response.

use crate::policy::operation::message::{Envelope, Messages};
use crate::util::json::Raw;

/// A request that waits for a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenRequest {
    /// Its `id`, as JSON. It is `null` if it cannot be sent back.
    pub(crate) id: Box<str>,
    /// Whether it is `subscriptions/listen`, whose response is a listening stream.
    pub(crate) is_subscription: bool,
    /// Whether it is `tools/call`.
    pub(crate) is_tool_call: bool,
    /// Whether its message is one of a batch.
    pub(crate) is_in_batch: bool,
}

/// The requests in a body, in their order. Returns `None` if the body cannot be parsed reliably.
pub(crate) fn open_requests(body: &[u8]) -> Option<Vec<OpenRequest>> {
    let mut messages = Messages::new();
    messages.read(body).ok()?;
    let is_in_batch = messages.only().is_none();
    let request = |message: &Envelope<'_>| {
        message.open_request().map(|request| OpenRequest { is_in_batch, ..request })
    };
    Some(messages.all().iter().filter_map(request).collect())
}

impl Envelope<'_> {
    /// Returns `None` for a notification and for a response.
    fn open_request(&self) -> Option<OpenRequest> {
        let method = self.method.and_then(Raw::string);
        let is = |name| method.as_deref() == Some(name);
        self.has_id().then(|| OpenRequest {
            id: self.id().unwrap_or("null").into(),
            is_subscription: is("subscriptions/listen"),
            is_tool_call: is("tools/call"),
            is_in_batch: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body, and the ids of its requests with whether each is a subscription.
    type Row<'t> = (&'t str, Option<&'t [(&'t str, bool)]>);

    #[test]
    fn the_requests_in_a_message_are_found_with_their_ids() {
        let rows: [Row<'_>; 13] = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, Some(&[("1", false)])),
            (r#"{"method":"ping","id":"a\u0062"}"#, Some(&[(r#""a\u0062""#, false)])),
            (r#"{"method":"ping","id":1e999}"#, Some(&[("1e999", false)])),
            (r#"{"method":"ping","id":-1.50}"#, Some(&[("-1.50", false)])),
            (r#"{"method":"subscriptions/listen","id":"l"}"#, Some(&[(r#""l""#, true)])),
            (
                r#"[{"method":"a","id":1},{"method":"b"},{"id":2,"result":{}},{"method":"c","id":3}]"#,
                Some(&[("1", false), ("3", false)]),
            ),
            (r#"{"method":"notifications/initialized"}"#, Some(&[])),
            (r#"{"id":1,"result":{}}"#, Some(&[])),
            (r#"{"id":{},"method":"a"}"#, Some(&[("null", false)])),
            (r#"{"id":null,"method":"subscriptions/listen"}"#, Some(&[("null", true)])),
            (r#"{"id":1,"id":2,"method":"a"}"#, None),
            (r#"{"id":1,"method":"a""#, None),
            ("", None),
        ];
        for (body, expected) in rows {
            let found = open_requests(body.as_bytes());
            let expected = expected.map(|all| {
                let request = |(id, is_subscription): &(&str, bool)| OpenRequest {
                    id: (*id).into(),
                    is_subscription: *is_subscription,
                    is_tool_call: body.contains(r#""method":"tools/call""#),
                    is_in_batch: body.starts_with('['),
                };
                all.iter().map(request).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{body}");
        }
    }
}
