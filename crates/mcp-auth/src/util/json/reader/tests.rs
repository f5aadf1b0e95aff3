//! Compares the reader with serde_json on tables of texts and on every one-character change of them.

use serde::de::IgnoredAny;

use super::*;

/// Whether serde_json accepts the text. It is the reference, because more people have reviewed it.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

const VALID: &[&str] = &[
    "{}",
    "[]",
    r#" { "a" : [ 1 , -2.5e+3 , true , false , null , "x" , { } ] , "b" : { "c" : [ ] } } "#,
    r#"["\u0061\n\"\\\/\b\f\r\t","\ud83d\ude00","é😀\u007f","12345678901234567890"]"#,
    r#"{"":0,"a":{"b":{"c":[[[{}]]]}},"d":1E5,"e":0.0,"f":-0}"#,
    "\t\r\n 0 ",
];

#[test]
fn json_is_accepted_exactly_as_by_serde_json() {
    let rows = [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "{,}",
        "[,]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,,2]",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a" 1}"#,
        r#"{a:1}"#,
        "{1:2}",
        r#"{"a":1}}"#,
        r#"{"a":1]"#,
        "[1}",
        "{]",
        "[}",
        "nul",
        "nulll",
        "True",
        "tru",
        "null null",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "1e999",
        "--1",
        "\"",
        "\"a",
        r#""\""#,
        r#""\x""#,
        r#""\u""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\ud800""#,
        r#""\u+123""#,
        "\"\n\"",
        "\"\t\"",
        "\"\u{0}\"",
        "\"\u{1f}\"",
        "\"\u{7f}\"",
        "'a'",
        "\u{feff}{}",
        "{}\u{0}",
        "{}//",
        "/**/{}",
        "\u{a0}1",
        "\u{b}1",
        "\u{c}1",
        "1\u{2028}",
        "\u{ff11}",
    ];
    for text in rows.iter().chain(VALID) {
        assert_eq!(Raw::read(text).is_some(), is_json(text), "{text:?}");
    }
    assert!(VALID.iter().all(|text| is_json(text)));
}

/// At every position of every text, each significant character is inserted or replaces the one there, or the
/// text is cut off.
#[test]
fn single_character_changes_are_parsed_like_serde_json() {
    const SIGNS: &str = "\0\t\n \"\\/{}[]:,.-+eEu019ax\u{7f}\u{80}\u{2028}";
    for text in VALID {
        let places = text.char_indices().map(|(place, _)| place);
        for (start, rest) in places.map(|place| text.split_at(place)) {
            assert_eq!(Raw::read(start).is_some(), is_json(start), "{start:?}");
            let after = rest.char_indices().nth(1).map_or("", |(place, _)| &rest[place..]);
            for sign in SIGNS.chars() {
                for changed in [format!("{start}{sign}{rest}"), format!("{start}{sign}{after}")] {
                    assert_eq!(Raw::read(&changed).is_some(), is_json(&changed), "{changed:?}");
                }
            }
        }
    }
}

#[test]
fn strings_of_every_length_are_parsed_like_serde_json() {
    for length in 0..150 {
        for end in ["", "\\n", "\\u0041", "\\\"", "é", "\u{7f}", "\u{80}"] {
            for start in ["", "é", "\\\\"] {
                let text = format!("\"{start}{}{end}\"", "a".repeat(length));
                let read = Raw::read(&text).expect("a value").string().expect("a string");
                assert_eq!(*read, serde_json::from_str::<String>(&text).expect("a string"));
                assert_eq!(matches!(read, Cow::Borrowed(_)), !text.contains('\\'), "{text}");
            }
        }
        for control in ["\n", "\u{0}", "\u{1f}"] {
            assert!(Raw::read(&format!("\"{}{control}\"", "a".repeat(length))).is_none());
        }
    }
}

#[test]
fn brackets_must_match_at_any_depth() {
    for depth in [1, 2, 63, 64, 65, 127, 128, 129, 1000, 100_000] {
        // Objects and arrays in an order that does not repeat every 64 levels.
        let is_object = |level: usize| level.is_multiple_of(3) || level.is_multiple_of(7);
        let open = (0..depth).map(|level| if is_object(level) { "{\"a\":" } else { "[" });
        let close = (0..depth).rev().map(|level| if is_object(level) { "}" } else { "]" });
        let text = format!("{}0{}", open.collect::<String>(), close.collect::<String>());
        assert!(Raw::read(&text).is_some(), "{depth}");
        for place in [text.len() - 1, text.len() - depth, text.len() - depth / 2 - 1] {
            let other = if &text[place..=place] == "}" { "]" } else { "}" };
            let mut wrong = text.clone();
            wrong.replace_range(place..=place, other);
            assert!(Raw::read(&wrong).is_none(), "{depth} {place}");
        }
        assert!(
            Raw::read(&text[..text.len() - 1]).is_none()
                && Raw::read(&format!("{text}]")).is_none()
        );
    }
}

#[test]
fn members_and_elements_come_one_after_the_other() {
    let mut reader = Reader::new(r#" {"a":[1,"b",{"c":null}],"\u0064":{},"e":[]} "#);
    let mut seen = Vec::new();
    reader.enter(b'{').expect("an object");
    while let Some(name) = reader.member().expect("a member") {
        if name == "a" {
            reader.enter(b'[').expect("an array");
            while reader.element().expect("an element") {
                seen.push(reader.value().expect("a value").get());
            }
            continue;
        }
        seen.push(if name == "d" { "d" } else { "e" });
        reader.skip().expect("a value");
    }
    assert_eq!(reader.end(), Ok(()));
    assert_eq!(seen, ["1", "\"b\"", "{\"c\":null}", "d", "e"]);
}
