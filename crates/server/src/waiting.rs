//! Connections that wait for the head of a request: where descriptors run out, the one that waits longest makes room. Else
//! clients that send half a head, or nothing, would keep all others out until their time is up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::kept::Kept;

/// All that wait, by when they began to.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    /// How often one began to wait.
    begun: u64,
    waiting: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// One connection among them.
pub(crate) struct Connection {
    all: Waiting,
    /// Told when it is to end.
    end: Arc<Notify>,
    /// Its place while it waits.
    place: Mutex<Option<u64>>,
}

impl Waiting {
    /// One that waits for its first head.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        let connection = Connection { all: self.clone(), end: Arc::default(), place: Mutex::default() };
        connection.waits();
        Arc::new(connection)
    }

    /// Tells the one that waits longest to end, if it has waited for so long: who has just come is about to ask.
    pub(crate) fn end_oldest(&self, least: Duration) {
        let mut queue = self.queue();
        let Some(oldest) = queue.waiting.first_entry() else { return };
        if oldest.get().0.elapsed() >= least {
            oldest.remove().1.notify_one();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Ready when it is to make room.
    pub(crate) async fn ended(&self) {
        self.end.notified().await;
    }

    /// A head came: it is not ended before the guard is dropped.
    pub(crate) fn asks(self: &Arc<Self>) -> Asking {
        self.waits_no_more();
        Asking(self.clone())
    }

    fn waits(&self) {
        let mut queue = self.all.queue();
        queue.begun += 1;
        let place = queue.begun;
        queue.waiting.insert(place, (Instant::now(), self.end.clone()));
        *self.place() = Some(place);
    }

    fn waits_no_more(&self) {
        let mut queue = self.all.queue();
        if let Some(place) = self.place().take() {
            queue.waiting.remove(&place);
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.waits_no_more();
    }
}

/// Kept from the head of a request to the end of its answer.
pub(crate) struct Asking(Arc<Connection>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.waits();
    }
}

impl Kept for Asking {}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn is_ended(connection: &Connection) -> bool {
        let waker = std::task::Waker::noop();
        pin!(connection.ended()).poll(&mut Context::from_waker(waker)).is_ready()
    }

    #[test]
    fn the_one_that_waits_longest_ends_and_none_that_asked() {
        let all = Waiting::default();
        let [first, second, third] = [(); 3].map(|()| all.connection());
        let asking = first.asks();
        all.end_oldest(Duration::MAX);
        all.end_oldest(Duration::ZERO);
        assert_eq!([&first, &second, &third].map(|one| is_ended(one)), [false, true, false]);
        // Answered, it waits behind those that waited before.
        drop(asking);
        let fourth = all.connection();
        all.end_oldest(Duration::ZERO);
        all.end_oldest(Duration::ZERO);
        assert_eq!([&first, &third, &fourth].map(|one| is_ended(one)), [true, true, false]);
        drop(fourth);
        all.end_oldest(Duration::ZERO);
        assert!(all.queue().waiting.is_empty());
    }
}
