//! Lists keys and tensors of a model file: `cargo run -p connote-gguf --example list -- model.gguf`.

use std::io::{BufWriter, Write, stdout};

use connote_gguf::Gguf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("which file? give its path")?;
    let gguf = Gguf::open(path)?;
    let mut out = BufWriter::new(stdout().lock());
    for (key, value) in gguf.metadata().iter() {
        writeln!(out, "{key} ({}): {value}", value.value_type())?;
    }
    for tensor in gguf.tensors() {
        writeln!(out, "{tensor:?} at {:?}", tensor.file_range())?;
    }
    out.flush()?;
    Ok(())
}
