//! A model ready to run, with scratch for each worker: no queue, no clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use encoder::{Batch, Encoder, Readout, Workspace};
use threads::Team;

use crate::plan::{MOST_TOKENS, plan};
use crate::tuning::{Choice, Chooser, Work};

/// Workers whose scratch [`Engine::reserve`] makes: on a large machine not all may ever work at once.
const MOST_RESERVED: usize = 9;
/// Tokens of a text that it makes room for: longer ones are rare.
const MOST_RESERVED_TOKENS: usize = 2048;

/// The network, shared by all workers, and what each of them borrows.
pub(crate) struct Engine {
    /// One copy of the weights, or one a NUMA node.
    encoders: Arc<[Encoder]>,
    /// What is made of a sequence's rows.
    pub(crate) readout: Readout,
    pub(crate) chooser: Arc<Chooser>,
    /// CPUs it may keep busy.
    pub(crate) cpus: usize,
    workers: Arc<Workers>,
}

/// What workers on one network have, whatever is made of its rows.
struct Workers {
    /// CPUs that they keep busy; the pool counts.
    busy: AtomicUsize,
    /// Scratch that nobody uses, by node: it stays where it was written first.
    workspaces: Vec<Mutex<Vec<Workspace>>>,
    /// How much of it [`Engine::reserve`] has made.
    reserved: AtomicUsize,
}

impl Engine {
    /// `encoders` has at least one; workers run on so many nodes.
    pub(crate) fn new(
        encoders: impl Into<Arc<[Encoder]>>,
        readout: impl Into<Readout>,
        chooser: impl Into<Arc<Chooser>>,
        cpus: usize,
        nodes: usize,
    ) -> Self {
        let (encoders, chooser) = (encoders.into(), chooser.into());
        assert!(!encoders.is_empty(), "an engine needs a network");
        let workers = Workers {
            busy: AtomicUsize::new(0),
            workspaces: (0..nodes.max(1)).map(|_| Mutex::default()).collect(),
            reserved: AtomicUsize::new(0),
        };
        Self { encoders, readout: readout.into(), chooser, cpus, workers: Arc::new(workers) }
    }

    /// The same network, read out another way; weights, scratch and what was learnt of their speed are shared.
    pub(crate) fn with_readout(&self, readout: Readout) -> Self {
        Self {
            encoders: self.encoders.clone(),
            readout,
            chooser: self.chooser.clone(),
            cpus: self.cpus,
            workers: self.workers.clone(),
        }
    }

    /// The network, for what does not compute on one node in particular.
    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoders[0]
    }

    /// Values of a row.
    pub(crate) fn width(&self) -> usize {
        self.encoder().width(self.readout)
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
        let rows = encoder.forward_while(team, &batch, self.readout, &mut workspace, go_on);
        self.keep(workspace, node, batch.tokens());
        let rows = rows?;
        let mut rest = rows.as_slice();
        let width = encoder.width(self.readout);
        let one = |sequence: std::ops::Range<usize>| {
            let (own, others) = rest.split_at(self.readout.rows(sequence.len()) * width);
            rest = others;
            own.to_vec()
        };
        Some(batch.sequences().map(one).collect())
    }

    /// Keeps the scratch of a batch of so many tokens for the next.
    fn keep(&self, workspace: Workspace, node: usize, tokens: usize) {
        // What grew for a text that is longer than most is given back, or memory would stay at what the longest took.
        if tokens > self.chooser.most_tokens().max(MOST_RESERVED_TOKENS) {
            return;
        }
        let mut workspaces = self.workspaces(node);
        // One a CPU (more where more are asked for), and one for work that overtakes; all that were reserved in any case, or memory
        // would be given back and taken again.
        let reserved = self.workers.reserved.load(Ordering::Relaxed);
        if workspaces.len() < reserved.max(self.cpus.max(self.busy()) + 1) {
            workspaces.push(workspace);
        }
    }

    /// Makes the scratch of the workers as large as texts of up to `longest` tokens will ever have it, by computing a layer of
    /// them: otherwise memory grows until every worker has met a long text.
    pub(crate) fn reserve(&self, longest: usize) {
        if self.workers.workspaces.len() > 1 {
            // It would lie on the node of this thread, where it was written first.
            return;
        }
        let (encoder, team) = (self.encoder(), Team::new(self.cpus));
        let longest = longest.clamp(1, MOST_RESERVED_TOKENS);
        let ids = vec![0; longest];
        let batch: Batch = (0..MOST_TOKENS.div_ceil(longest)).map(|_| ids.as_slice()).collect();
        // Every worker may have been overtaken, and hold the scratch of both.
        let count = self.cpus.saturating_mul(2).min(MOST_RESERVED);
        self.workers.reserved.store(count, Ordering::Relaxed);
        let mut ready = Vec::with_capacity(count);
        for _ in 0..count {
            let kept = self.workspaces(0).pop();
            let mut workspace = kept.unwrap_or_else(|| Workspace::with_room(encoder.config(), MOST_TOKENS));
            let mut halves = 0;
            let mut one_layer = || {
                halves += 1;
                halves <= 2
            };
            encoder.forward_while(&team, &batch, self.readout, &mut workspace, &mut one_layer);
            ready.push(workspace);
        }
        self.workspaces(0).extend(ready);
    }

    /// How a call of sequences with these lengths would be computed: the choice, and its micro-batches.
    pub(crate) fn plan(&self, lengths: &[usize]) -> (Choice, Vec<Vec<usize>>) {
        let most = self.chooser.most_tokens();
        let choice = self.chooser.peek(&Work::of(lengths).within(most));
        let batches = plan(lengths, choice.shape.workers, most);
        (choice, batches)
    }

    /// Multiply-adds of one token in half a layer, on the average.
    pub(crate) fn macs_of_half_a_layer(&self) -> u64 {
        let encoder = self.encoder();
        encoder.macs_a_token() / (2 * encoder.config().layers.len().max(1) as u64)
    }

    /// CPUs that the pool has given it.
    pub(crate) fn busy(&self) -> usize {
        self.workers.busy.load(Ordering::Relaxed)
    }

    pub(crate) fn occupy(&self, cpus: usize) {
        self.workers.busy.fetch_add(cpus, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, cpus: usize) {
        self.workers.busy.fetch_sub(cpus, Ordering::Relaxed);
    }

    /// Scratch that nobody uses.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.workspaces(0).len()
    }

    fn workspaces(&self, node: usize) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        let by_node = &self.workers.workspaces;
        by_node[node % by_node.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
