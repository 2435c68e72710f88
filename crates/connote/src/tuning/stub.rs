//! Until the policies come.
use super::{Policy, Shape, Tuning};
use std::sync::Mutex;
pub(crate) struct Work {
    pub(crate) texts: usize,
    pub(crate) tokens: usize,
}
impl Work {
    pub(crate) fn of(lengths: &[usize]) -> Self {
        Self { texts: lengths.len(), tokens: lengths.iter().sum() }
    }
}
/// A choice.
pub struct Choice {
    /// The shape.
    pub shape: Shape,
    /// Why.
    pub reason: String,
}
pub(crate) struct CostModel;
impl CostModel {
    pub(crate) fn unmeasured(_: usize, _: u64) -> Self {
        Self
    }
}
pub(crate) struct Chooser {
    cpus: usize,
    tuning: Mutex<Tuning>,
}
impl Chooser {
    pub(crate) fn new(cpus: usize, tuning: Tuning, _: CostModel) -> Self {
        Self { cpus, tuning: Mutex::new(tuning) }
    }
    pub(crate) fn choose(&self, work: &Work) -> Choice {
        let shape = match self.tuning().policy {
            Policy::Fixed(shape) => Shape::new(shape.workers.min(work.texts), shape.threads),
            _ if work.tokens < 128 => Shape::new(1, self.cpus),
            _ => {
                let w = self.cpus.min(work.texts).max(1);
                Shape::new(w, self.cpus / w)
            }
        };
        Choice { shape, reason: String::new() }
    }
    pub(crate) fn observe(&self, _: &Work, _: Shape, _: f64) {}
    pub(crate) fn tuning(&self) -> Tuning {
        *self.tuning.lock().unwrap()
    }
    pub(crate) fn set_tuning(&self, tuning: Tuning) {
        *self.tuning.lock().unwrap() = tuning;
    }
    pub(crate) fn most_tokens(&self) -> usize {
        512
    }
}
