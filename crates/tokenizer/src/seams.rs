//! Where a text can be cut before merging without changing the result.
//!
//! No merge reaches over two neighbouring characters that stand side by side in no token, so the text on
//! either side of them is merged independently. This turns a book into words, without knowing what a word is.

use crate::sentencepiece::SPACE;
use crate::vocabulary::Vocabulary;

/// The pairs of characters that stand side by side in some token; a set that may also claim others.
pub(crate) struct Seams {
    bits: Vec<u64>,
}

/// 2^20 bits, 128 KB: Gemma's 262,144 tokens hold some 60,000 pairs, so that 1 seam in 17 is overlooked.
const BITS: u32 = 20;

/// Pairs of frequent characters have bits of their own, 2 KB, which are read together: most texts have no others.
const FREQUENT: u32 = 7;

impl Seams {
    pub(crate) fn new(vocabulary: &Vocabulary, ids: impl Iterator<Item = u32>) -> Seams {
        let mut seams = Seams { bits: vec![0; (1 << (BITS - 6)) + (1 << (2 * FREQUENT - 6))] };
        for id in ids {
            let mut chars = vocabulary.text(id).chars();
            let Some(mut left) = chars.next() else { continue };
            for right in chars {
                let (word, bit) = place(left, right);
                seams.bits[word] |= bit;
                left = right;
            }
        }
        seams
    }

    /// Whether the text may be cut between the two characters.
    pub(crate) fn between(&self, left: char, right: char) -> bool {
        let (word, bit) = place(left, right);
        self.bits[word] & bit == 0
    }
}

fn place(left: char, right: char) -> (usize, u64) {
    if let (Some(left), Some(right)) = (frequent(left), frequent(right)) {
        let pair = left << FREQUENT | right;
        return ((1 << (BITS - 6)) + (pair >> 6) as usize, 1 << (pair & 63));
    }
    let pair = u64::from(u32::from(left)) << 21 | u64::from(u32::from(right));
    let hash = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// The place of a character among the frequent ones: ASCII, and what stands for a space, which has the one of delete.
fn frequent(character: char) -> Option<u32> {
    match character {
        SPACE => Some(0x7f),
        c => Some(u32::from(c)).filter(|&code| code < 1 << FREQUENT),
    }
}
