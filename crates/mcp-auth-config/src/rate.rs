//! Rates as people write them, and the limits of a resource.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

/// How many requests in how much time: `"100/m"`, with `s`, `m`, `h` or `d`. All of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many requests.
    pub requests: NonZeroU32,
    /// In how much time.
    pub per: Duration,
}

impl Rate {
    /// Parses `100/m`. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (requests, unit) = text.split_once('/')?;
        if !requests.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (_, seconds) = UNITS.iter().find(|(known, _)| *known == unit)?;
        Some(Self { requests: requests.parse().ok()?, per: Duration::from_secs(*seconds) })
    }
}

/// The units of time, in seconds.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.per.as_secs());
        let unit = unit.map_or("s", |(unit, _)| unit);
        serializer.collect_str(&format_args!("{}/{unit}", self.requests))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(
                "a rate is a text like \"10/s\", \"100/m\", \"1000/h\" or \"5000/d\", and more than 0",
            )
        })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How many requests in how much time: `100/m`, with `s`, `m`, `h` or `d`.",
            "type": "string",
            "pattern": "^[0-9]*[1-9][0-9]*/[smhd]$",
        })
    }
}

/// How often a resource may be called. A request over a limit gets a 429.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests of one address, or of one IPv6 network (/64), before their tokens are looked at.
    pub address: Option<Rate>,
    /// Admitted requests of one caller: issuer and subject.
    pub principal: Option<Rate>,
    /// Admitted requests of one OAuth client, of all its users.
    pub client: Option<Rate>,
    /// Calls by one caller of the tools with this name or pattern, of which the most specific one applies.
    pub tools: BTreeMap<String, Rate>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units() {
        for (text, expected) in [
            ("10/s", Some((10, 1))),
            ("100/m", Some((100, 60))),
            ("1000/h", Some((1000, 3600))),
            ("5/d", Some((5, 86_400))),
            ("0/m", None),
            ("10", None),
            ("10/", None),
            ("/m", None),
            ("10/min", None),
            ("10/10s", None),
            ("+1/s", None),
            ("-1/s", None),
            ("1.5/s", None),
            ("99999999999/s", None),
        ] {
            let rate = Rate::parse(text).map(|rate| (rate.requests.get(), rate.per.as_secs()));
            assert_eq!(rate, expected, "{text}");
            let written = Rate::parse(text).and_then(|rate| serde_json::to_value(rate).ok());
            assert_eq!(written.is_some_and(|written| written == text), expected.is_some());
        }
    }
}
