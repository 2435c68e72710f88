//! Byte-pair merging by a list of merges: the pair of the lowest rank first, then the leftmost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};

use crate::offsets::Origins;

const NONE: u32 = u32::MAX;

/// The merges of a model: which pairs of tokens become which, and in which order.
///
/// Open addressing, keyed at random: a file cannot be made whose pairs all collide.
pub(crate) struct MergeRanks {
    slots: Vec<Slot>,
    mask: usize,
    key: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    left: u32,
    right: u32,
    rank: u32,
    result: u32,
}

const FREE: Slot = Slot { left: NONE, right: NONE, rank: NONE, result: NONE };

impl MergeRanks {
    /// From `(left, right, result)` in the order of their ranks; of equal pairs the last counts, as it does to the
    /// authors.
    pub(crate) fn new(merges: &[(u32, u32, u32)]) -> MergeRanks {
        // At most half full, so that a search for a pair that is not there stays short.
        let capacity = (merges.len() * 2).next_power_of_two().max(2);
        let mut ranks = MergeRanks {
            slots: vec![FREE; capacity],
            mask: capacity - 1,
            key: RandomState::new().hash_one(0u8) | 1,
        };
        for (&(left, right, result), rank) in merges.iter().zip(0..) {
            let at = ranks.place(left, right);
            ranks.slots[at] = Slot { left, right, rank, result };
        }
        ranks
    }

    /// Where the pair is, or would go.
    fn place(&self, left: u32, right: u32) -> usize {
        // The middle of the product: its ends, which `vocabulary::fold` takes, put neighbours beside each other, and
        // encoding is a fifth slower.
        let wide = u128::from(u64::from(left) << 32 | u64::from(right)) * u128::from(self.key);
        let mut at = ((wide >> 32) as u64 ^ (wide >> 64) as u64) as usize & self.mask;
        loop {
            let slot = &self.slots[at];
            if slot.result == NONE || (slot.left, slot.right) == (left, right) {
                return at;
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Rank and result of a pair.
    fn get(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let slot = &self.slots[self.place(left, right)];
        (slot.result != NONE).then_some((slot.rank, slot.result))
    }
}

/// A token of the piece; `next` is its own place once it was merged into its left neighbour.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    previous: u32,
    next: u32,
}

/// What merging works in, kept from one piece to the next.
#[derive(Default)]
pub(crate) struct PairMerger {
    symbols: Vec<Symbol>,
    /// Rank in the high half, place of the left part in the low one: the least comes first. The third number is the
    /// result, which tells whether the pair is still the one that was meant.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

impl PairMerger {
    /// Most tokens that go in at once: places have 32 bits.
    pub(crate) const LONGEST: usize = 1 << 29;

    /// Merges tokens, at most [`PairMerger::LONGEST`], and hands over what they become. Beside a token stands where it comes
    /// from; `places` is scratch for that.
    pub(crate) fn merge<O: Origins>(
        &mut self,
        ranks: &MergeRanks,
        tokens: impl Iterator<Item = (u32, O::Place)>,
        places: &mut O,
        mut take: impl FnMut(u32, O::Place),
    ) {
        places.clear();
        self.symbols.clear();
        self.heap.clear();
        self.symbols.extend(tokens.zip(0u32..).map(|((id, from), place)| {
            places.push(1, from);
            Symbol { id, previous: place.wrapping_sub(1), next: place + 1 }
        }));
        let Some(last) = self.symbols.last_mut() else { return };
        last.next = NONE;
        for left in 0..self.symbols.len() as u32 - 1 {
            self.consider(ranks, left);
        }
        while let Some(Reverse((order, result))) = self.heap.pop() {
            self.apply(ranks, order as u32, result);
        }
        let mut place = 0;
        while let Some(symbol) = self.symbols.get(place as usize) {
            let end = (symbol.next as usize).min(self.symbols.len());
            take(symbol.id, places.of(place as usize..end));
            place = symbol.next;
        }
    }

    /// Puts the pair that begins at `left` on the heap if it can be merged.
    fn consider(&mut self, ranks: &MergeRanks, left: u32) {
        let first = self.symbols[left as usize];
        let Some(second) = self.symbols.get(first.next as usize) else { return };
        if let Some((rank, result)) = ranks.get(first.id, second.id) {
            self.heap.push(Reverse((u64::from(rank) << 32 | u64::from(left), result)));
        }
    }

    /// Merges the pair at `left`, unless one of its parts was merged elsewhere meanwhile.
    fn apply(&mut self, ranks: &MergeRanks, left: u32, result: u32) {
        let first = self.symbols[left as usize];
        let Some(&second) = self.symbols.get(first.next as usize) else { return };
        // Other parts with the same result will do: so it is in the authors' tokenizer.
        if first.next == left || ranks.get(first.id, second.id).is_none_or(|(_, now)| now != result) {
            return;
        }
        let right = first.next;
        self.symbols[right as usize].next = right;
        self.symbols[left as usize] = Symbol { id: result, next: second.next, ..first };
        if let Some(after) = self.symbols.get_mut(second.next as usize) {
            after.previous = left;
        }
        if first.previous != NONE {
            self.consider(ranks, first.previous);
        }
        self.consider(ranks, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(merges: &[(u32, u32, u32)], ids: &[u32]) -> Vec<u32> {
        let mut out = Vec::new();
        PairMerger::default().merge(
            &MergeRanks::new(merges),
            ids.iter().map(|&id| (id, ())),
            &mut (),
            |id, _| out.push(id),
        );
        out
    }

    #[test]
    fn lowest_rank_then_leftmost() {
        let merges = [(1, 2, 10), (0, 1, 11), (11, 2, 12), (10, 10, 13), (0, 0, 14)];
        assert_eq!(merged(&merges, &[0, 1, 2]), [0, 10]);
        assert_eq!(merged(&merges, &[0, 1, 1, 2, 1, 2]), [11, 13]);
        assert_eq!(merged(&merges, &[0, 0, 0, 0, 0]), [14, 14, 0]);
        assert_eq!(merged(&merges, &[0]), [0]);
        assert_eq!(merged(&merges, &[]), []);
        assert_eq!(merged(&[], &[5, 6]), [5, 6]);
    }

    #[test]
    fn the_last_of_equal_pairs() {
        // Rank 2 instead of 0: (1, 2) goes first.
        assert_eq!(merged(&[(0, 1, 9), (1, 2, 8), (0, 1, 9)], &[0, 1, 2]), [0, 8]);
    }
}
