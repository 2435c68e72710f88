//! A model ready to run, with scratch for each worker: no queue, no clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use encoder::{Batch, Encoder, Pooling, Workspace};
use threads::Team;

use crate::plan::{MOST_TOKENS, plan};
use crate::tuning::{Choice, Chooser, Work};

/// The network, shared by all workers, and what each of them borrows.
pub(crate) struct Engine {
    /// One copy of the weights, or one a NUMA node.
    encoders: Arc<[Encoder]>,
    pub(crate) pooling: Pooling,
    pub(crate) chooser: Arc<Chooser>,
    /// CPUs it may keep busy.
    pub(crate) cpus: usize,
    /// CPUs it keeps busy; the pool counts.
    busy: AtomicUsize,
    /// Scratch that nobody uses, by node: it stays where it was written first.
    workspaces: Vec<Mutex<Vec<Workspace>>>,
}

impl Engine {
    /// `encoders` has at least one; workers run on so many nodes.
    pub(crate) fn new(
        encoders: impl Into<Arc<[Encoder]>>,
        pooling: Pooling,
        chooser: impl Into<Arc<Chooser>>,
        cpus: usize,
        nodes: usize,
    ) -> Self {
        let (encoders, chooser) = (encoders.into(), chooser.into());
        assert!(!encoders.is_empty(), "an engine needs a network");
        let workspaces = (0..nodes.max(1)).map(|_| Mutex::default()).collect();
        Self { encoders, pooling, chooser, cpus, busy: AtomicUsize::new(0), workspaces }
    }

    /// The same network, pooled another way; weights and what was learnt of their speed are shared.
    pub(crate) fn with_pooling(&self, pooling: Pooling) -> Self {
        Self::new(self.encoders.clone(), pooling, self.chooser.clone(), self.cpus, self.workspaces.len())
    }

    /// The network, for what does not compute on one node in particular.
    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoders[0]
    }

    /// Copies of the weights.
    pub(crate) fn copies(&self) -> usize {
        self.encoders.len()
    }

    /// The rows of each sequence, computed on the team by the copy of `node`; `None` once `go_on` says no.
    ///
    /// # Panics
    /// If the network does. Scratch is dropped then.
    pub(crate) fn run<'a>(
        &self,
        node: usize,
        team: &Team,
        sequences: impl IntoIterator<Item = &'a [u32]>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<Vec<Vec<f32>>> {
        let batch: Batch = sequences.into_iter().collect();
        let encoder = &self.encoders[node % self.encoders.len()];
        let kept = self.workspaces(node).pop();
        let mut workspace = kept.unwrap_or_else(|| Workspace::with_room(encoder.config(), MOST_TOKENS));
        let rows = encoder.forward_while(team, &batch, self.pooling, &mut workspace, go_on);
        let mut workspaces = self.workspaces(node);
        // As many as are in use at once: one a CPU (more where more are asked for), and one for work that overtakes.
        if workspaces.len() <= self.cpus.max(self.busy()) {
            workspaces.push(workspace);
        }
        drop(workspaces);
        let rows = rows?;
        let mut rest = rows.as_slice();
        let one = |sequence: std::ops::Range<usize>| {
            let (own, others) = rest.split_at(self.pooling.rows(sequence.len()) * encoder.output_dim());
            rest = others;
            own.to_vec()
        };
        Some(batch.sequences().map(one).collect())
    }

    /// How a call of sequences with these lengths would be computed: the choice, and its micro-batches.
    pub(crate) fn plan(&self, lengths: &[usize]) -> (Choice, Vec<Vec<usize>>) {
        let most = self.chooser.most_tokens();
        let choice = self.chooser.peek(&Work::of(lengths).within(most));
        let batches = plan(lengths, choice.shape.workers, most);
        (choice, batches)
    }

    /// CPUs that the pool has given it.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    pub(crate) fn occupy(&self, cpus: usize) {
        self.busy.fetch_add(cpus, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, cpus: usize) {
        self.busy.fetch_sub(cpus, Ordering::Relaxed);
    }

    fn workspaces(&self, node: usize) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        self.workspaces[node % self.workspaces.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
