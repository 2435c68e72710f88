//! Byte-pair merging: joining neighbours, best pair first, until no pair is a token.
//!
//! The order is the one of the merge list that Hugging Face derives from a SentencePiece vocabulary: by the
//! score of the result (high first), then by the characters of the left part and of the right part (many
//! first), then by id, then from left to right. The list itself (515,000 pairs for Gemma) is not needed: a
//! pair can be merged if and only if its text is a token. A heap makes it O(n log n).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::merge_index::{MergeIndex, Token};
use crate::vocabulary::Vocabulary;

const NONE: u32 = u32::MAX;

/// A stretch of text that is one token so far.
struct Symbol {
    /// Bytes of the text; empty once it was merged into its left neighbour.
    start: u32,
    end: u32,
    chars: u32,
    previous: u32,
    next: u32,
    id: u32,
}

/// A pair that could be merged, packed so that the least one comes first: rank of the result (32 bits), 65,535
/// less the characters of the left and of the right part (16 bits each), id of the result, place of the left part.
type Candidate = u128;

/// What merging works in, kept from one stretch of text to the next.
#[derive(Default)]
pub(crate) struct Merger {
    symbols: Vec<Symbol>,
    heap: BinaryHeap<Reverse<Candidate>>,
}

/// 65,535 less the characters of a part; 0 where they are more.
fn shortness(chars: u32) -> u16 {
    u16::MAX - chars.min(u32::from(u16::MAX)) as u16
}

/// The tokens that merging may make, and their order.
pub(crate) struct MergeTable<'a> {
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) index: &'a MergeIndex,
    /// Tokens that it does not make.
    pub(crate) withheld: &'a [u32],
}

impl Merger {
    /// Most characters of one stretch: places and offsets have 32 bits, a character at most 4 bytes.
    pub(crate) const LONGEST: usize = 1 << 29;

    /// Merges `text`, at most [`Merger::LONGEST`] characters, and hands over what it becomes: ids, or none for a
    /// character that is no token, and the bytes of `text` that they stand for.
    pub(crate) fn merge(
        &mut self,
        table: &MergeTable<'_>,
        text: &str,
        mut take: impl FnMut(Option<u32>, Range<usize>),
    ) {
        self.symbols.clear();
        self.heap.clear();
        let bytes = text.as_bytes();
        for (place, (start, c)) in text.char_indices().enumerate() {
            let end = start + c.len_utf8();
            let id = table.index.get(table.vocabulary, &bytes[start..end]).map_or(NONE, |token| token.id);
            let place = place as u32;
            self.symbols.push(Symbol {
                start: start as u32,
                end: end as u32,
                chars: 1,
                previous: if place == 0 { NONE } else { place - 1 },
                next: place + 1,
                id,
            });
        }
        let Some(last) = self.symbols.last_mut() else { return };
        last.next = NONE;
        for left in 0..self.symbols.len() as u32 - 1 {
            self.consider(table, bytes, left);
        }
        while let Some(Reverse(candidate)) = self.heap.pop() {
            self.apply(table, bytes, candidate);
        }
        let mut place = 0;
        while place != NONE {
            let symbol = &self.symbols[place as usize];
            take(Some(symbol.id).filter(|&id| id != NONE), symbol.start as usize..symbol.end as usize);
            place = symbol.next;
        }
    }

    /// Puts the pair that begins at `left` on the heap if its text is a token.
    fn consider(&mut self, table: &MergeTable<'_>, bytes: &[u8], left: u32) {
        let first = &self.symbols[left as usize];
        let Some(second) = self.symbols.get(first.next as usize) else { return };
        // Both parts must be tokens: what was split into bytes merges with nothing.
        if first.id == NONE || second.id == NONE {
            return;
        }
        let text = &bytes[first.start as usize..second.end as usize];
        let Some(Token { id, rank }) = table.index.get(table.vocabulary, text) else { return };
        if table.withheld.contains(&id) {
            return;
        }
        self.heap.push(Reverse(
            u128::from(rank) << 96
                | u128::from(shortness(first.chars)) << 80
                | u128::from(shortness(second.chars)) << 64
                | u128::from(id) << 32
                | u128::from(left),
        ));
    }

    /// Merges the pair, unless one of its parts was merged elsewhere meanwhile.
    fn apply(&mut self, table: &MergeTable<'_>, bytes: &[u8], candidate: Candidate) {
        let (left, id) = (candidate as u32, (candidate >> 32) as u32);
        let first = &self.symbols[left as usize];
        let Some(second) = self.symbols.get(first.next as usize) else { return };
        // The parts only grow, so that the pair still has the text of `id` exactly when neither has. Beyond what the candidate
        // can say of them, the length of the text does.
        let grown = (candidate >> 80) as u16 != shortness(first.chars)
            || (candidate >> 64) as u16 != shortness(second.chars);
        let is_long = first.chars.max(second.chars) >= u32::from(u16::MAX);
        let length = (second.end - first.start) as usize;
        let other = is_long && length != table.vocabulary.text(id).len();
        if first.start == first.end || grown || other {
            return;
        }
        let (right, end, chars, next) = (first.next, second.end, first.chars + second.chars, second.next);
        let second = &mut self.symbols[right as usize];
        second.end = second.start;
        let first = &mut self.symbols[left as usize];
        (first.end, first.chars, first.next, first.id) = (end, chars, next, id);
        let previous = first.previous;
        if let Some(after) = self.symbols.get_mut(next as usize) {
            after.previous = left;
        }
        if previous != NONE {
            self.consider(table, bytes, previous);
        }
        self.consider(table, bytes, left);
    }
}
