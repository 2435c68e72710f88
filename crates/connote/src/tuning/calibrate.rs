//! Measuring a machine and model: single passes, on each number of threads and beside each other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use encoder::{Batch, Encoder, Readout, Workspace};
use threads::Team;

use super::CostModel;
use super::cost::TOKENS;

/// Rounds over all measurements, if the time suffices: the least of each counts, since what disturbs a pass only ever
/// makes it longer.
const ROUNDS: usize = 4;

/// A measurement shorter than this is repeated within its round.
const ENOUGH: Duration = Duration::from_millis(4);

/// A pass longer than this needs no other before it to warm up.
const LONG_ENOUGH: Duration = Duration::from_millis(40);

/// Tokens of a text in most measurements; attention is measured on longer ones.
const USUAL: usize = 64;

/// Tokens of the texts that tell what attention costs.
const LONG: usize = 256;

/// Passes to time: on each of `workers` workers one, of `texts` texts of `length` tokens, on `threads` threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) workers: usize,
    pub(crate) threads: usize,
    pub(crate) texts: usize,
    pub(crate) length: usize,
}

/// Where in the cost model a measurement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone(usize, usize),
    Beside(usize, usize),
    Split(usize, usize),
    Short,
    Long,
}

/// Measures forward passes of the encoder for at most `time`, and calls `progress` with the share of the work that is
/// done. What there was no time for is scaled from what is usual.
pub(crate) fn calibrate(
    encoder: &Encoder,
    readout: Readout,
    cpus: usize,
    time: Duration,
    progress: &mut dyn FnMut(f64),
) -> CostModel {
    let (begin, cpus) = (Instant::now(), cpus.max(1));
    let mut bench = Bench { encoder, readout, teams: Vec::new(), workspace: Workspace::new(), pace: 0.0 };
    let usual = CostModel::unmeasured(cpus, encoder.macs_a_token(), encoder.config().layers.len());
    let model = measure(usual, encoder.config().context_length, &mut |probe, share| {
        let passed = begin.elapsed().as_secs_f64() / time.as_secs_f64().max(1e-9);
        progress(share.max(passed).min(1.0));
        let left = time.checked_sub(begin.elapsed())?;
        bench.seconds(probe, left)
    });
    progress(1.0);
    model
}

/// Fills a cost model with what `probe` measures: seconds of the passes, or `None` when there is no time for more.
/// It is told the share of the work that is done.
pub(crate) fn measure(
    mut model: CostModel,
    context: usize,
    probe: &mut dyn FnMut(Probe, f64) -> Option<f64>,
) -> CostModel {
    let (usual, long) = (USUAL.min(context.max(1)), LONG.min(context.max(1)));
    let mut probes = probes(&model.counts, usual, long);
    // The quick ones first: they are the most, and the least is lost if there is no time for the others.
    probes.sort_by_key(|(_, probe)| probe.texts * probe.length);
    let mut least: Vec<Option<f64>> = vec![None; probes.len()];
    let all = (ROUNDS * probes.len()) as f64;
    'rounds: for round in 0..ROUNDS {
        for (at, &(_, wanted)) in probes.iter().enumerate() {
            let Some(seconds) = probe(wanted, (round * probes.len() + at) as f64 / all) else {
                break 'rounds;
            };
            if seconds.is_finite() && seconds > 0.0 {
                least[at] = Some(least[at].map_or(seconds, |least| least.min(seconds)));
            }
        }
    }
    calm(&probes, &mut least);
    let found = |place: Place| {
        probes.iter().zip(&least).find(|((own, _), _)| *own == place).and_then(|(_, least)| *least)
    };
    fill(&mut model, &found);
    model.length = usual;
    let pairs = |is_long| {
        let (probe, place) = attention(usual, long, is_long);
        Some(((probe.texts * probe.length * probe.length) as f64, found(place)?))
    };
    if let (Some((few, short)), Some((many, long))) = (pairs(false), pairs(true)) {
        model.pair = ((long - short) / (many - few)).max(0.0);
    }
    model.measured = least.iter().any(Option::is_some);
    model
}

/// Fewer tokens do not take longer: where they seem to, something disturbed the measurement.
fn calm(probes: &[(Place, Probe)], least: &mut [Option<f64>]) {
    for at in 0..probes.len() {
        let own = probes[at].1;
        let more = |probe: &Probe| {
            (probe.workers, probe.threads) == (own.workers, own.threads)
                && probe.texts * probe.length >= own.texts * own.length
                && probe.length >= own.length
        };
        let bound = probes
            .iter()
            .zip(least.iter())
            .filter(|((_, probe), _)| more(probe))
            .filter_map(|(_, least)| *least);
        let bound = bound.fold(f64::INFINITY, f64::min);
        least[at] = least[at].map(|seconds| seconds.min(bound));
    }
}

