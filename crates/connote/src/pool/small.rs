//! Calls of one micro-batch that wait, and what is known of them without walking them: there may be many thousands, and each that
//! comes asks.

use std::sync::Arc;
use std::time::Instant;

use super::call::Call;
use crate::schedule::Priority;

/// In the order in which they came, each with when.
#[derive(Default)]
pub(crate) struct SmallCalls {
    calls: Vec<(Arc<Call>, Instant)>,
    tokens: usize,
    interactive: usize,
}

impl SmallCalls {
    pub(crate) fn push(&mut self, call: Arc<Call>) {
        self.tokens += call.tokens;
        self.interactive += usize::from(call.priority == Priority::Interactive);
        self.calls.push((call, Instant::now()));
    }

    pub(crate) fn remove(&mut self, index: usize) -> (Arc<Call>, Instant) {
        let (call, since) = self.calls.remove(index);
        self.forget(&call);
        (call, since)
    }

    /// Takes out all that `takes` says, asked of each in order.
    pub(crate) fn take(&mut self, mut takes: impl FnMut(&Call) -> bool) -> Vec<Arc<Call>> {
        let taken: Vec<_> =
            self.calls.extract_if(.., |(call, _)| takes(call)).map(|(call, _)| call).collect();
        taken.iter().for_each(|call| self.forget(call));
        taken
    }

    fn forget(&mut self, call: &Call) {
        self.tokens -= call.tokens;
        self.interactive -= usize::from(call.priority == Priority::Interactive);
    }

    pub(crate) fn get(&self, index: usize) -> &(Arc<Call>, Instant) {
        &self.calls[index]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.calls.iter().map(|(call, _)| call)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Tokens of all.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether any is interactive.
    pub(crate) fn has_interactive(&self) -> bool {
        self.interactive > 0
    }
}
