//! Spearman on STS 2015 with one model file, beside the reference stack's figures in testdata/golden/README.md.
//!
//!     cargo run --release -p connote --example sts -- MODEL [--pooling P]

use connote::{Embedder, cosine_similarity};
use testkit::{golden, oracle};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, pooling) = match arguments.as_slice() {
        [path] => (path, None),
        [path, flag, pooling] if flag == "--pooling" => (path, Some(pooling.parse()?)),
        _ => return Err("usage: sts MODEL [--pooling mean|cls|last]".into()),
    };
    let mut builder = Embedder::builder();
    if let Some(pooling) = pooling {
        builder = builder.pooling(pooling);
    }
    let embedder = builder.open(path)?;
    for part in golden::STS_PARTS {
        let pairs = golden::sts(part);
        let texts = pairs.iter().flat_map(|pair| [pair.first.as_str(), pair.second.as_str()]);
        let embeddings = embedder.embed(texts)?;
        let likeness =
            |pair: &[connote::Embedding]| f64::from(cosine_similarity(&pair[0].vector, &pair[1].vector));
        let likenesses: Vec<f64> = embeddings.chunks_exact(2).map(likeness).collect();
        let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
        println!("{part:17} {:.5}", oracle::spearman(&likenesses, &scores));
    }
    Ok(())
}
