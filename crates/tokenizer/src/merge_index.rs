//! What merging asks of a vocabulary: which token a text is, and how early it is made.

use std::hash::{BuildHasher, RandomState};

use crate::vocabulary::{Vocabulary, fold, hash};

/// The tokens that merging may make, by their texts; of equal texts the lowest id wins.
///
/// Open addressing, keyed at random as [`PieceIndex`](crate::vocabulary::PieceIndex) is. A text of up to 8 bytes, which most
/// are that merging tries, lies in its slot with all that is asked of it: of a short text on a busy machine each of the lines
/// of memory that are read costs more than all that is computed with them.
pub(crate) struct MergeIndex {
    slots: Vec<Slot>,
    mask: usize,
    key: u64,
    longest: usize,
    /// Tokens of one byte.
    ascii: Box<[Option<Token>; 128]>,
}

/// A token that merging may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: u32,
    /// Lower merges first.
    pub(crate) rank: u32,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Its bytes, filled up with zeros; of a long one its hash, marked by [`LONG`].
    text: u64,
    rank: u32,
    /// The id plus one; 0 is empty.
    id: u32,
}

/// No byte of UTF-8 is 0xFF, so that no short text looks like the hash of a long one.
const LONG: u64 = 0xff << 56;

/// A text as slots have it.
struct Key {
    text: u64,
    /// Where it is looked for first.
    hash: u64,
}

impl MergeIndex {
    /// Indexes `tokens`, whose ids must ascend.
    pub(crate) fn new(vocabulary: &Vocabulary, tokens: impl Iterator<Item = Token>) -> MergeIndex {
        let tokens: Vec<Token> = tokens.collect();
        // At most half full, so that a search for a text that is not there stays short.
        let capacity = (tokens.len() * 2).next_power_of_two().max(2);
        let mut index = MergeIndex {
            slots: vec![Slot { text: 0, rank: 0, id: 0 }; capacity],
            mask: capacity - 1,
            key: RandomState::new().hash_one(0u8),
            longest: 0,
            ascii: Box::new([None; 128]),
        };
        for token in tokens {
            let text = vocabulary.text(token.id).as_bytes();
            if text.is_empty() {
                continue;
            }
            let key = index.key_of(text);
            let Err(free) = index.find(vocabulary, text, &key) else { continue };
            index.slots[free] = Slot { text: key.text, rank: token.rank, id: token.id + 1 };
            index.longest = index.longest.max(text.len());
            if let &[byte @ 0..128] = text {
                index.ascii[usize::from(byte)] = Some(token);
            }
        }
        index
    }

    /// The token of a text.
    pub(crate) fn get(&self, vocabulary: &Vocabulary, text: &[u8]) -> Option<Token> {
        if let &[byte @ 0..128] = text {
            return self.ascii[usize::from(byte)];
        }
        if text.len() > self.longest {
            return None;
        }
        self.find(vocabulary, text, &self.key_of(text)).ok()
    }

    /// The token, or the free slot where the text would go.
    fn find(&self, vocabulary: &Vocabulary, text: &[u8], key: &Key) -> Result<Token, usize> {
        let mut at = key.hash as usize & self.mask;
        loop {
            let slot = self.slots[at];
            if slot.id == 0 {
                return Err(at);
            }
            let id = slot.id - 1;
            let is_long = slot.text & LONG == LONG;
            if slot.text == key.text && (!is_long || vocabulary.text(id).as_bytes() == text) {
                return Ok(Token { id, rank: slot.rank });
            }
            at = (at + 1) & self.mask;
        }
    }

    fn key_of(&self, text: &[u8]) -> Key {
        // A zero at the end would be lost among those that fill up.
        if text.len() > 8 || text.last() == Some(&0) {
            let hash = hash(self.key, text);
            return Key { text: hash | LONG, hash };
        }
        let mut bytes = [0; 8];
        bytes[..text.len()].copy_from_slice(text);
        let text = u64::from_le_bytes(bytes);
        Key { text, hash: fold(text ^ self.key, self.key | 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_are_found_and_others_are_not() {
        let longest = "x".repeat(70_000);
        let texts = [
            "",
            "a",
            "b",
            "\0",
            "a\0",
            "a\0\0",
            "\u{7f}",
            "\u{e9}",
            "\u{2581}",
            "\u{2581}the",
            "\u{2581}quick",
            "12345678",
            "123456789",
            "1234567\0",
            "12345678\0",
            &longest,
        ];
        let mut vocabulary = Vocabulary::new();
        // The second of equal texts is not reached.
        assert!(texts.iter().chain(&texts).all(|text| vocabulary.push(text)));
        let tokens = vocabulary.ids().map(|id| Token { id, rank: 1000 + id });
        let index = MergeIndex::new(&vocabulary, tokens);
        for (id, text) in texts.iter().enumerate().skip(1) {
            let id = id as u32;
            assert_eq!(
                index.get(&vocabulary, text.as_bytes()),
                Some(Token { id, rank: 1000 + id }),
                "{text:?}"
            );
        }
        let longer = "x".repeat(70_001);
        for text in ["", "c", "a\0\0\0", "b\0", "\u{e8}", "1234567", "12345679", "123456780", &longer] {
            assert_eq!(index.get(&vocabulary, text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn an_index_of_nothing_has_nothing() {
        let index = MergeIndex::new(&Vocabulary::new(), std::iter::empty());
        assert_eq!(index.get(&Vocabulary::new(), b"a"), None);
        assert_eq!(index.get(&Vocabulary::new(), b""), None);
    }
}
