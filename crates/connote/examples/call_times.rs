//! How long calls take without Python, beside `scripts/python/measure.py MODEL overhead`:  call_times MODEL

use std::time::Instant;

use connote::Embedder;

fn main() -> Result<(), connote::Error> {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: call_times MODEL");
        std::process::exit(2);
    };
    let embedder = Embedder::open(path)?;
    let texts: Vec<String> =
        (0..96).map(|number| format!("query number {number} about gardening and garlic planting")).collect();
    embedder.embed(&texts)?;
    times("96 texts:", 12, || embedder.embed(&texts).map(drop))?;
    times("1 text:  ", 200, || embedder.embed(["garlic"]).map(drop))
}

fn times(
    what: &str,
    rounds: usize,
    work: impl Fn() -> Result<(), connote::Error>,
) -> Result<(), connote::Error> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        work()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{what} best {:.3} ms, median {:.3} ms", times[0], times[rounds / 2]);
    Ok(())
}
