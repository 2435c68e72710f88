//! Bytes at hand: bodies that are read or worked on and answers on their way, within one bound.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a body or an answer that are not counted: queries are taken however much batch work is at hand.
const FREE: usize = 16 << 10;

/// What all requests hold together.
#[derive(Clone)]
pub(crate) struct Held {
    limit: usize,
    bytes: Arc<Mutex<usize>>,
}

/// What one request holds, until it is dropped.
pub(crate) struct Share {
    held: Held,
    bytes: usize,
}

fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE)
}

impl Held {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: Arc::default() }
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { held: self.clone(), bytes: 0 }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn bytes(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Whether a body of so many bytes would be taken now. One that finds nothing held always is, however large: otherwise it never
    /// could be.
    pub(crate) fn has_room(&self, body: usize) -> bool {
        self.fits(*self.held.bytes(), counted(body))
    }

    /// Makes it that of a body and of an answer of so many bytes, if there is room.
    #[must_use]
    pub(crate) fn grow(&mut self, body: usize, answer: usize) -> bool {
        let wanted = counted(body).saturating_add(counted(answer));
        let mut all = self.held.bytes();
        if !self.fits(*all, wanted) {
            return false;
        }
        *all = *all - self.bytes + wanted;
        drop(all);
        self.bytes = wanted;
        true
    }

    fn fits(&self, all: usize, wanted: usize) -> bool {
        let others = all - self.bytes;
        wanted <= self.bytes || others == 0 || others.saturating_add(wanted) <= self.held.limit
    }

    /// Makes it `bytes` in all: they are there, room or not.
    pub(crate) fn set(&mut self, bytes: usize) {
        let now = counted(bytes);
        let mut all = self.held.bytes();
        *all = *all - self.bytes + now;
        drop(all);
        self.bytes = now;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.held.bytes() -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_the_bound_is_refused_unless_it_is_alone_or_small() {
        let held = Held::new(FREE);
        let (mut large, mut other) = (held.share(), held.share());
        assert!(large.has_room(5 * FREE) && large.grow(5 * FREE, 0), "alone, anything");
        assert!(large.grow(6 * FREE, FREE), "and more");
        assert!(other.has_room(FREE) && other.grow(FREE, FREE), "a query");
        assert!(!other.has_room(FREE + 1) && !other.grow(FREE + 1, 0) && !other.grow(0, FREE + 1));
        assert!(large.grow(FREE + FREE / 2, 0), "less");
        assert!(other.grow(FREE + FREE / 4, FREE + FREE / 4) && !other.grow(0, FREE + FREE / 2 + 1));
        other.set(9 * FREE);
        assert_eq!(*held.bytes(), 8 * FREE + FREE / 2);
        drop((large, other));
        assert_eq!(*held.bytes(), 0);
    }
}
