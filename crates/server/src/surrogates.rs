//! Halves of surrogate pairs in JSON: what is left of a character that a program of UTF-16 cut in two.
//!
//! They stand for no character, so there is no text that has them, and `serde_json` takes none. Each protocol's own server
//! decides what becomes of them.

/// A body with U+FFFD in place of each half, as Go reads it; `None` if there is none.
pub(crate) fn replaced(body: &[u8]) -> Option<Vec<u8>> {
    let mut replaced: Option<Vec<u8>> = None;
    let mut at = 0;
    // Outside of strings there are no backslashes, so they need not be looked for.
    while let Some(next) = body.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == b'\\')) {
        at += next;
        at += match (unit(body, at), unit(body, at + 6)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
            (Some(0xD800..0xE000), _) => {
                let bytes = replaced.get_or_insert_with(|| body.to_vec());
                // As long as what it replaces: places in the body stay what they are.
                bytes[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            // The escaped character may be a backslash itself.
            _ => 2,
        };
    }
    replaced
}

/// The unit of UTF-16 that is escaped here.
fn unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use connote::jsonl;

    use super::*;

    #[test]
    fn each_half_becomes_u_fffd_as_go_has_it() {
        // What Go's encoding/json makes of the same string.
        for (json, read) in [
            (r"cat \ud83d", "cat \u{fffd}"),
            (r"\uDE00 cat", "\u{fffd} cat"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ud83dA\ude00", "\u{fffd}A\u{fffd}"),
            (r"\ud83d\n\u0041\\\ud83d", "\u{fffd}\nA\\\u{fffd}"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        ] {
            let json = format!("\"{json}\"");
            let said = serde_json::from_str::<String>(&json).expect_err("it has a half").to_string();
            assert!(jsonl::is_of_a_half(&said), "{json}: {said}");
            let whole = replaced(json.as_bytes()).expect("it has a half");
            assert_eq!(serde_json::from_slice::<String>(&whole).expect("whole"), read, "{json}");
        }
        // A pair, a backslash before the letters, and what is cut short is no escape of a half.
        for json in
            [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00e9\n\/""#, r#""\ud8"#, r#""\"#, r#""\u+83d""#]
        {
            assert_eq!(replaced(json.as_bytes()), None, "{json}");
        }
    }
}
