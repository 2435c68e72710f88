//! Time and memory of one model file, on the workloads of the shared benchmark client, in this process.
//!
//!     cargo run --release -p connote --example speed -- MODEL [THREADS]

use std::time::Instant;

use connote::Embedder;

const SHORT: &str = "Machine learning is a subset of artificial intelligence";
const LONG: &str = "Machine learning is a field of study concerned with algorithms that improve from data. It includes \
supervised methods, where examples carry labels, and unsupervised methods, which look for structure without them. Deep \
networks learn layered representations of text, images and sound from raw input.";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: speed MODEL [THREADS]")?;
    let threads = arguments.next().map_or(Ok(0), |threads| threads.parse())?;
    let begin = Instant::now();
    let embedder = Embedder::builder().threads(threads).open(&path)?;
    println!("opened and packed in {:.2} s, {} threads", begin.elapsed().as_secs_f64(), embedder.threads());
    let numbered = |count: usize, text: &str| (0..count).map(|i| format!("{i} {text}")).collect::<Vec<_>>();
    let longer = format!("{LONG} ").repeat(8);
    for (name, texts, rounds) in [
        ("one short text", numbered(1, SHORT), 15),
        ("one long text", numbered(1, LONG), 9),
        ("one very long text", numbered(1, &longer), 3),
        ("96 short texts", numbered(96, SHORT), 3),
        ("96 long texts", numbered(96, LONG), 1),
        ("16 very long texts", numbered(16, &longer), 1),
    ] {
        let mut seconds = Vec::new();
        let mut tokens = 0;
        for _ in 0..rounds {
            let begin = Instant::now();
            let embeddings = embedder.embed(&texts)?;
            seconds.push(begin.elapsed().as_secs_f64());
            tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
        }
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        println!(
            "{name:19} {:9.1} ms  {tokens:6} tokens  {:7.0} tokens/s",
            median * 1e3,
            tokens as f64 / median
        );
    }
    println!("packed weights {} MB, {}", embedder.packed_bytes() / 1_000_000, resident());
    Ok(())
}

/// Resident memory now and at most, where the system says.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
