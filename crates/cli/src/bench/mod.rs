//! `connote bench`: what this machine does, beside what it could do.
//!
//! Figures are of a machine that others may use at the same time, so each is given twice: the best of many rounds
//! is what the hardware can do, the median what it did. Fractions of a peak divide a best by a best. Benchmarks of
//! the worker pool compare: their contenders take turns, and ratios are medians over the turns, with their intervals.

mod args;
mod attention;
mod cancellation;
mod cancellation_report;
mod chart;
mod chart_axis;
mod chart_panels;
mod cpu_time;
mod kernels;
mod kernels_report;
mod machine;
mod matrix;
mod model;
mod model_facts;
mod model_report;
mod peaks;
mod priority;
mod priority_report;
mod products;
mod progress;
mod race;
mod row_functions;
mod search;
mod serial_parallel;
mod shares;
mod statistics;
mod strategies;
mod strategies_report;
mod subject;
mod table;
mod texts;
mod timing;
mod tradeoff;
mod ways;
mod workers;
mod workloads;

pub(crate) use args::BenchCommand;
pub(crate) use machine::Machine;
pub(crate) use model_facts::ModelFacts;
pub(crate) use peaks::measure_layout;
pub(crate) use table::{facts, figures, number};
pub(crate) use timing::{Bounds, try_seconds};

use crate::failure::{Failure, Outcome};

pub(crate) fn run(command: &BenchCommand) -> Result<Outcome, Failure> {
    match command {
        BenchCommand::Kernels(args) => kernels::run(args),
        BenchCommand::Model(args) => model::run(args),
        BenchCommand::Workers(args) => workers::run(args),
        BenchCommand::Tradeoff(args) => tradeoff::run(args),
        BenchCommand::Strategies(args) => strategies::run(args),
        BenchCommand::SerialVsParallel(args) => serial_parallel::run(args),
        BenchCommand::Cancellation(args) => cancellation::run(args),
        BenchCommand::Priority(args) => priority::run(args),
        BenchCommand::Search(args) => search::run(args),
    }
}
