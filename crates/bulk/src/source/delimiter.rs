//! What stands between the values of CSV.

use std::fmt;
use std::str::FromStr;

/// One character of ASCII that is no quote and no end of a line: `,` unless another is named. A tab is also read as `\t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(u8);

impl Delimiter {
    pub(super) const COMMA: Self = Self(b',');
    pub(super) const TAB: Self = Self(b'\t');
    /// Those that programs write.
    pub(super) const USUAL: [Self; 4] = [Self(b';'), Self::TAB, Self(b'|'), Self::COMMA];

    pub(super) fn byte(self) -> u8 {
        self.0
    }

    /// The options by which an input is read so; `is_csv`, if it is read as CSV already.
    pub(super) fn options(self, is_csv: bool) -> String {
        match self {
            Self::TAB => "--input-format tsv".to_owned(),
            other if is_csv => format!("--delimiter '{other}'"),
            other => format!("--input-format csv --delimiter '{other}'"),
        }
    }
}

/// As it is written, a tab as `\t`.
impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.write_str("\\t"),
            byte => write!(f, "{}", char::from(byte)),
        }
    }
}

impl FromStr for Delimiter {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        match written.as_bytes() {
            b"\\t" => Ok(Self::TAB),
            b"\"" | b"\n" | b"\r" => {
                Err("a quote or the end of a line has its own meaning in CSV".to_owned())
            }
            [byte] if byte.is_ascii() => Ok(Self(*byte)),
            _ => Err("it is one character of ASCII, such as ';' or '|'".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Delimiter;

    #[test]
    fn one_character_that_has_no_other_meaning() {
        for (written, shown) in [(";", ";"), ("\t", "\\t"), ("\\t", "\\t"), ("|", "|"), ("\u{1f}", "\u{1f}")]
        {
            assert_eq!(written.parse::<Delimiter>().expect(written).to_string(), shown);
        }
        for wrong in ["", ";;", "\"", "\n", "\r", "\u{a6}", "tab"] {
            assert!(wrong.parse::<Delimiter>().is_err(), "{wrong:?}");
        }
    }
}
