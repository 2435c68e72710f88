//! The tokens of a model: their texts in one buffer, their types, and an index from text to id.

use std::hash::{BuildHasher, RandomState};

/// What a token is for, as `tokenizer.ggml.token_type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// A piece of ordinary text.
    Normal,
    /// What stands for text that has no token.
    Unknown,
    /// A mark for the model, such as `[CLS]` or `<bos>`; never made from ordinary text.
    Control,
    /// A text that is always one token, wherever it occurs.
    UserDefined,
    /// A place that no text reaches.
    Unused,
    /// One byte of a character that has no token, `<0x00>` to `<0xFF>`.
    Byte,
}

impl TokenType {
    pub(crate) fn from_gguf(value: i64) -> Option<TokenType> {
        Some(match value {
            // 0 is "undefined"; converters that know no better write it for ordinary tokens.
            0 | 1 => TokenType::Normal,
            2 => TokenType::Unknown,
            3 => TokenType::Control,
            4 => TokenType::UserDefined,
            5 => TokenType::Unused,
            6 => TokenType::Byte,
            _ => return None,
        })
    }
}

/// Texts and types of all tokens. Texts lie end to end in one buffer: 262,144 tokens cost three allocations.
pub(crate) struct Vocabulary {
    texts: String,
    /// `ends[id]` is where text `id` ends and text `id + 1` begins.
    ends: Vec<u32>,
    types: Vec<TokenType>,
}

impl Vocabulary {
    pub(crate) fn new() -> Vocabulary {
        Vocabulary { texts: String::new(), ends: Vec::new(), types: Vec::new() }
    }

    /// Appends a token; `false` if ids or offsets would no longer fit in 32 bits.
    #[must_use]
    pub(crate) fn push(&mut self, text: &str) -> bool {
        let Ok(end) = u32::try_from(self.texts.len() + text.len()) else { return false };
        if self.ends.len() >= (u32::MAX - 1) as usize {
            return false;
        }
        self.texts.push_str(text);
        self.ends.push(end);
        self.types.push(TokenType::Normal);
        true
    }

    pub(crate) fn set_type(&mut self, id: u32, token_type: TokenType) {
        if let Some(slot) = self.types.get_mut(id as usize) {
            *slot = token_type;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All ids, ascending.
    pub(crate) fn ids(&self) -> std::ops::Range<u32> {
        // `push` keeps the count below `u32::MAX`.
        0..self.ends.len() as u32
    }

    pub(crate) fn get(&self, id: u32) -> Option<&str> {
        let end = *self.ends.get(id as usize)?;
        let start = if id == 0 { 0 } else { self.ends[id as usize - 1] };
        Some(&self.texts[start as usize..end as usize])
    }

    /// The text of a token that is known to exist.
    pub(crate) fn text(&self, id: u32) -> &str {
        self.get(id).unwrap_or_default()
    }

    pub(crate) fn token_type(&self, id: u32) -> Option<TokenType> {
        self.types.get(id as usize).copied()
    }
}

/// What the tokens of a vocabulary are found by.
pub(crate) trait Texts {
    /// The text of a token; empty beyond the vocabulary.
    fn bytes(&self, id: u32) -> &[u8];
}

impl Texts for Vocabulary {
    fn bytes(&self, id: u32) -> &[u8] {
        self.text(id).as_bytes()
    }
}

/// An index from text to id over some of a vocabulary's tokens; of equal texts the lowest id wins.
///
/// Open addressing over ids, so that no text is copied. The hash is keyed at random: a file cannot be
/// made whose tokens all collide.
pub(crate) struct PieceIndex {
    slots: Vec<Slot>,
    mask: usize,
    key: u64,
    /// Bytes at the front of every token that are not part of its key (the word marker of WordPiece).
    skip: usize,
    longest: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    /// The id plus one; 0 is empty.
    id: u32,
}

impl PieceIndex {
    /// Indexes `ids`, which must ascend, by their texts without the first `skip` bytes.
    pub(crate) fn new(vocabulary: &impl Texts, ids: impl Iterator<Item = u32>, skip: usize) -> PieceIndex {
        let ids: Vec<u32> = ids.collect();
        // At most half full, so that a search for a text that is not there stays short.
        let capacity = (ids.len() * 2).next_power_of_two().max(2);
        let mut index = PieceIndex {
            slots: vec![Slot { tag: 0, id: 0 }; capacity],
            mask: capacity - 1,
            key: RandomState::new().hash_one(0u8),
            skip,
            longest: 0,
        };
        for id in ids {
            let text = &vocabulary.bytes(id)[skip..];
            if text.is_empty() {
                continue;
            }
            let hash = index.hash(text);
            if let Err(free) = index.find(vocabulary, text, hash) {
                index.slots[free] = Slot { tag: (hash >> 32) as u32, id: id + 1 };
                index.longest = index.longest.max(text.len());
            }
        }
        index
    }

    /// The id of a text.
    pub(crate) fn get(&self, vocabulary: &impl Texts, text: &[u8]) -> Option<u32> {
        if text.len() > self.longest {
            return None;
        }
        self.find(vocabulary, text, self.hash(text)).ok()
    }

    /// Length in bytes of the longest text.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The id, or the free slot where the text would go.
    fn find(&self, vocabulary: &impl Texts, text: &[u8], hash: u64) -> Result<u32, usize> {
        let mut at = hash as usize & self.mask;
        loop {
            let slot = self.slots[at];
            if slot.id == 0 {
                return Err(at);
            }
            if slot.tag == (hash >> 32) as u32 && &vocabulary.bytes(slot.id - 1)[self.skip..] == text {
                return Ok(slot.id - 1);
            }
            at = (at + 1) & self.mask;
        }
    }

    fn hash(&self, text: &[u8]) -> u64 {
        hash(self.key, text)
    }
}

/// Folded multiplication of 8-byte words, as wyhash and its kin do it: a few cycles for a short text.
pub(crate) fn hash(key: u64, text: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = key ^ text.len() as u64;
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        state = fold(state ^ u64::from_le_bytes(word.try_into().unwrap_or_default()), key | 1);
    }
    let mut tail = [0u8; 8];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    fold(fold(state ^ u64::from_le_bytes(tail), key | 1), ODD)
}

pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ (wide >> 64) as u64
}