/// Everything to measure on these numbers of threads.
fn probes(counts: &[usize], usual: usize, long: usize) -> Vec<(Place, Probe)> {
    let mut probes = Vec::new();
    let cpus = counts.last().copied().unwrap_or(1);
    for (row, &count) in counts.iter().enumerate() {
        for (column, tokens) in TOKENS.into_iter().enumerate() {
            let length = usual.min(tokens);
            let of = |workers, threads| Probe { workers, threads, texts: tokens / length, length };
            probes.push((Place::Alone(row, column), of(1, count)));
            if count > 1 {
                probes.push((Place::Beside(row, column), of(count, 1)));
            }
            if count > 1 && count < cpus {
                probes.push((Place::Split(row, column), of(count, cpus / count)));
            }
        }
    }
    if long > usual {
        for is_long in [false, true] {
            let (probe, place) = attention(usual, long, is_long);
            probes.push((place, probe));
        }
    }
    probes
}

/// As many tokens in one long text, or in usual ones: the difference is attention's.
fn attention(usual: usize, long: usize, is_long: bool) -> (Probe, Place) {
    let of = |texts, length| Probe { workers: 1, threads: 1, texts, length };
    let texts = (long / usual).max(1);
    if is_long { (of(1, texts * usual), Place::Long) } else { (of(texts, usual), Place::Short) }
}

/// Puts measurements into the grid. Where one is missing, what is usual is scaled as the measurement before it.
fn fill(model: &mut CostModel, found: &dyn Fn(Place) -> Option<f64>) {
    let mut first = 1.0;
    for row in 0..model.counts.len() {
        let (mut alone, mut beside) = (first, 1.0);
        for column in 0..TOKENS.len() {
            let usual = model.alone[row][column];
            alone = found(Place::Alone(row, column)).map_or(alone, |seconds| seconds / usual);
            model.alone[row][column] = usual * alone;
            if row == 0 && column == 0 {
                first = alone;
            }
            if row > 0 {
                let single = model.alone[0][column];
                let usual = model.beside[row][column];
                beside = found(Place::Beside(row, column))
                    .map_or(beside, |seconds| (seconds / single).max(1.0) / usual);
                model.beside[row][column] = (usual * beside).max(1.0);
            }
        }
    }
    // What the two tell of workers that share all CPUs, against what was measured of them.
    let cpus = model.counts.last().copied().unwrap_or(1);
    for row in 1..model.counts.len() {
        let told = model.curve(model.counts[row], cpus / model.counts[row]);
        let mut last = 1.0;
        for (column, (split, told)) in model.split[row].iter_mut().zip(told).enumerate() {
            last = found(Place::Split(row, column)).map_or(last, |seconds| seconds / told);
            *split = last;
        }
    }
}

/// The real thing: an encoder, and teams to run it on.
struct Bench<'a> {
    encoder: &'a Encoder,
    readout: Readout,
    teams: Vec<Team>,
    workspace: Workspace,
    /// Seconds a token in the last measurement; those that follow have as many tokens, or more.
    pace: f64,
}

