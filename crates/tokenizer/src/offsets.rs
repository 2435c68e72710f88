//! Where ids come from: the bytes of the text, followed through normalisation, for those who ask.
//!
//! Every algorithm is written once, over a [`Sink`]. Into [`Ids`] go ids alone: its [`Origins`] are `()`, which keeps
//! nothing, so that the compiler leaves the following out.

use std::ops::Range;

/// Where an id of a sink comes from.
pub(crate) type Place<S> = <<S as Sink>::Origins as Origins>::Place;

/// What takes the ids of a text, in order.
pub(crate) trait Sink {
    /// What it wants kept of a normalised text.
    type Origins: Origins;
    /// Takes an id. `from`, the bytes of the text that it comes from, is asked for where somebody wants it.
    fn push(&mut self, id: u32, from: impl FnOnce() -> Place<Self>);
    /// The last id comes from there, too.
    fn widen_last(&mut self, with: Place<Self>);
    /// The ids so far.
    fn ids(&self) -> &[u32];
    /// Takes back all but the first `count` ids.
    fn truncate(&mut self, count: usize);
    /// Whether nobody wants more: then algorithms may end between words, whose ids do not depend on what follows.
    fn is_full(&self) -> bool;
}

/// Ids alone.
pub(crate) struct Ids {
    pub(crate) ids: Vec<u32>,
    /// So many are wanted.
    pub(crate) enough: usize,
}

impl Sink for Ids {
    type Origins = ();

    fn push(&mut self, id: u32, _: impl FnOnce()) {
        self.ids.push(id);
    }

    fn widen_last(&mut self, (): ()) {}

    fn ids(&self) -> &[u32] {
        &self.ids
    }

    fn truncate(&mut self, count: usize) {
        self.ids.truncate(count);
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= self.enough
    }
}

/// Ids, and the bytes that each comes from.
#[derive(Default)]
pub(crate) struct WithOffsets {
    pub(crate) ids: Vec<u32>,
    pub(crate) offsets: Vec<Range<usize>>,
}

impl Sink for WithOffsets {
    type Origins = Table;

    fn push(&mut self, id: u32, from: impl FnOnce() -> Range<usize>) {
        self.ids.push(id);
        self.offsets.push(from());
    }

    fn widen_last(&mut self, with: Range<usize>) {
        if let Some(last) = self.offsets.last_mut() {
            Table::join(last, with);
        }
    }

    fn ids(&self) -> &[u32] {
        &self.ids
    }

    fn truncate(&mut self, count: usize) {
        self.ids.truncate(count);
        self.offsets.truncate(count);
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// Where the bytes of a normalised text come from. Ranges are of the text that was given, between its characters.
pub(crate) trait Origins: Default {
    /// What is known of where something comes from: a range, or nothing.
    type Place: Clone;
    /// Those bytes of the given text.
    fn place(from: Range<usize>) -> Self::Place;
    /// Both, and what lies between.
    fn join(place: &mut Self::Place, with: Self::Place);

    fn clear(&mut self);
    /// The next `bytes` bytes of the normalised text come from there.
    fn push(&mut self, bytes: usize, from: Self::Place);
    /// What a part of the normalised text comes from: all that its bytes do, and what lies between.
    fn of(&self, part: Range<usize>) -> Self::Place;

    /// A text that is as it was given, from byte `base` on.
    fn push_unchanged(&mut self, text: &str, base: usize);
    /// A part that another normalised text has, too.
    fn push_part(&mut self, other: &Self, part: Range<usize>);
}

impl Origins for () {
    type Place = ();

    fn place(_: Range<usize>) {}
    fn join((): &mut (), (): ()) {}
    fn clear(&mut self) {}
    fn push(&mut self, _: usize, (): ()) {}
    fn of(&self, _: Range<usize>) {}
    fn push_unchanged(&mut self, _: &str, _: usize) {}
    fn push_part(&mut self, _: &(), _: Range<usize>) {}
}

/// An entry for every byte.
#[derive(Default)]
pub(crate) struct Table(Vec<Range<usize>>);

impl Origins for Table {
    type Place = Range<usize>;

    fn place(from: Range<usize>) -> Range<usize> {
        from
    }

    fn join(place: &mut Range<usize>, with: Range<usize>) {
        *place = place.start.min(with.start)..place.end.max(with.end);
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn push(&mut self, bytes: usize, from: Range<usize>) {
        self.0.extend(std::iter::repeat_n(from, bytes));
    }

    fn of(&self, part: Range<usize>) -> Range<usize> {
        let entries = self.0.get(part).unwrap_or_default();
        // Canonical ordering moves characters, so that the first and the last byte need not tell.
        let start = entries.iter().map(|from| from.start).min().unwrap_or_default();
        let end = entries.iter().map(|from| from.end).max().unwrap_or_default();
        start..end
    }

    fn push_unchanged(&mut self, text: &str, base: usize) {
        for (at, c) in text.char_indices() {
            self.push(c.len_utf8(), base + at..base + at + c.len_utf8());
        }
    }

    fn push_part(&mut self, other: &Table, part: Range<usize>) {
        self.0.extend_from_slice(other.0.get(part).unwrap_or_default());
    }
}
