//! Sequences packed one after the other, without padding.

use std::ops::Range;

/// Token ids of several sequences, back to back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    ids: Vec<u32>,
    /// Where each sequence ends.
    ends: Vec<usize>,
}

impl Batch {
    /// Adds a sequence.
    ///
    /// # Panics
    /// If it is empty: there would be no row to pool.
    pub fn push(&mut self, ids: &[u32]) {
        assert!(!ids.is_empty(), "a sequence needs at least one token");
        self.ids.extend_from_slice(ids);
        self.ends.push(self.ids.len());
    }

    /// How many sequences.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many tokens, over all sequences.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// All ids, in order.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Where each sequence lies among the ids.
    pub fn sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter().copied()).map(|(start, end)| start..end)
    }
}

impl<'a> FromIterator<&'a [u32]> for Batch {
    fn from_iter<I: IntoIterator<Item = &'a [u32]>>(sequences: I) -> Self {
        let mut batch = Self::default();
        for ids in sequences {
            batch.push(ids);
        }
        batch
    }
}
