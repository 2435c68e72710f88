//! What every model must do, whatever its authors say of it.

use connote::{
    Embedder, Embedding, ErrorKind, Input, Options, Policy, Request, Shape, SpecialTokens, Truncation, Tuning,
};

use super::Check;
use crate::failure::Failure;

/// Texts of many kinds and lengths.
const TEXTS: [&str; 14] = [
    "hello world",
    "The quick brown fox jumps over the lazy dog.",
    "Wie pflanzt man Tomaten? Überall, wo die Sonne scheint.",
    "数据库索引如何工作",
    "Как работает фотосинтез?",
    "fn main() { println!(\"{}\", 1 + 1); }",
    "SELECT id, name FROM users WHERE age > 30 ORDER BY name;",
    "👩‍🚀🚀 emoji, ﬁ ligatures, a\u{301} combining accent, ½",
    "   leading, trailing and  double   spaces   ",
    "tab\tand\nnew line\r\nand more",
    "0123456789 3.14159 1e-10 0xff",
    "a",
    "https://example.org/path?query=value&other=%20",
    "Nearly every text that people index is longer than a line: it has sentences, and they have clauses; it goes on for a \
     while, repeats itself, repeats itself, and comes to an end at last.",
];

/// All checks that need no reference. `open` gives the model once more, from its file.
pub(super) fn all(
    embedder: &Embedder,
    open: impl FnOnce() -> Result<Embedder, Failure>,
) -> Result<Vec<Check>, Failure> {
    const FINITE: &str = "every vector is finite and not zero";
    let vectors = match embedder.embed(TEXTS) {
        Ok(vectors) => vectors,
        // The engine hands none out; without vectors there is nothing else to check.
        Err(error) if error.kind() == ErrorKind::BadVector => {
            return Ok(vec![Check::of(FINITE, Err(error.to_string()))]);
        }
        Err(error) => return Err(error.into()),
    };
    let mut checks = vec![
        Check::of(FINITE, Ok(format!("{} vectors of {} values", vectors.len(), vectors[0].vector.len()))),
        Check::of("vectors have length 1", unit(&vectors)),
        Check::of("the same bits alone and in any batch", alone_and_together(embedder, &vectors)?),
        shapes(embedder, &vectors)?,
        Check::of("the same bits a second time", again(embedder, &vectors)?),
    ];
    checks.push(round_trip(embedder));
    checks.push(Check::of("long texts are cut where it is told, or refused", long(embedder)?));
    checks.push(Check::of("an empty text is embedded or refused", empty(embedder)));
    let second = open()?;
    let fingerprints = [embedder.fingerprint(&Options::new())?, second.fingerprint(&Options::new())?];
    let same = same("opened a second time", &vectors, &second.embed(TEXTS)?).and_then(|_| {
        match fingerprints[0] == fingerprints[1] {
            true => Ok(format!("{} twice", fingerprints[0])),
            false => Err(format!("fingerprints {} and {}", fingerprints[0], fingerprints[1])),
        }
    });
    checks.push(Check::of("opened again it is the same model", same));
    Ok(checks)
}

fn unit(vectors: &[Embedding]) -> Result<String, String> {
    let off = |one: &Embedding| {
        let square: f64 = one.vector.iter().map(|value| f64::from(*value).powi(2)).sum();
        (square.sqrt() - 1.0).abs()
    };
    let worst = vectors.iter().map(off).fold(0.0, f64::max);
    let seen = format!("at most {worst:.1e} away");
    if worst < 1e-5 { Ok(seen) } else { Err(seen) }
}

/// Whether two runs gave the same bits.
fn same(what: &str, wanted: &[Embedding], got: &[Embedding]) -> Result<String, String> {
    let bits = |one: &Embedding| one.vector.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    match wanted.iter().zip(got).position(|(wanted, got)| bits(wanted) != bits(got)) {
        None if wanted.len() == got.len() => Ok(what.to_owned()),
        None => Err(format!("{what}: {} vectors instead of {}", got.len(), wanted.len())),
        Some(index) => Err(format!("{what}: other bits for {:?}", TEXTS[index])),
    }
}

