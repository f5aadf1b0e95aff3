//! The trace to which a request belongs ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).

use std::fmt::Write as _;

use http::header::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace of a request, as its `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace: [u8; 16],
    /// The span that has caused the request.
    pub(crate) span: [u8; 8],
    pub(crate) is_sampled: bool,
}

impl TraceContext {
    /// Reads the one `traceparent` of a request strictly. Returns `None` if there is none, or it is not valid.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let value = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
        let mut parts = value.split('-');
        let [version] = bytes(parts.next()?)?;
        let (trace, span, [flags]) =
            (bytes(parts.next()?)?, bytes(parts.next()?)?, bytes(parts.next()?)?);
        // Later versions may have further parts; the first one has four.
        let is_whole = version != 0 || parts.next().is_none();
        let is_valid = version != 0xff && is_whole && trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// Removes a trace context that is not valid, since nothing may be passed on of it, or that of a request without a trace.
    pub(crate) fn remove_invalid(headers: &mut HeaderMap) -> Option<Self> {
        let context = Self::of(headers);
        if context.is_none() {
            headers.remove(TRACEPARENT);
            headers.remove(TRACESTATE);
        }
        context
    }

    /// Tells the server to which trace its request belongs.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let flags = u8::from(self.is_sampled);
        let value = format!("00-{}-{}-{flags:02x}", hex(&self.trace), hex(&self.span));
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses so many bytes. Only lower-case digits are allowed.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, index) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(index..index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_is_read_strictly_and_nothing_is_passed_on_of_an_invalid_one() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let value = format!("00-{trace}-{span}-01");
        for (values, expected) in [
            (vec![value.clone()], Some(true)),
            (vec![format!("00-{trace}-{span}-00")], Some(false)),
            (vec![format!("00-{trace}-{span}-03")], Some(true)),
            (vec![format!("01-{trace}-{span}-01-more")], Some(true)),
            (vec![format!("00-{trace}-{span}-01-more")], None),
            (vec![format!("00-{trace}-{span}")], None),
            (vec![value.clone(), value.clone()], None),
            (vec![value.to_uppercase()], None),
            (vec![format!("ff-{trace}-{span}-01")], None),
            (vec![format!("00-{}-{span}-01", "0".repeat(32))], None),
            (vec![format!("00-{trace}-{}-01", "0".repeat(16))], None),
            (vec![format!("00-{trace}x-{span}-01")], None),
            (vec![format!("00-{trace}-{span}-1")], None),
            (vec![format!("00-{}é-{span}-01", "a".repeat(30))], None),
            (vec!["x".into()], None),
            (vec![String::new()], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
                headers.append(TRACEPARENT, value);
            }
            headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
            let context = TraceContext::remove_invalid(&mut headers);
            assert_eq!(context.map(|context| context.is_sampled), expected, "{values:?}");
            if let Some(context) = &context {
                assert_eq!((hex(&context.trace), hex(&context.span)), (trace.into(), span.into()));
                context.write(&mut headers);
                assert_eq!(TraceContext::of(&headers), Some(*context));
            }
            let left = (headers.contains_key(TRACEPARENT), headers.contains_key(TRACESTATE));
            assert_eq!(left, (expected.is_some(), expected.is_some()), "{values:?}");
        }
    }
}
