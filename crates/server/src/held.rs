//! Bytes at hand: bodies that are read or worked on and answers on their way, within one bound.

use std::future::pending;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{self, Notify, OwnedMutexGuard};

/// Bytes of a body or an answer that are not counted: queries are taken however much batch work is at hand.
const FREE: usize = 16 << 10;

/// What all requests hold together.
#[derive(Clone)]
pub(crate) struct Held(Arc<Inner>);

struct Inner {
    limit: usize,
    bytes: Mutex<usize>,
    /// Told when there is less.
    freed: Notify,
    turn: Arc<sync::Mutex<()>>,
}

/// The one that may go on where there is no room for any.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// What one request holds, or a part of one that is streamed, until it is dropped.
pub(crate) struct Share {
    held: Held,
    /// Bytes of all shares of the request; they change with those of all requests.
    request: Arc<AtomicUsize>,
    bytes: usize,
    place: Place,
}

/// What a share is to the others of its request.
#[derive(Clone, Copy)]
enum Place {
    Any,
    /// The others wait for it to be written: what they hold is not in its way.
    First,
    /// It takes what room there is, for others wait to be written before it.
    Behind,
}

fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE)
}

impl Held {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit, bytes: Mutex::default(), freed: Notify::new(), turn: Arc::default() }))
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { held: self.clone(), request: Arc::default(), bytes: 0, place: Place::Any }
    }

    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    fn bytes(&self) -> MutexGuard<'_, usize> {
        self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Another of the same request.
    pub(crate) fn sibling(&self) -> Self {
        Self { held: self.held.clone(), request: self.request.clone(), bytes: 0, place: Place::Any }
    }

    /// Another of the same request, whose shares end in one order. What is done behind the first never keeps it from its room.
    pub(crate) fn in_order(&self, is_first: bool) -> Self {
        let mut share = self.sibling();
        share.place = if is_first { Place::First } else { Place::Behind };
        share
    }

    /// Whether a body of so many bytes would be taken now. One that finds nothing held by others always is, however large:
    /// otherwise it never could be.
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
        self.count(&mut all, wanted);
        drop(all);
        self.changed(wanted);
        true
    }

    /// Makes it `bytes` in all as soon as there is room, or there is no other but the first of its request: so each stream goes
    /// on, if with one window at a time.
    pub(crate) async fn grow_soon(&mut self, bytes: usize) {
        let held = self.held.clone();
        loop {
            let freed = held.0.freed.notified();
            if Arc::strong_count(&self.request) <= 2 {
                return self.set(bytes);
            }
            if self.grow(bytes, 0) {
                return;
            }
            freed.await;
        }
    }

    /// Waits until it has room for so many bytes; or, where it asks for it, for the turn to go on without.
    pub(crate) async fn room(&self, bytes: usize, or_turn: bool) -> Option<Turn> {
        let held = &self.held.0;
        let turn = async {
            match or_turn {
                true => held.turn.clone().lock_owned().await,
                false => pending().await,
            }
        };
        let mut turn = pin!(turn);
        loop {
            let freed = held.freed.notified();
            if self.has_room(bytes) {
                return None;
            }
            tokio::select! {
                turn = &mut turn => return Some(turn),
                () = freed => {}
            }
        }
    }

    fn fits(&self, all: usize, wanted: usize) -> bool {
        let others = all - self.request.load(Ordering::Relaxed);
        let rest = all - self.bytes;
        let limit = self.held.0.limit;
        let is_room = match self.place {
            Place::Any => others == 0 || rest.saturating_add(wanted) <= limit,
            Place::First => others == 0 || others.saturating_add(wanted) <= limit,
            Place::Behind => rest.saturating_add(wanted) <= limit,
        };
        wanted <= self.bytes || is_room
    }

    /// Makes it `bytes` in all: they are there, room or not.
    pub(crate) fn set(&mut self, bytes: usize) {
        let now = counted(bytes);
        if now != self.bytes {
            self.count(&mut self.held.bytes(), now);
            self.changed(now);
        }
    }

    /// Counts it as if it were that of `bytes`.
    fn count(&self, all: &mut usize, bytes: usize) {
        *all = *all - self.bytes + bytes;
        // Under the lock of `all`.
        self.request.store(self.request.load(Ordering::Relaxed) - self.bytes + bytes, Ordering::Relaxed);
    }

    fn changed(&mut self, bytes: usize) {
        let is_less = bytes < mem::replace(&mut self.bytes, bytes);
        if is_less {
            self.held.0.freed.notify_waiters();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.count(&mut self.held.bytes(), 0);
        // It is none of its request's any more when the others look.
        drop(mem::take(&mut self.request));
        self.held.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_behind_the_first_is_never_in_its_way() {
        let held = Held::new(10 * FREE);
        let mut other = held.share();
        let batch = held.share();
        assert!(other.grow(6 * FREE, 0));
        let (mut first, mut behind) = (batch.in_order(true), batch.in_order(false));
        assert!(!first.grow(9 * FREE, 0), "others are here");
        assert!(behind.grow(5 * FREE, 0), "what is left");
        drop(other);
        assert!(first.grow(9 * FREE, 0), "only its own are here");
        assert!(!batch.in_order(false).grow(2 * FREE, 0), "no more behind it than there is room for");
        assert!(!held.share().grow(2 * FREE, 0), "what they hold is counted");
    }

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

    #[tokio::test]
    async fn a_stream_waits_for_room_and_always_has_one_window() {
        let held = Held::new(2 * FREE);
        let mut other = held.share();
        assert!(other.grow(3 * FREE, 0));
        let lines = held.share();
        let (mut first, mut second) = (lines.sibling(), lines.sibling());
        drop(second);
        first.grow_soon(10 * FREE).await;
        second = lines.sibling();
        {
            let mut waits = pin!(second.grow_soon(FREE + 1));
            assert!(soon(&mut waits).await.is_none(), "there is no room");
            drop(first);
            assert!(soon(&mut waits).await.is_some(), "it is the only one");
        }
        // Nor is there for another while there are others; alone it may be anything.
        let mut third = lines.sibling();
        let mut waits = pin!(third.grow_soon(20 * FREE));
        assert!(soon(&mut waits).await.is_none());
        drop(other);
        assert!(soon(&mut waits).await.is_some());
    }

    #[tokio::test]
    async fn where_there_is_no_room_one_at_a_time_goes_on() {
        let held = Held::new(FREE);
        let mut other = held.share();
        assert!(other.grow(3 * FREE, 0));
        let halves = [held.share(), held.share(), held.share()];
        let turn = halves[0].room(9 * FREE, true).await.expect("there is no room, and nobody has the turn");
        let mut second = Box::pin(halves[1].room(9 * FREE, true));
        let mut third = Box::pin(halves[2].room(9 * FREE, false));
        assert!(soon(&mut second).await.is_none() && soon(&mut third).await.is_none());
        drop(turn);
        let turn = soon(&mut second).await.expect("its turn").expect("still no room");
        assert!(soon(&mut third).await.is_none(), "it did not ask for it");
        drop((turn, other));
        assert!(soon(&mut third).await.expect("there is room").is_none());
    }

    /// What comes of it, if it is ready.
    async fn soon<F: Future + Unpin>(work: &mut F) -> Option<F::Output> {
        tokio::time::timeout(std::time::Duration::from_millis(20), work).await.ok()
    }
}
