//! Ids of many texts, for comparison with another tokenizer (scripts/tokenizer_oracle.py).
//!
//! `oracle_ids MODEL.gguf speed TEXT`: how many MB of the file's paragraphs are encoded in a second, on one thread.
//! `oracle_ids MODEL.gguf [plain]`: from stdin records of a little-endian u32 length and that many bytes of UTF-8;
//! to stdout records of a u32 count and that many u32 ids, without prefix and suffix, each with the two u32 ends of its
//! bytes in the text. It stops if the ids are others when nobody asks for the bytes.

use std::error::Error;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::time::Instant;

use connote_tokenizer::{SpecialTokens, Tokenizer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: oracle_ids MODEL.gguf [plain]")?;
    let mode = arguments.next();
    let special = match mode.as_deref() {
        Some("speed") => return speed(&model, &arguments.next().ok_or("which text?")?),
        None => SpecialTokens::Parse,
        Some("plain") => SpecialTokens::PlainText,
        Some(other) => {
            return Err(format!("unknown argument {other:?}; `plain` and `speed` are known").into());
        }
    };
    let file = gguf::Gguf::open(model.as_str())?;
    let tokenizer = Tokenizer::from_metadata(file.metadata())?;
    let (mut input, mut output) = (BufReader::new(io::stdin().lock()), BufWriter::new(io::stdout().lock()));
    loop {
        let mut length = [0u8; 4];
        match input.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            other => other?,
        }
        let mut text = Vec::new();
        input.by_ref().take(u32::from_le_bytes(length).into()).read_to_end(&mut text)?;
        let text = std::str::from_utf8(&text)?;
        let (ids, offsets) = tokenizer.encode_with_offsets(text, special);
        if ids != tokenizer.encode(text, special) {
            return Err(format!("other ids with offsets: {text:?}").into());
        }
        output.write_all(&(ids.len() as u32).to_le_bytes())?;
        for (id, bytes) in ids.iter().zip(offsets) {
            for number in [*id, bytes.start as u32, bytes.end as u32] {
                output.write_all(&number.to_le_bytes())?;
            }
        }
    }
    output.flush()?;
    Ok(())
}

fn speed(model: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let file = gguf::Gguf::open(model)?;
    let tokenizer = Tokenizer::from_metadata(file.metadata())?;
    let loaded = begin.elapsed();
    let text = std::fs::read_to_string(text)?;
    let texts: Vec<&str> = text.split("\n\n").filter(|text| !text.is_empty()).collect();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let best = (0..5).map(|_| {
        let begin = Instant::now();
        for text in &texts {
            std::hint::black_box(tokenizer.encode(text, SpecialTokens::Parse));
        }
        begin.elapsed()
    });
    let best = best.min().unwrap_or_default();
    let speed = bytes as f64 / 1e6 / best.as_secs_f64();
    println!("{} {speed:.1} MB/s, loaded in {} ms", tokenizer.kind(), loaded.as_millis());
    Ok(())
}
