//! The library in ten lines.
//!
//!     cargo run --release -p connote --example ten_lines

use connote::{Embedder, cosine_similarity};

fn main() -> Result<(), connote::Error> {
    let embedder = Embedder::open("models/all-MiniLM-L6-v2-Q8_0.gguf")?;
    let query = embedder.embed_one("how do plants eat")?;
    for text in ["photosynthesis turns light into sugar", "cats sleep a lot"] {
        let text_vector = embedder.embed_one(text)?.vector;
        println!("{:+.4}  {text}", cosine_similarity(&query.vector, &text_vector));
    }
    Ok(())
}