fn alone_and_together(embedder: &Embedder, vectors: &[Embedding]) -> Result<Result<String, String>, Failure> {
    let alone = TEXTS.iter().map(|text| embedder.embed_one(*text)).collect::<Result<Vec<_>, _>>()?;
    let mut reversed = embedder.embed(TEXTS.iter().rev().copied())?;
    reversed.reverse();
    // Among others, as many as make several micro-batches.
    let many = TEXTS.iter().copied().cycle().take(8 * TEXTS.len()).enumerate();
    let many: Vec<String> = many
        .map(|(index, text)| if index < TEXTS.len() { text.to_owned() } else { format!("{index} {text}") })
        .collect();
    let crowd = embedder.embed(many)?;
    Ok(same("alone", vectors, &alone)
        .and_then(|_| same("in reverse order", vectors, &reversed))
        .and_then(|_| same("among others", vectors, &crowd[..TEXTS.len()]))
        .map(|_| format!("alone, in reverse order, among {} others", crowd.len() - TEXTS.len())))
}

fn shapes(embedder: &Embedder, vectors: &[Embedding]) -> Result<Check, Failure> {
    const NAME: &str = "the same bits for any workers and threads";
    let usual = embedder.tuning();
    let cpus = embedder.threads();
    if cpus == 1 {
        return Ok(Check::skipped(NAME, "only one thread may be used here"));
    }
    let shapes = [Shape::new(1, 1), Shape::new(cpus, 1), Shape::new(1, cpus)];
    let mut result = Ok(String::new());
    for shape in shapes {
        embedder.set_tuning(Tuning::new().policy(Policy::Fixed(shape)));
        let got = embedder.embed(TEXTS);
        embedder.set_tuning(usual);
        result = result.and(same(&shape.to_string(), vectors, &got?));
    }
    Ok(Check::of(NAME, result.map(|_| shapes.map(|shape| shape.to_string()).join(", "))))
}

fn again(embedder: &Embedder, vectors: &[Embedding]) -> Result<Result<String, String>, Failure> {
    Ok(same("once more", vectors, &embedder.embed(TEXTS)?))
}

/// Ids that are written as text and read again are the same ids, where no text was lost on the way.
fn round_trip(embedder: &Embedder) -> Check {
    const NAME: &str = "token ids survive being text";
    let tokenizer = embedder.model().tokenizer();
    let (mut kept, mut lost) = (0, 0);
    for text in TEXTS {
        let ids = tokenizer.encode(text, SpecialTokens::PlainText);
        // What the vocabulary has no token for cannot come back.
        if tokenizer.unk().is_some_and(|unknown| ids.contains(&unknown)) {
            lost += 1;
            continue;
        }
        if tokenizer.encode(&tokenizer.decode(&ids), SpecialTokens::PlainText) != ids {
            return Check::of(NAME, Err(format!("not those of {text:?}")));
        }
        kept += 1;
    }
    match (kept, lost) {
        (0, _) => Check::skipped(NAME, "the vocabulary has none of the texts"),
        (_, 0) => Check::of(NAME, Ok(format!("{kept} texts"))),
        _ => Check::of(NAME, Ok(format!("{kept} texts; {lost} have words that the vocabulary lacks"))),
    }
}

fn long(embedder: &Embedder) -> Result<Result<String, String>, Failure> {
    /// A text of a model's whole context could take minutes.
    const MOST: usize = 512;
    let limit = embedder.model().limit(&Options::new());
    let (options, asked) = (Options::new().max_tokens(limit.min(MOST)), limit.min(MOST));
    let text = "word ".repeat(limit + 10);
    let cut = embedder.embed(Request::new([text.as_str()]).with(options))?.remove(0);
    let refused = embedder
        .embed(Request::new([text.as_str()]).with(Options::new().truncation(Truncation::Error)))
        .map_err(|error| error.kind());
    Ok(match refused {
        _ if cut.tokens != asked || !cut.truncated => {
            Err(format!("{} tokens of {asked}, told: {}", cut.tokens, cut.truncated))
        }
        Err(ErrorKind::TooLong) => Ok(format!("cut to {asked} tokens, refused past {limit}")),
        Err(other) => Err(format!("refused as {}", other.name())),
        Ok(_) => Err("a text that is too long was not refused".to_owned()),
    })
}

fn empty(embedder: &Embedder) -> Result<String, String> {
    match embedder.embed_one(Input::new("")) {
        Ok(one) => Ok(format!("{} special tokens", one.tokens)),
        Err(error) if error.kind() == ErrorKind::NoTokens => Ok("refused".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
