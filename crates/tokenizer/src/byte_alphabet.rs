//! GPT-2's alphabet for bytes, in which the tokens of byte-level BPE are written: a character for each byte, none of
//! them a space or a control.

/// The byte that a character of the alphabet stands for.
pub(crate) fn byte_of(c: char) -> Option<u8> {
    Some(match u32::from(c) {
        // Bytes that are printable as Latin-1 stand for themselves.
        point @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => point as u8,
        // The others are counted from U+0100 on, in their order.
        point @ 0x100..=0x120 => (point - 0x100) as u8,
        point @ 0x121..=0x142 => (point - 0x121 + 0x7F) as u8,
        0x143 => 0xAD,
        _ => return None,
    })
}

/// The bytes that a token's text stands for, if all of it is in the alphabet.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn known_characters() {
        assert_eq!(bytes_of("\u{120}a\u{10a}").as_deref(), Some(&b" a\n"[..]));
        assert_eq!(bytes_of("\u{c3}\u{a9}\u{122}").as_deref(), Some(&[0xC3, 0xA9, 0x80][..]));
        assert_eq!(bytes_of("a b"), None);
    }
}
