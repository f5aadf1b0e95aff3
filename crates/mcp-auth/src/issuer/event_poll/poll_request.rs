//! One poll for events and its response ([RFC 8936 §2](https://www.rfc-editor.org/rfc/rfc8936#section-2)).

use std::collections::BTreeMap;

use http::header::{CONTENT_LANGUAGE, HeaderValue};
use serde_json::{Map, Value};

use crate::issuer::event_poll::settings::EventPoll;
use crate::net::fetch::{FetchError, Limits, only_ok};
use crate::util::json::{self, ObjectError, Raw};

/// The media type of requests and responses ([RFC 8936 §2](https://www.rfc-editor.org/rfc/rfc8936#section-2)).
const JSON: &str = "application/json";

/// Maximum size of a response: the maximum number of events with tokens of the maximum length, or some thousand
/// short events of a transmitter that sends more than was requested.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// The events of one response by their `jti`; `None` for a value that is not a string.
pub(crate) type Sets = BTreeMap<String, Option<String>>;

/// What the next request reports about events: which were accepted, and why others were refused.
#[derive(Default)]
pub(crate) struct Acks(BTreeMap<String, Option<SetError>>);

/// An error code and its description.
type SetError = (&'static str, &'static str);

impl Acks {
    pub(crate) fn acknowledged(&mut self, jti: String) {
        self.0.insert(jti, None);
    }

    pub(crate) fn refused(&mut self, jti: String, error: SetError) {
        self.0.insert(jti, Some(error));
    }

    /// Whether it reports on an event that `earlier` does not.
    pub(crate) fn reports_more_than(&self, earlier: &Self) -> bool {
        self.0.keys().any(|jti| !earlier.0.contains_key(jti))
    }

    fn has_errors(&self) -> bool {
        self.0.values().any(Option::is_some)
    }

    /// The body of a request ([RFC 8936 §2.2](https://www.rfc-editor.org/rfc/rfc8936#section-2.2)).
    fn request(&self, max_events: usize) -> String {
        let (mut taken, mut errors) = (Vec::new(), Map::new());
        for (jti, error) in &self.0 {
            match error {
                None => taken.push(jti.as_str()),
                Some((code, description)) => {
                    let error = Value::from_iter([("err", *code), ("description", *description)]);
                    errors.insert(jti.clone(), error);
                }
            }
        }
        let settings = [("maxEvents", max_events.into()), ("returnImmediately", false.into())];
        let acks = (!taken.is_empty()).then(|| ("ack", taken.into()));
        let errors = (!errors.is_empty()).then_some(("setErrs", Value::Object(errors)));
        Value::from_iter(settings.into_iter().chain(acks).chain(errors)).to_string()
    }
}

impl EventPoll {
    /// Reports on earlier events, and requests more.
    pub(crate) async fn exchange(&self, acks: &Acks) -> Result<Sets, FetchError> {
        let mut headers = self.outbound.headers.clone();
        if acks.has_errors() {
            headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
        }
        let limits = Limits { timeout: self.timeout, max_bytes: MAX_RESPONSE_BYTES };
        let request = (JSON, acks.request(self.max_events));
        let answer = self.outbound.post(&self.url, headers, request, JSON, limits).await?;
        let answer = only_ok(&self.url, answer)?;
        read(answer.body(), self.max_events).map_err(|why| FetchError::InvalidDocument {
            url: self.url.to_string(),
            why: why.to_owned(),
        })
    }
}

/// The first events of a response, at most `most`. The transmitter keeps the others, since they are not
/// acknowledged.
fn read(answer: &[u8], most: usize) -> Result<Sets, &'static str> {
    let text = std::str::from_utf8(answer).map_err(|_| "it is not UTF-8")?;
    let [sets] = json::pick(text, ["sets"]).map_err(|_| "it is not a JSON object")?;
    let sets = sets.filter(|sets| !sets.is_null()).ok_or("it has no `sets`")?;
    first(sets, most).map_err(|_| "its `sets` are no object with distinct members")
}

fn first(sets: Raw<'_>, most: usize) -> Result<Sets, ObjectError> {
    let mut found = Sets::new();
    json::each_member(sets.get(), |jti, set| {
        if found.contains_key(&*jti) {
            return Err(ObjectError::Duplicate);
        }
        if found.len() < most {
            found.insert(jti.into_owned(), set.string().map(Into::into));
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn poll_responses_are_parsed() {
        let many = (0..10_000).map(|i| format!("\"{i:05}\":\"x\"")).collect::<Vec<_>>().join(",");
        let rows = [
            (r#"{"sets":{}}"#, Ok(vec![])),
            (
                r#"{"sets":{"a":"x","b":"y"},"moreAvailable":true}"#,
                Ok(vec![("a", Some("x")), ("b", Some("y"))]),
            ),
            (
                r#" {"moreAvailable":7,"x":[{}],"sets":{"\u0061":"\u0078"}} "#,
                Ok(vec![("a", Some("x"))]),
            ),
            (
                r#"{"sets":{"a":7,"b":null,"c":{"d":"e"}}}"#,
                Ok(vec![("a", None), ("b", None), ("c", None)]),
            ),
            (
                &format!(r#"{{"sets":{{{many}}}}}"#),
                Ok(vec![("00000", Some("x")), ("00001", Some("x")), ("00002", Some("x"))]),
            ),
            ("", Err("it is not a JSON object")),
            ("[]", Err("it is not a JSON object")),
            (r#"{"sets":{}}{}"#, Err("it is not a JSON object")),
            (r#"{"sets":{},"sets":{}}"#, Err("it is not a JSON object")),
            ("{}", Err("it has no `sets`")),
            (r#"{"sets":null}"#, Err("it has no `sets`")),
            (r#"{"sets":["a"]}"#, Err("its `sets` are no object with distinct members")),
            (
                r#"{"sets":{"a":"x","\u0061":"y"}}"#,
                Err("its `sets` are no object with distinct members"),
            ),
        ];
        for (answer, expected) in rows {
            let owned = |sets: Vec<(&str, Option<&str>)>| {
                sets.into_iter()
                    .map(|(jti, set)| (jti.to_owned(), set.map(str::to_owned)))
                    .collect()
            };
            assert_eq!(read(answer.as_bytes(), 3), expected.map(owned), "{answer:.60}");
        }
        assert_eq!(read(b"{\"sets\":{\"a\":\"\xff\"}}", 3), Err("it is not UTF-8"));
    }

    #[test]
    fn a_poll_request_reports_ack_and_set_errs() {
        let mut acks = Acks::default();
        let request =
            |acks: &Acks| -> Value { serde_json::from_str(&acks.request(9)).expect("JSON") };
        assert_eq!(request(&acks), json!({ "maxEvents": 9, "returnImmediately": false }));
        acks.acknowledged("a".into());
        let earlier = std::mem::take(&mut acks);
        acks.acknowledged("a".into());
        assert!(!acks.reports_more_than(&earlier) && !acks.has_errors());
        acks.refused("\"b".into(), ("invalid_key", "why"));
        assert!(acks.reports_more_than(&earlier) && acks.has_errors());
        let expected = json!({
            "maxEvents": 9,
            "returnImmediately": false,
            "ack": ["a"],
            "setErrs": { "\"b": { "err": "invalid_key", "description": "why" } },
        });
        assert_eq!(request(&acks), expected);
    }
}