impl Bench<'_> {
    /// Seconds of a pass; `None` if it would not end in `left`, or panics.
    fn seconds(&mut self, probe: Probe, left: Duration) -> Option<f64> {
        let tokens = (probe.texts * probe.length) as f64;
        if tokens * self.pace > left.as_secs_f64() {
            return None;
        }
        let batch = self.batch(probe);
        let measured = catch_unwind(AssertUnwindSafe(|| match probe.workers {
            1 => self.alone(probe.threads, &batch, left),
            workers => self.beside(workers, probe.threads, &batch, left),
        }));
        // What panics is not measured: the call that meets it has an error that says so.
        let seconds = measured.unwrap_or_else(|_| {
            self.workspace = Workspace::new();
            None
        })?;
        self.pace = seconds / tokens;
        Some(seconds)
    }

    fn batch(&self, probe: Probe) -> Batch {
        // Different tokens, as in a text, among the first of the vocabulary.
        let ids: Vec<u32> =
            (0..probe.length).map(|at| (at * 37 % self.encoder.vocabulary().clamp(1, 1000)) as u32).collect();
        (0..probe.texts).map(|_| ids.as_slice()).collect()
    }

    fn alone(&mut self, threads: usize, batch: &Batch, left: Duration) -> Option<f64> {
        if !self.teams.iter().any(|team| team.threads() == threads) {
            self.teams.push(Team::new(threads));
        }
        // If the system refuses so many threads, the largest team there is.
        let team = self.teams.iter().find(|team| team.threads() == threads).or(self.teams.last())?;
        let begin = Instant::now();
        let mut least = f64::INFINITY;
        // The first pass wakes the team and fills the caches: it should not be the only one, if it is short.
        let mut passes = 0;
        while passes < 2 || begin.elapsed() < ENOUGH {
            if passes > 0 && begin.elapsed() > left.min(LONG_ENOUGH) {
                break;
            }
            let pass = Instant::now();
            self.encoder.forward(team, batch, self.readout, &mut self.workspace);
            least = least.min(pass.elapsed().as_secs_f64());
            passes += 1;
        }
        Some(least)
    }

    /// Workers with some threads each, all at once.
    fn beside(&self, workers: usize, threads: usize, batch: &Batch, left: Duration) -> Option<f64> {
        // Made when it is known how many threads there are: the system may refuse some.
        let start: OnceLock<Barrier> = OnceLock::new();
        let work = || {
            let (team, mut workspace) = (Team::new(threads), Workspace::new());
            let mut pass = || {
                let begin = Instant::now();
                self.encoder.forward(&team, batch, self.readout, &mut workspace);
                begin.elapsed()
            };
            start.wait().wait();
            // Makes the workspace, if it is short; and tells how many passes are enough.
            let once = catch_unwind(AssertUnwindSafe(&mut pass));
            // Whatever comes of it: the others wait here.
            start.wait().wait();
            let once = once.unwrap_or_else(|panic| resume_unwind(panic));
            let passes = (ENOUGH.as_secs_f64() / once.as_secs_f64().max(1e-9)).ceil().clamp(1.0, 50.0) as u32;
            let mut all = once;
            if once < left.min(LONG_ENOUGH) {
                all = (0..passes).map(|_| pass()).sum::<Duration>() / passes;
            }
            all.as_secs_f64()
        };
        std::thread::scope(|scope| {
            let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..workers).map_while(spawn).collect();
            let count = others.len() + 1;
            let _ = start.set(Barrier::new(count));
            let own = work();
            let times = others.into_iter().map(|other| other.join().ok()).collect::<Option<Vec<f64>>>()?;
            Some((own + times.iter().sum::<f64>()) / count as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::tiny;

    fn usual(cpus: usize) -> CostModel {
        CostModel::unmeasured(cpus, 10_600_000, 6)
    }

    #[test]
    fn a_tiny_model_is_measured_and_ids_and_positions_stay_in_bounds() {
        for bytes in [tiny::bert(1), tiny::gemma(1, tiny::GemmaKind::WithHeads)] {
            let gguf = gguf::Gguf::from_bytes(bytes).expect("a valid file");
            let kernels = kernels::Kernels::of(kernels::Level::Scalar).expect("always there");
            let encoder = Encoder::load(&gguf, kernels, &Team::new(1)).expect("an encoder");
            let mut last = 0.0;
            let model =
                calibrate(&encoder, encoder::Pooling::Mean.into(), 2, Duration::from_secs(1), &mut |share| {
                    assert!((last..=1.0).contains(&share));
                    last = share;
                });
            assert_eq!(last, 1.0);
            assert!(model.is_measured() && model.is_sound(), "{model:?}");
        }
    }

    #[test]
    fn what_panics_is_not_measured_and_nobody_waits_for_it() {
        let gguf = gguf::Gguf::from_bytes(tiny::bert(1)).expect("a valid file");
        let kernels = kernels::Kernels::of(kernels::Level::Scalar).expect("always there");
        let encoder = Encoder::load(&gguf, kernels, &Team::new(1)).expect("an encoder");
        let bench = Bench {
            encoder: &encoder,
            readout: encoder::Pooling::Mean.into(),
            teams: Vec::new(),
            workspace: Workspace::new(),
            pace: 0.0,
        };
        // Not in the vocabulary.
        let bad: Batch = [&[1 << 30][..]].into_iter().collect();
        let beside = AssertUnwindSafe(|| bench.beside(3, 1, &bad, Duration::from_secs(1)));
        catch_unwind(beside).expect_err("all of them");
    }

    #[test]
    fn without_time_there_is_what_is_usual() {
        let model = measure(usual(4), 512, &mut |_, _| None);
        assert_eq!(model, usual(4));
    }

    #[test]
    fn a_disturbed_measurement_is_not_believed() {
        let disturbed = measure(usual(2), 512, &mut |probe, _| {
            let tokens = probe.texts * probe.length;
            Some(if tokens == 64 { 5.0 } else { tokens as f64 / 1000.0 })
        });
        assert_eq!(disturbed.alone[0], [0.004, 0.008, 0.016, 0.032, 0.128, 0.128, 0.512]);
        assert_eq!(disturbed.beside[1], [1.0; TOKENS.len()]);
    }

    #[test]
    fn what_was_not_measured_is_scaled() {
        // A machine that takes three times as long, with time for passes of up to 64 tokens.
        let model = measure(usual(4), 512, &mut |probe, _| {
            let usual = usual(4);
            let column = TOKENS.iter().position(|&tokens| tokens == probe.texts * probe.length)?;
            let row = |count| usual.counts.iter().position(|&own| own == count);
            let beside = usual.beside[row(probe.workers)?][column];
            let alone = usual.alone[row(probe.threads)?][column];
            (column < 5).then_some(3.0 * alone * beside)
        });
        for (own, usual) in model.alone.iter().flatten().zip(usual(4).alone.iter().flatten()) {
            assert!((own / usual - 3.0).abs() < 1e-9);
        }
        for (own, usual) in model.beside.iter().flatten().zip(usual(4).beside.iter().flatten()) {
            assert!((own / usual - 1.0).abs() < 1e-9);
        }
    }
}
