//! The model that was built in: no file is needed.
//!
//!     cargo run --release -p connote --features builtin --example builtin "a cat on the mat" "stock markets fell"
//!
//! `CONNOTE_BUILTIN_MODEL` names another model's file at build time.

use connote::{Embedder, cosine_similarity};

fn main() -> Result<(), connote::Error> {
    let embedder = Embedder::builtin()?;
    println!("{}, {} dimensions", embedder.model().name(), embedder.dimensions());
    let texts: Vec<String> = std::env::args().skip(1).collect();
    let embeddings = embedder.embed(texts.as_slice())?;
    for pair in embeddings.windows(2) {
        println!("{:+.4}  one text and the next", cosine_similarity(&pair[0].vector, &pair[1].vector));
    }
    Ok(())
}
