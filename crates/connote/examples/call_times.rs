//! How long calls take without Python, for `scripts/python/measure.py MODEL overhead=CALL_TIMES`:  call_times MODEL
//!
//! Reads lines of two numbers, how many texts (up to 96) and how many calls with them, and answers each line with the
//! microseconds of its calls in one line, so that whoever asks can take turns with it.

use std::io::{BufRead, Write};
use std::time::Instant;

use connote::Embedder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: call_times MODEL");
        std::process::exit(2);
    };
    let embedder = Embedder::open(path)?;
    let all: Vec<String> =
        (0..96).map(|number| format!("query number {number} about gardening and garlic planting")).collect();
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (texts, calls) = line.split_once(' ').ok_or("two numbers a line: texts and calls")?;
        let texts = all.get(..texts.parse()?).ok_or("there are 96 texts")?;
        for _ in 0..calls.parse::<usize>()? {
            let begin = Instant::now();
            embedder.embed(texts)?;
            write!(output, "{:.1} ", begin.elapsed().as_secs_f64() * 1e6)?;
        }
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}
