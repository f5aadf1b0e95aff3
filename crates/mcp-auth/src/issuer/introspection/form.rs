//! Form encoding ([RFC 6749 appendix B](https://www.rfc-editor.org/rfc/rfc6749#appendix-B)).

use std::fmt::Write as _;

/// Names and values of a form. Values are encoded as they are added.
#[derive(Default)]
pub(crate) struct Form(String);

impl Form {
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0 += name;
        self.0.push('=');
        self.0 += &encode(value);
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// Encodes a value: letters, digits and `*-._` stay, a space becomes `+`, and every other byte becomes `%` and two
/// hexadecimal digits.
pub(super) fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                text.push(char::from(byte));
            }
            b' ' => text.push('+'),
            _ => {
                let _ = write!(text, "%{byte:02X}"); // writing to a String cannot fail
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_rfc_6749_appendix_b() {
        assert_eq!(encode(" %&+£€"), "+%25%26%2B%C2%A3%E2%82%AC");
    }

    #[test]
    fn a_token_survives_the_form() {
        let mut form = Form::default();
        form.add("token", "a-b._~+/c==");
        form.add("token_type_hint", "access_token");
        assert_eq!(form.into_text(), "token=a-b._%7E%2B%2Fc%3D%3D&token_type_hint=access_token");
    }
}
