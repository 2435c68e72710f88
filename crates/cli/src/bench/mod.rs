//! `connote bench`: what this machine does, beside what it could do.
//!
//! Figures are of a machine that others may use at the same time, so each is given twice: the best of many rounds
//! is what the hardware can do, the median what it did. Fractions of a peak divide a best by a best.

mod args;
mod attention;
mod kernels;
mod kernels_report;
mod machine;
mod memory;
mod model;
mod model_report;
mod peaks;
mod products;
mod progress;
mod row_functions;
mod shares;
mod table;
mod timing;
mod workloads;

pub(crate) use args::BenchCommand;

use crate::failure::{Failure, Outcome};

pub(crate) fn run(command: &BenchCommand) -> Result<Outcome, Failure> {
    match command {
        BenchCommand::Kernels(args) => kernels::run(args),
        BenchCommand::Model(args) => model::run(args),
    }
}
