//! Millions of weights that each decoder gives a second, on one core:
//! `cargo run --release -p connote-kernels --example decode_speed`
//!
//! A million weights at a time, so that reading the blocks and writing the values goes through the caches as it
//! does when a model is loaded. The best of 30 rounds: other work on the machine only makes rounds slower.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use connote_kernels::decode::{DECODABLE, decoder};

fn main() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decode");
    for &ty in DECODABLE {
        let decode = decoder(ty).expect("listed types have decoders");
        let path = fixtures.join(format!("{}.blocks", ty.name().to_lowercase()));
        let fixture = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let weights = 1 << 20;
        let wanted = weights / ty.block_elements() * ty.block_bytes();
        let blocks: Vec<u8> = fixture.iter().copied().cycle().take(wanted).collect();
        let mut out = vec![0.0; weights];
        let round = |_| {
            let start = Instant::now();
            decode(black_box(&blocks), &mut out);
            black_box(&mut out);
            start.elapsed()
        };
        let best = (0..30).map(round).min().unwrap_or(Duration::MAX);
        println!("{:8}{:6.0} M weights/s", ty.name(), weights as f64 / best.as_secs_f64() / 1e6);
    }
}
