//! Parses RFC 3339 timestamps.

/// Parses a timestamp of [RFC 3339 §5.6](https://www.rfc-editor.org/rfc/rfc3339#section-5.6) into whole seconds
/// since 1970. Returns `None` if it is malformed. A time before second 1 becomes 1: it is past in either case.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let number = |from: usize, length: usize| {
        let digits = text.get(from..from + length)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let is = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|b| marks.contains(b));
    let marks: [(usize, &[u8]); 5] = [(4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if !marks.iter().all(|(at, marks)| is(*at, marks)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut zone = 19;
    if is(19, b".") {
        let digits = text.as_bytes().get(20..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        zone = 20 + digits;
        if digits == 0 {
            return None;
        }
    }
    let offset = match text.get(zone..)? {
        "Z" | "z" => 0,
        rest if rest.len() == 6 && is(zone, b"+-") && is(zone + 3, b":") => {
            let (hours, minutes) = (number(zone + 1, 2)?, number(zone + 4, 2)?);
            let seconds = (hours * 60 + minutes) * 60;
            let is_offset = hours < 24 && minutes < 60;
            is_offset.then_some(if is(zone, b"-") { -seconds } else { seconds })?
        }
        _ => return None,
    };
    // Days since 1970, counted in years that begin in March, so that a leap day is the last day of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 719_469;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
    Some(u64::try_from(seconds).unwrap_or(0).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_times_are_parsed() {
        for (text, seconds) in [
            ("1970-01-01T00:00:01Z", Some(1)),
            ("1970-01-01T00:00:00Z", Some(1)),
            ("1969-07-20T20:17:40Z", Some(1)),
            ("0000-01-01T00:00:00Z", Some(1)),
            ("2026-07-28T00:00:00Z", Some(1_785_196_800)),
            ("2026-07-28t00:00:00z", Some(1_785_196_800)),
            ("2026-07-28 00:00:00Z", Some(1_785_196_800)),
            ("2026-07-28T02:00:00+02:00", Some(1_785_196_800)),
            ("2026-07-27T16:30:00-07:30", Some(1_785_196_800)),
            ("2026-07-28T00:00:00.123456789Z", Some(1_785_196_800)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("2024-02-29T23:59:60Z", Some(1_709_251_200)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("2100-02-29T00:00:00Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-04-31T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-07-00T00:00:00Z", None),
            ("2026-07-28T24:00:00Z", None),
            ("2026-07-28T00:60:00Z", None),
            ("2026-07-28T00:00:61Z", None),
            ("2026-07-28T00:00:00", None),
            ("2026-07-28T00:00:00.Z", None),
            ("2026-07-28T00:00:00ZZ", None),
            ("2026-07-28T00:00:00+0200", None),
            ("2026-07-28T00:00:00+24:00", None),
            ("2026-07-28T00:00:00+02:60", None),
            ("2026-07-28T00:00:00é", None),
            ("2026-07-28", None),
            ("2026-07-28T00:00Z", None),
            ("+026-07-28T00:00:00Z", None),
            (" 2026-07-28T00:00:00Z", None),
            ("1785196800", None),
            ("", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }
}
