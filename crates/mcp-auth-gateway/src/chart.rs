//! A small chart of decisions, in SVG.

use crate::history::{Counts, MINUTES};
use crate::html::Html;

/// The kinds of decisions in the order in which they are stacked: the class of the style sheet, and the words.
const KINDS: [(&str, &str); 6] = [
    ("admitted", "admitted"),
    ("anonymous", "admitted without a token"),
    ("login", "asked to log in"),
    ("refused", "refused"),
    ("limited", "over a limit"),
    ("failed", "could not be decided or passed on"),
];

/// The size of the chart, in its own units: bars, and the texts around them.
const LEFT: usize = 44;
const BAR: usize = 11;
const HEIGHT: usize = 150;

/// The kind of a decision, by its code. A code that is not known is a refusal.
pub(crate) fn kind_of(code: &str) -> &'static str {
    match code {
        "admitted" => "admitted",
        "anonymous" => "anonymous",
        "no_credentials" => "login",
        "unavailable" | "buffers_full" | "busy" | "not_recorded" | "identity_unknown" => "failed",
        code if code.starts_with("limits.") => "limited",
        code if code.starts_with("upstream_") => "failed",
        _ => "refused",
    }
}

/// Draws minutes, the last of which is not over yet.
pub(crate) fn draw(html: &mut Html, minutes: &[Counts]) {
    let by_kind: Vec<_> = minutes.iter().map(of_kinds).collect();
    let most = by_kind.iter().map(|kinds| kinds.iter().sum()).max().unwrap_or(0);
    let top = round_up(most);
    let y_of = |count: u64| -> usize {
        let share = u128::from(count) * HEIGHT as u128 / u128::from(top);
        usize::try_from(share).unwrap_or(HEIGHT)
    };
    html.markup("<svg viewBox=\"0 0 720 180\" role=\"img\" aria-label=\"Decisions in each minute of the last hour\">");
    for count in [0, top / 2, top] {
        let y = 10 + HEIGHT - y_of(count);
        html.markup("<line x1=\"44\" x2=\"708\" y1=\"")
            .text(y)
            .markup("\" y2=\"")
            .text(y)
            .markup("\"/>");
        html.markup("<text x=\"38\" text-anchor=\"end\" y=\"").text(y + 4).markup("\">");
        html.text(count).markup("</text>");
    }
    for (index, kinds) in by_kind.iter().rev().enumerate() {
        let x = LEFT + BAR * (MINUTES - 1).saturating_sub(index) + 1;
        html.markup("<g><title>").text(index).markup(" min ago:");
        let mut base = 0;
        for ((_, words), count) in KINDS.iter().zip(kinds).filter(|(_, count)| **count > 0) {
            html.markup(" ").text(count).markup(" ").text(words).markup(";");
        }
        html.markup("</title>");
        for ((class, _), count) in KINDS.iter().zip(kinds).filter(|(_, count)| **count > 0) {
            // What there is can be seen, however little it is.
            let height = (y_of(base + count) - y_of(base)).max(1);
            let y = 10 + HEIGHT - y_of(base) - height;
            html.markup("<rect class=\"").text(class).markup("\" width=\"9\" x=\"").text(x);
            html.markup("\" y=\"").text(y).markup("\" height=\"").text(height).markup("\"/>");
            base += count;
        }
        html.markup("</g>");
    }
    html.markup("<text x=\"44\" y=\"176\">60 min ago</text><text x=\"704\" y=\"176\" text-anchor=\"end\">now</text></svg>");
}

/// A list of all codes, those that were most often first.
pub(crate) fn list(html: &mut Html, minutes: &[Counts]) {
    let mut all = Counts::new();
    for (code, count) in minutes.iter().flatten() {
        *all.entry(code.clone()).or_default() += count;
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by(|(a, one), (b, other)| other.cmp(one).then_with(|| a.cmp(b)));
    html.markup("<ul class=\"counts\">");
    for (code, count) in all {
        html.markup("<li><span class=\"key ").text(kind_of(&code)).markup("\"></span>");
        html.element("<code>", code, "</code>").element("<b>", count, "</b></li>");
    }
    html.markup("</ul>");
}

fn of_kinds(counts: &Counts) -> [u64; KINDS.len()] {
    KINDS.map(|(class, _)| {
        let of_class = counts.iter().filter(|(code, _)| kind_of(code) == class);
        of_class.map(|(_, count)| count).sum()
    })
}

/// The next number of the form 2, 4, 10, 20, 40, 100, .. that is not smaller.
fn round_up(number: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for factor in [2, 4, 10] {
            match step.checked_mul(factor) {
                Some(round) if round >= number => return round,
                Some(_) => {}
                None => return u64::MAX,
            }
        }
        step = step.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_bar_for_each_minute_and_fits() {
        let mut minutes = vec![Counts::new(); MINUTES];
        minutes[0] = [("admitted".into(), 1)].into();
        minutes[59] = [("admitted".into(), 90), ("expired".into(), 10)].into();
        let mut html = Html::default();
        draw(&mut html, &minutes);
        let svg = html.into_string();
        assert_eq!(svg.matches("<rect").count(), 3);
        let first = "<rect class=\"admitted\" width=\"9\" x=\"45\" y=\"159\" height=\"1\"/>";
        assert!(svg.contains(first), "{svg}");
        let last = "<rect class=\"refused\" width=\"9\" x=\"694\" y=\"10\" height=\"15\"/>";
        assert!(svg.contains(last), "{svg}");
        assert!(svg.contains("0 min ago: 90 admitted; 10 refused;"), "{svg}");
        for minutes in [vec![], vec![[("x".into(), u64::MAX)].into()]] {
            draw(&mut Html::default(), &minutes);
        }
    }

    #[test]
    fn scales_are_round() {
        for (number, expected) in [(0, 2), (3, 4), (5, 10), (11, 20), (99, 100), (101, 200)] {
            assert_eq!(round_up(number), expected);
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }
}
