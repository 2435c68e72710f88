//! The precompiled character map of SentencePiece, and how Hugging Face's tokenizers apply it.
//!
//! The bytes are a length, a double array of 32-bit units over the keys (XCDA, as Darts writes it), and the replacements
//! end to end, each closed by a zero byte.

use unicode_segmentation::UnicodeSegmentation;

use crate::error::Error;
use crate::load::CHARSMAP;
use crate::offsets::Origins;

/// Checked when it is read: no walk leaves the array, no value the replacements.
pub(crate) struct Charsmap {
    units: Vec<u32>,
    replacements: String,
    /// What an ASCII character alone becomes: places of the replacement, or nothing.
    ascii: Vec<Option<(u32, u32)>>,
}

/// The longest replacement there may be, in bytes (NFKC has 33). It bounds the work and the memory for every character of a
/// text.
const LONGEST: usize = 64;

/// How far the children of a node are from it.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 0x200) >> 6)) as usize
}

impl Charsmap {
    /// Reads the bytes of the file.
    pub(crate) fn new(bytes: &[u8]) -> Result<Charsmap, Error> {
        let broken = |what: &str| {
            Error::invalid(CHARSMAP, format!("{what}; the file is damaged, fetch or convert it again"))
        };
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(broken("is shorter than its own header"));
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || !length.is_multiple_of(4) || length > rest.len() {
            return Err(broken(&format!("says {length} bytes of {} are its index", rest.len())));
        }
        let (units, replacements) = rest.split_at(length);
        let units: Vec<u32> = units
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
            .collect();
        let replacements =
            std::str::from_utf8(replacements).map_err(|_| broken("has replacements that are not UTF-8"))?;
        let mut map = Charsmap { units, replacements: replacements.to_owned(), ascii: Vec::new() };
        map.check().map_err(broken)?;
        map.ascii = (0..128).map(|byte| map.find(&[byte])).collect();
        Ok(map)
    }

    /// Walks to every node that some text reaches.
    fn check(&self) -> Result<(), &'static str> {
        let root = offset(self.units[0]);
        let mut seen = vec![false; self.units.len()];
        let mut open = vec![root];
        while let Some(base) = open.pop() {
            if base >= self.units.len() {
                return Err("has an index that points beyond itself");
            }
            for label in 1..=255 {
                let at = base ^ label;
                // Texts ask for every byte, so that all of them must be within.
                let Some(&unit) = self.units.get(at) else {
                    return Err("has an index that ends within a node");
                };
                if unit & 0x8000_00FF != label as u32 || std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                let child = at ^ offset(unit);
                if unit & 0x100 != 0 {
                    let value =
                        self.units.get(child).ok_or("has an index that points beyond itself")? & 0x7FFF_FFFF;
                    let bytes = self.replacements.as_bytes().get(value as usize..);
                    let bytes = bytes.ok_or("has a replacement that is not there")?;
                    if !self.replacements.is_char_boundary(value as usize) {
                        return Err("has a replacement that begins within a character");
                    }
                    if !bytes[..bytes.len().min(LONGEST + 1)].contains(&0) {
                        return Err("has a replacement without an end");
                    }
                }
                open.push(child);
            }
        }
        Ok(())
    }

    /// The replacement of the shortest key that `text` begins with.
    fn find(&self, text: &[u8]) -> Option<(u32, u32)> {
        let mut at = offset(self.units[0]);
        for &byte in text {
            if byte == 0 {
                return None;
            }
            at ^= usize::from(byte);
            let unit = *self.units.get(at)?;
            if unit & 0x8000_00FF != u32::from(byte) {
                return None;
            }
            at ^= offset(unit);
            if unit & 0x100 != 0 {
                let start = self.units.get(at)? & 0x7FFF_FFFF;
                let length = self.replacements.get(start as usize..)?.find('\0')?;
                return Some((start, start + length as u32));
            }
        }
        None
    }

    /// Appends a replacement of `old`, which begins at byte `at`. The new characters come from the old ones, one by one;
    /// those that are too many from the last.
    fn replace<O: Origins>(
        &self,
        (start, end): (u32, u32),
        old: &str,
        mut at: usize,
        out: &mut String,
        origins: &mut O,
    ) {
        let new = &self.replacements[start as usize..end as usize];
        out.push_str(new);
        let mut old = old.chars().map(char::len_utf8);
        let mut from = at..at;
        for c in new.chars() {
            if let Some(length) = old.next() {
                from = at..at + length;
                at += length;
            }
            origins.push(c.len_utf8(), O::place(from.clone()));
        }
    }

    /// Appends the normalised text, which begins at byte `base` of the whole, to `out`.
    ///
    /// As Hugging Face's: a grapheme of less than 6 bytes that begins with a key becomes its replacement, all of it;
    /// longer ones and those without go character by character.
    pub(crate) fn normalize<O: Origins>(&self, text: &str, base: usize, out: &mut String, origins: &mut O) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            // Between two ASCII characters a grapheme ends, but for CR LF.
            if byte.is_ascii() && byte != b'\r' && bytes.get(at + 1).is_none_or(u8::is_ascii) {
                match self.ascii[usize::from(byte)] {
                    Some(found) => self.replace(found, &text[at..at + 1], base + at, out, origins),
                    None => {
                        out.push(char::from(byte));
                        origins.push(1, O::place(base + at..base + at + 1));
                    }
                }
                at += 1;
                continue;
            }
            let Some(grapheme) = text[at..].graphemes(true).next() else { break };
            let found = if grapheme.len() < 6 { self.find(grapheme.as_bytes()) } else { None };
            match found {
                Some(found) => self.replace(found, grapheme, base + at, out, origins),
                None => {
                    for (begin, c) in grapheme.char_indices() {
                        let (begin, one) = (base + at + begin, &grapheme[begin..begin + c.len_utf8()]);
                        match self.find(one.as_bytes()) {
                            Some(found) => self.replace(found, one, begin, out, origins),
                            None => {
                                out.push(c);
                                origins.push(one.len(), O::place(begin..begin + one.len()));
                            }
                        }
                    }
                }
            }
            at += grapheme.len();
        }
    }
}
