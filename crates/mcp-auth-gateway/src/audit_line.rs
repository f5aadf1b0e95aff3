//! The lines of the audit log: their form, which is published as `docs/audit.schema.json`, and their text.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::ser::Formatter;

/// The version of the form. A member never changes its meaning; new members may be added.
pub(crate) const VERSION: u8 = 1;

/// The longest text that is written down, in characters. Names of tools are much shorter.
const MAX_CHARS: usize = 512;

/// One line of the audit log.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AuditLine {
    /// A decision about a request.
    Decision(Box<AuditDecision>),
    /// Lines that could not be written before this one.
    Lost(AuditLost),
    /// Requests of one address that were over `limits.address`.
    Limited(AuditLimited),
}

/// A decision about a request.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AuditDecision {
    /// The version of this form.
    pub v: u8,
    /// When the request came (RFC 3339, UTC).
    pub time: String,
    /// The identifier of the request, which the upstream gets as `X-Request-Id`.
    pub request_id: String,
    /// The URL of the resource.
    pub resource: String,
    /// What was decided.
    pub decision: AuditedDecision,
    /// Why, if the request was not passed on: the code of the denial, or the key of the limit.
    pub reason: Option<String>,
    /// What the operator should know about that, or change.
    pub detail: Option<String>,
    /// The rules for the operation, by their names in the configuration.
    pub rules: Vec<String>,
    /// The status of the response. `null` if the client went away before it.
    pub status: Option<u16>,
    /// The upstream that was asked.
    pub upstream: Option<String>,
    /// The status of its response.
    pub upstream_status: Option<u16>,
    /// The time until the head of the response, in milliseconds.
    pub milliseconds: u64,
    /// Whose token it was, also if it was refused. `null` if no token was verified.
    pub caller: Option<AuditCaller>,
    /// What the client wrote. Nobody vouches for it.
    pub request: AuditRequest,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditedDecision {
    /// It was passed on.
    Admitted,
    /// It was passed on without a caller.
    Anonymous,
    /// It was refused.
    Denied,
    /// It was over a limit.
    Limited,
}

/// A caller, as the issuer of its token says. Texts that are too long are cut.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AuditCaller {
    /// The claim that is configured, `sub` by default. `null` if the token does not have it as a text or a number.
    pub name: Option<String>,
    /// The subject of its token, or the name of its API key. It is unique only together with the issuer.
    pub subject: String,
    /// The issuer of its token.
    pub issuer: String,
    /// The OAuth client to which the token was issued.
    pub client: Option<String>,
}

/// What a client wrote. Texts that are too long are cut.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AuditRequest {
    /// The address from which the request came.
    pub address: Option<String>,
    /// The method of HTTP.
    pub http_method: String,
    /// The trace identifier in its `traceparent`, or that of the gateway's own span if it has none.
    pub trace_id: Option<String>,
    /// What is known about its message.
    pub message: AuditedMessage,
    /// The method of the message: `tools/call`.
    pub method: Option<String>,
    /// The tool that it calls.
    pub tool: Option<String>,
    /// What else it names: a prompt, the URI of a resource, a task.
    pub name: Option<String>,
    /// All that it names, if that is more than one thing: the URIs of `subscriptions/listen`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The arguments of the tool that the configuration names. One that is longer than 512 characters is `null`.
    pub arguments: BTreeMap<String, Value>,
    /// What each message asks for, if there are several (MCP 2025-03-26).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batch: Vec<AuditedCall>,
}

/// What one message of several asks for, with the members of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AuditedCall {
    /// Its method. `null` if it is a response of the client.
    pub method: Option<String>,
    /// The tool that it calls.
    pub tool: Option<String>,
    /// What else it names.
    pub name: Option<String>,
    /// All that it names, if that is more than one thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The arguments of the tool that the configuration names.
    pub arguments: BTreeMap<String, Value>,
}

/// What is known about a message.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditedMessage {
    /// There is none.
    None,
    /// It was read. Its method is `null` if there are several messages, which are in `batch`, or if it is a response of the client.
    Read,
    /// It was not read to its end, since the decision did not depend on it, or the client went away.
    Unread,
    /// It is longer than `max_message_bytes`.
    TooLong,
    /// It is not a JSON-RPC message that all servers read alike.
    Unreadable,
}

/// Lines that could not be written.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub struct AuditLost {
    /// The version of this form.
    pub v: u8,
    /// When lines could be written again (RFC 3339, UTC).
    pub time: String,
    /// How many lines were lost.
    pub lost: u64,
}

/// Requests of one address that were over `limits.address`, within a minute. They have no lines of their own.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub struct AuditLimited {
    /// The version of this form.
    pub v: u8,
    /// When the first of them came (RFC 3339, UTC).
    pub time: String,
    /// The URL of the resource.
    pub resource: String,
    /// The address, or the first one of a network of 64 bits (IPv6). `null` for all further ones, if there are very many.
    pub address: Option<String>,
    /// How many requests there were.
    pub limited: u64,
}

impl AuditLine {
    /// Its text: ASCII, so that nothing that a client wrote changes how a line is shown.
    pub(crate) fn to_text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, Ascii);
        // Nothing here fails to serialize, and memory takes any text.
        _ = self.serialize(&mut serializer);
        text.push(b'\n');
        text
    }
}

/// Escapes every character that is not a printable one of ASCII.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain_from = 0;
        for (at, char) in fragment.char_indices().filter(|(_, c)| !matches!(c, ' '..='~')) {
            writer.write_all(fragment.as_bytes().get(plain_from..at).unwrap_or_default())?;
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = at + char.len_utf8();
        }
        writer.write_all(fragment.as_bytes().get(plain_from..).unwrap_or_default())
    }
}

/// A text that is not too long, or its start and three dots.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

/// An argument that is not too long.
pub(crate) fn short(value: Value) -> Value {
    let is_short = value.to_string().chars().nth(MAX_CHARS).is_none();
    if is_short { value } else { Value::Null }
}

/// A moment in RFC 3339, to the millisecond.
pub(crate) fn rfc3339(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date of a day, counted from 1970-01-01, in the Gregorian calendar. Years begin in March here, so that the leap day is
/// the last of a year.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153; // since March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, passed) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + passed, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_796_050_000, "2026-11-30T14:46:40.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        let moment = UNIX_EPOCH + Duration::from_millis(1_234);
        assert_eq!(rfc3339(moment), "1970-01-01T00:00:01.234Z");
    }

    #[test]
    fn lines_are_ascii_whatever_a_client_writes() {
        let said = "a\n\u{1b}[31m\u{202e}\u{7f}\u{9b}\"\\\u{1f600}é";
        let lost = AuditLost { v: VERSION, time: said.into(), lost: 1 };
        let text = AuditLine::Lost(lost.clone()).to_text();
        let line = text.strip_suffix(b"\n").expect("a line");
        assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)), "{line:?}");
        assert_eq!(serde_json::from_slice::<AuditLost>(line).ok(), Some(lost));
        assert_eq!(cut(&"é".repeat(513)), "é".repeat(512) + "...");
        assert_eq!((cut("a"), short(Value::from("a"))), ("a".into(), Value::from("a")));
        assert_eq!(short(Value::from("a".repeat(600))), Value::Null);
    }
}
