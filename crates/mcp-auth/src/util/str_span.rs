//! Strings of a JSON text as byte ranges of it, so that reading them copies nothing.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use crate::util::json::Raw;

/// A string of a JSON text: a byte range of the text, or a copy if the string contains escapes.
#[derive(Clone)]
pub(crate) enum StrSpan {
    Copied(Box<str>),
    Within { start: u32, end: u32 },
}

/// Strings of one text. Usually there is only one, which is stored inline.
#[derive(Clone)]
pub(crate) enum StrSpans {
    One(StrSpan),
    Several(Box<[StrSpan]>),
}

impl StrSpan {
    /// The span of a string that was read from `text`. Returns `None` if the value is not a string.
    #[inline(never)]
    pub(crate) fn from_value(text: &str, value: Raw<'_>) -> Option<Self> {
        Self::within(text, value.string()?)
    }

    /// The span of `string`, which was read from `text`: a range if it is borrowed from `text`, otherwise a
    /// copy.
    pub(crate) fn within(text: &str, string: Cow<'_, str>) -> Option<Self> {
        match string {
            Cow::Owned(copy) => Some(Self::Copied(copy.into())),
            Cow::Borrowed(inner) => {
                let start = inner.as_ptr() as usize - text.as_ptr() as usize;
                Some(Self::Within {
                    start: start.try_into().ok()?,
                    end: (start + inner.len()).try_into().ok()?,
                })
            }
        }
    }

    /// The span of any value that was read from `text`, as it is written there.
    pub(crate) fn from_raw(text: &str, value: Raw<'_>) -> Option<Self> {
        let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
        let end = start + value.get().len();
        Some(Self::Within { start: start.try_into().ok()?, end: end.try_into().ok()? })
    }

    pub(crate) fn of<'a>(&'a self, claims: &'a str) -> &'a str {
        match self {
            Self::Copied(text) => text,
            Self::Within { start, end } => {
                claims.get(*start as usize..*end as usize).unwrap_or_default()
            }
        }
    }
}

impl Deref for StrSpans {
    type Target = [StrSpan];

    fn deref(&self) -> &[StrSpan] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

impl DerefMut for StrSpans {
    fn deref_mut(&mut self) -> &mut [StrSpan] {
        match self {
            Self::One(text) => std::slice::from_mut(text),
            Self::Several(texts) => texts,
        }
    }
}

impl Default for StrSpans {
    fn default() -> Self {
        Self::Several(Box::default())
    }
}

pub(crate) fn copied(text: impl Into<String>) -> StrSpan {
    StrSpan::Copied(text.into().into())
}
