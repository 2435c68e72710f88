//! What is computed together: the sequences of one large call, or of several small ones.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::call::{Answer, Call};
use crate::engine::Engine;
use crate::plan::plan;
use crate::schedule::Priority;
use crate::tuning::{Policy, Shape, Work};

/// Calls of one engine and priority, their sequences without repetition.
pub(crate) struct Group {
    calls: Vec<Arc<Call>>,
    /// Whose answer each distinct sequence is: call and sequence. There is always a first.
    jobs: Vec<Vec<(usize, usize)>>,
    pub(crate) shape: Shape,
    /// Whether somebody said so, by number.
    pub(crate) by_number: bool,
    /// Whether the time it takes is for the choice to learn from: only what the adaptive policy has chosen itself.
    pub(crate) teaches: bool,
    pub(crate) work: Work,
}

impl Group {
    /// The calls as one, and its micro-batches, in this shape if one is given. `None` where nobody wants any of it any more.
    pub(crate) fn new(calls: Vec<Arc<Call>>, shape: Option<Shape>) -> Option<(Self, VecDeque<Vec<usize>>)> {
        let calls: Vec<Arc<Call>> = calls.into_iter().filter(|call| !call.is_over()).collect();
        let first = calls.first()?;
        let mut jobs: Vec<Vec<(usize, usize)>> = Vec::new();
        let mut known: HashMap<&[u32], usize> = HashMap::new();
        for (at, call) in calls.iter().enumerate() {
            for (sequence, ids) in call.sequences.iter().enumerate() {
                let job = *known.entry(ids).or_insert(jobs.len());
                if job == jobs.len() {
                    jobs.push(Vec::with_capacity(1));
                }
                jobs[job].push((at, sequence));
            }
        }
        drop(known);
        let lengths: Vec<usize> = jobs.iter().map(|job| calls[job[0].0].sequences[job[0].1].len()).collect();
        let chooser = &first.engine.chooser;
        let work = Work::of(&lengths).within(chooser.most_tokens());
        let policy = chooser.tuning().policy;
        // A shape can be written without `Shape::new`.
        let asked = first.schedule.shape.map(|shape| Shape::new(shape.workers, shape.threads));
        let given = asked.or(shape);
        // A fault in the choice must not cost the calls.
        let plan = AssertUnwindSafe(|| {
            let shape = given.unwrap_or_else(|| chooser.choose(&work).shape);
            (shape, plan(&lengths, shape.workers, work.most_tokens))
        });
        let (shape, batches) = catch_unwind(plan)
            .unwrap_or_else(|_| (Shape::new(1, 1), (0..lengths.len()).map(|job| vec![job]).collect()));
        let by_number = first.schedule.shape.is_some() || matches!(policy, Policy::Fixed(_));
        let teaches = given.is_none() && policy == Policy::Adaptive;
        Some((Self { calls, jobs, shape, by_number, teaches, work }, batches.into()))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.calls[0].engine
    }

    pub(crate) fn priority(&self) -> Priority {
        self.calls[0].priority
    }

    /// The earliest deadline of the calls that still wait.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.calls.iter().filter(|call| !call.is_over()).filter_map(|call| call.schedule.deadline).min()
    }

    pub(crate) fn has(&self, call: &Arc<Call>) -> bool {
        self.calls.iter().any(|own| Arc::ptr_eq(own, call))
    }

    /// The ids of a job.
    pub(crate) fn ids(&self, job: usize) -> &[u32] {
        let (call, sequence) = self.jobs[job][0];
        &self.calls[call].sequences[sequence]
    }

    /// A job begins.
    pub(crate) fn begin(&self, job: usize) {
        self.jobs[job].iter().for_each(|&(call, _)| self.calls[call].begin());
    }

    /// Whether somebody wants a job's answer.
    pub(crate) fn is_wanted(&self, job: usize) -> bool {
        self.jobs[job].iter().any(|&(call, _)| !self.calls[call].is_over())
    }

    /// Gives a job's answer to all that asked for it.
    pub(crate) fn answer(&self, job: usize, answer: Answer) {
        let Some((&(call, sequence), others)) = self.jobs[job].split_first() else { return };
        for &(call, sequence) in others {
            self.calls[call].answer(sequence, answer.clone());
        }
        self.calls[call].answer(sequence, answer);
    }
}
