//! Tables of the file that people write with the wrong brackets, and what they are told then.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::issuer::IssuerConfig;
use crate::resource::ResourceConfig;

/// `[[resources]]`.
pub(crate) fn listed_tables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ResourceConfig>, D::Error> {
    deserializer.deserialize_any(Listed)
}

/// `[issuers.NAME]`.
pub(crate) fn named_tables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, IssuerConfig>, D::Error> {
    deserializer.deserialize_any(Named)
}

const LISTED: &str = "`resources` is a list: write `[[resources]]`, with two brackets, for each";
const NAMED: &str = "each issuer has a name of your choice: write `[issuers.login]`";

struct Listed;

impl<'de> Visitor<'de> for Listed {
    type Value = Vec<ResourceConfig>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`[[resources]]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(LISTED))
    }
}

struct Named;

impl<'de> Visitor<'de> for Named {
    type Value = BTreeMap<String, IssuerConfig>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`[issuers.NAME]`")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(table))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(NAMED))
    }
}
