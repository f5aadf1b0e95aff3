//! The JSON format of a file of API keys. Unknown members are refused, since one could be meant as a limit.

use std::time::{Duration, UNIX_EPOCH};

use serde::de::IgnoredAny;

use crate::issuer::api_keys::key::ApiKey;
use crate::model::scope::{Scopes, is_scope_token};
use crate::util::hex::decode_32;
use crate::util::json::{Object, ObjectError, Raw};
use crate::util::rfc3339;

const MEMBERS: [&str; 4] = ["name", "sha256", "scopes", "expires_at"];

const DIGEST: &str = "its `sha256` must be 64 hexadecimal digits, as `printf %s \"$KEY\" | sha256sum` says them, or an array of such. A key itself does not belong into the file";

/// Reads the keys of a file. Otherwise returns what is wrong, with the entry and the line, and never with the
/// content.
pub(super) fn read(text: &[u8], configured: &[[u8; 32]]) -> Result<Vec<ApiKey>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| format!("it is not JSON, as line {} shows", error.line()))?;
    let entries = Object::of(text).ok().filter(|it| it.iter().count() == 1);
    let entries = entries.and_then(|list| list.get("keys").and_then(Raw::array));
    let entries = entries.ok_or("it must be an object with one member, `keys`, an array")?;

    let mut keys: Vec<ApiKey> = Vec::new();
    for (i, entry) in entries.into_iter().enumerate() {
        let wrong = |why| format!("entry {}, line {}: {why}", i + 1, line(text, entry));
        let of_entry = read_entry(entry).map_err(wrong)?;
        let name = of_entry.first().map(|key| &key.name);
        if keys.iter().any(|other| Some(&other.name) == name) {
            return Err(wrong(
                "its name comes twice: to replace a key, give one entry both digests",
            ));
        }
        for key in of_entry {
            if keys.iter().any(|other| other.digest == key.digest) {
                return Err(wrong("its digest comes twice"));
            }
            if configured.iter().any(|configured| key.digest.as_ref() == Ok(configured)) {
                return Err(wrong("its digest is also given by `ApiKeys::key(..)`"));
            }
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The keys of one entry: one for each digest.
fn read_entry(entry: Raw<'_>) -> Result<Vec<ApiKey>, &'static str> {
    let members = Object::of(entry.get()).map_err(|why| match why {
        ObjectError::Duplicate => "it has a member twice",
        ObjectError::Malformed => "it is not an object",
    })?;
    if members.iter().any(|(name, _)| !MEMBERS.contains(&name)) {
        return Err("it has a member other than `name`, `sha256`, `scopes` and `expires_at`");
    }
    // A null is not absent here: it may be a limit that a template did not fill in.
    let member = |name| members.iter().find(|(given, _)| *given == name).map(|(_, value)| value);
    let name = member("name").and_then(Raw::string).filter(|name| !name.is_empty());
    let name = name.ok_or("its `name` must be a text, and not empty")?;
    let digests = member("sha256").and_then(digests).ok_or(DIGEST)?;
    let granted = match member("scopes") {
        Some(value) => scopes(value).ok_or("its `scopes` must be an array of scopes")?,
        None => Scopes::default(),
    };
    let end = match member("expires_at") {
        Some(value) => {
            let end = value.string().and_then(|text| rfc3339::parse(&text));
            let end = end.and_then(|end| UNIX_EPOCH.checked_add(Duration::from_secs(end)));
            Some(end.ok_or("its `expires_at` must be like 2027-01-31T00:00:00Z")?)
        }
        None => None,
    };
    let key = |digest| {
        let key = ApiKey::with(name.to_string(), Ok(digest)).scopes(granted.clone());
        end.into_iter().fold(key, ApiKey::expires_at)
    };
    Ok(digests.into_iter().map(key).collect())
}

/// One digest, or an array of at least one.
fn digests(value: Raw<'_>) -> Option<Vec<[u8; 32]>> {
    let texts = value.string().map(|one| vec![one]).or_else(|| value.strings())?;
    let digests: Vec<_> = texts.iter().map(|text| decode_32(text)).collect::<Option<_>>()?;
    Some(digests).filter(|digests| !digests.is_empty())
}

fn scopes(value: Raw<'_>) -> Option<Scopes> {
    let scopes = value.strings()?;
    scopes
        .iter()
        .all(|scope| is_scope_token(scope))
        .then(|| scopes.iter().map(|it| &**it).collect())
}

/// The line on which a value of `text` begins.
fn line(text: &str, value: Raw<'_>) -> usize {
    let start = (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const B: &str = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";
    const KEY: &str = "mcpk_0123456789abcdefghijkl";

    /// The keys of a file as text, or what is wrong with it.
    fn shown(text: &str) -> Result<String, String> {
        let keys = read(text.as_bytes(), &[])?;
        let shown = |key: &ApiKey| {
            let first = key.digest.map(|digest| digest[0]).unwrap_or_default();
            let end = key.expires_at.and_then(|end| end.duration_since(UNIX_EPOCH).ok());
            let end = end.map(|end| end.as_secs()).unwrap_or_default();
            format!("{} {first:x} {:?} {end}", key.name, key.scopes.as_str())
        };
        Ok(keys.iter().map(shown).collect::<Vec<_>>().join(", "))
    }

    fn entry(members: &str) -> String {
        format!("{{\n  \"keys\": [\n    {members}\n  ]\n}}")
    }

    #[test]
    fn api_key_files_are_parsed() {
        let upper = A.to_uppercase();
        let rows = [
            (r#"{"keys":[]}"#.to_owned(), ""),
            (entry(&format!(r#"{{"name":"ci","sha256":"{A}"}}"#)), r#"ci 9f "" 0"#),
            (entry(&format!(r#"{{"sha256":"{upper}","\u006eame":"\u0063i"}}"#)), r#"ci 9f "" 0"#),
            (
                entry(&format!(
                    r#"{{"name":"ci","sha256":"{A}","scopes":["b","a"],"expires_at":"2027-01-31T00:00:00Z"}}"#
                )),
                r#"ci 9f "b a" 1801353600"#,
            ),
            (
                entry(&format!(r#"{{"name":"ci","sha256":["{A}","{B}"],"scopes":[]}}"#)),
                r#"ci 9f "" 0, ci 60 "" 0"#,
            ),
            (
                entry(&format!(r#"{{"name":"ci","sha256":"{A}"}},{{"name":"cd","sha256":"{B}"}}"#)),
                r#"ci 9f "" 0, cd 60 "" 0"#,
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(&text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn each_file_error_names_its_line_and_no_value() {
        let good = format!(r#"{{"name":"ci","sha256":"{A}"}}"#);
        let with = |members: &str| entry(&format!(r#"{{"name":"ci","sha256":"{A}",{members}}}"#));
        let second = |members: &str| entry(&format!("{good},\n    {members}"));
        let rows = [
            (String::new(), "it is not JSON, as line 1 shows"),
            (KEY.to_owned(), "it is not JSON, as line 1 shows"),
            (entry(&format!("{good},\n    {KEY}")), "it is not JSON, as line 4 shows"),
            (format!("{}{KEY}", entry(&good)), "it is not JSON, as line 5 shows"),
            ("[]".to_owned(), "one member, `keys`"),
            (r#"{"keys":{}}"#.to_owned(), "one member, `keys`"),
            (r#"{"keys":[],"keys":[]}"#.to_owned(), "one member, `keys`"),
            (format!(r#"{{"keys":[],"{KEY}":1}}"#), "one member, `keys`"),
            (r#"{"Keys":[]}"#.to_owned(), "one member, `keys`"),
            (entry(&format!("{KEY:?}")), "entry 1, line 3: it is not an object"),
            (second(&format!("{KEY:?}")), "entry 2, line 4: it is not an object"),
            (with(r#""name":"cd""#), "entry 1, line 3: it has a member twice"),
            (with(&format!(r#""key":"{KEY}""#)), "entry 1, line 3: it has a member other than"),
            (with(&format!(r#""{KEY}":1"#)), "entry 1, line 3: it has a member other than"),
            (with(r#""Scopes":[]"#), "entry 1, line 3: it has a member other than"),
            (second(r#"{}"#), "entry 2, line 4: its `name`"),
            (second(&format!(r#"{{"name":"","sha256":"{B}"}}"#)), "entry 2, line 4: its `name`"),
            (second(&format!(r#"{{"name":7,"sha256":"{B}"}}"#)), "entry 2, line 4: its `name`"),
            (second(r#"{"name":"cd"}"#), "entry 2, line 4: its `sha256`"),
            (
                second(&format!(r#"{{"name":"cd","sha256":"{KEY}"}}"#)),
                "entry 2, line 4: its `sha256`",
            ),
            (
                second(&format!(r#"{{"name":"cd","sha256":["{B}","{KEY}"]}}"#)),
                "entry 2, line 4: its `sha256`",
            ),
            (second(r#"{"name":"cd","sha256":[]}"#), "entry 2, line 4: its `sha256`"),
            (
                second(&format!(r#"{{"name":"cd","sha256":"{}"}}"#, &B[1..])),
                "entry 2, line 4: its `sha256`",
            ),
            (
                second(&format!(r#"{{"name":"ci","sha256":"{B}"}}"#)),
                "entry 2, line 4: its name comes twice",
            ),
            (
                second(&format!(r#"{{"name":"cd","sha256":"{A}"}}"#)),
                "entry 2, line 4: its digest comes twice",
            ),
            (
                second(&format!(r#"{{"name":"cd","sha256":["{B}","{B}"]}}"#)),
                "entry 2, line 4: its digest comes twice",
            ),
            (with(r#""scopes":"read""#), "entry 1, line 3: its `scopes`"),
            (with(r#""scopes":["a b"]"#), "entry 1, line 3: its `scopes`"),
            (with(r#""scopes":[""]"#), "entry 1, line 3: its `scopes`"),
            (with(r#""scopes":null"#), "entry 1, line 3: its `scopes`"),
            (with(r#""expires_at":1801353600"#), "entry 1, line 3: its `expires_at`"),
            (with(r#""expires_at":"2027-01-31""#), "entry 1, line 3: its `expires_at`"),
        ];
        for (text, expected) in rows {
            let why = shown(&text).expect_err(&text);
            assert!(why.contains(expected), "{text}: {why}");
            assert!(!why.contains(&KEY[5..]) && !why.contains(&A[..8]) && !why.contains(&B[1..8]));
        }
        assert!(read(b"\xff", &[]).is_err_and(|why| why == "it is not UTF-8"));
        let taken = decode_32(A).expect("a digest");
        let why = read(entry(&good).as_bytes(), &[taken]).expect_err("given elsewhere");
        assert_eq!(why, "entry 1, line 3: its digest is also given by `ApiKeys::key(..)`");
    }
}
