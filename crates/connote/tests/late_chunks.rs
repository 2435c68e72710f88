//! Rows and their tokens, and late chunking against an independent computation from them.
#![expect(clippy::single_range_in_vec_init, reason = "one chunk is a list of one range")]

use std::num::NonZeroUsize;
use std::ops::Range;

use connote::{
    CancellationToken, Chunks, Embedder, ErrorKind, Input, LateChunk, Model, Options, Pooling, Request,
    Split, Task, TokenSource, Truncation,
};
use testkit::edit::Edit;
use testkit::models;
use testkit::tiny::{self, GemmaKind, GemmaSize};

fn minilm() -> Embedder {
    Embedder::open(models::builtin()).expect("the committed model opens")
}

fn tiny_bert() -> Embedder {
    Embedder::from_bytes(tiny::bert(1)).expect("a tiny model opens")
}

fn tiny_gemma() -> Embedder {
    Embedder::from_bytes(tiny::gemma(1, GemmaKind::WithHeads)).expect("a tiny model opens")
}

fn long(vector: &[f64]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    vector.iter().map(|value| (value / length) as f32).collect()
}

/// The rows of all tokens of an input that fits, as the network gives them, and the bytes each comes from.
fn rows(embedder: &Embedder, input: &Input, options: &Options) -> Vec<(Option<Range<usize>>, Vec<f32>)> {
    let per_token = embedder.with_pooling(Pooling::None);
    let request = Request::new([input.clone()]).with(options.clone().normalize(false));
    let embedding = per_token.embed(request).expect("rows").remove(0);
    let prepared = embedder.model().prepare_tokens(input, options).expect("tokens");
    assert_eq!(prepared.tokens.len(), embedding.rows().len());
    let bytes = prepared.tokens.iter().map(|token| token.source.bytes());
    bytes.zip(embedding.rows().map(<[f32]>::to_vec)).collect()
}

/// The mean of the rows whose tokens touch the chunk with more than the blanks before them.
fn expected(
    text: &str,
    rows: &[(Option<Range<usize>>, Vec<f32>)],
    chunk: &Range<usize>,
) -> Option<(usize, Vec<f32>)> {
    let touches = |bytes: &Range<usize>| {
        let visible: Vec<usize> = text[bytes.clone()]
            .char_indices()
            .skip_while(|(_, c)| c.is_whitespace())
            .flat_map(|(at, c)| bytes.start + at..bytes.start + at + c.len_utf8())
            .collect();
        let touched: Vec<usize> = if visible.is_empty() { bytes.clone().collect() } else { visible };
        touched.iter().any(|byte| chunk.contains(byte))
    };
    let own: Vec<&Vec<f32>> =
        rows.iter().filter(|(bytes, _)| bytes.as_ref().is_some_and(touches)).map(|(_, row)| row).collect();
    let first = own.first()?;
    let mean =
        (0..first.len()).map(|i| own.iter().map(|row| f64::from(row[i])).sum::<f64>() / own.len() as f64);
    Some((own.len(), long(&mean.collect::<Vec<_>>())))
}

fn assert_near(got: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(got.len(), wanted.len());
    let worst = got.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-6, "{what}: {worst}");
}

fn one(
    embedder: &Embedder,
    input: impl Into<Input>,
    options: &Options,
    chunks: Vec<Range<usize>>,
) -> Vec<LateChunk> {
    let request = Request::new([input.into()]).with(options.clone());
    embedder.embed_late_chunks(request, vec![chunks]).expect("options").remove(0).expect("chunks")
}

const TEXT: &str = "The caf\u{e9} opened. \u{4e2d}\u{6587} too!\n\nNobody unbelievably came,\u{a0}e\u{301}t\u{e9} or not. \u{1f469}\u{200d}\u{1f467} left";

/// Each character by itself, all up to it, all from it on, in no order; and nothing, at either end.
fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = vec![0..0, text.len()..text.len()];
    for (at, c) in text.char_indices() {
        ranges.extend([at..at + c.len_utf8(), 0..at + c.len_utf8(), at..text.len()]);
    }
    ranges
}

#[test]
fn a_chunk_is_the_mean_of_its_rows() {
    let short = "The cat.\n\n caf\u{e9}\u{301} \u{1f469}\u{200d}\u{1f467} the";
    for (name, embedder, text) in
        [("minilm", minilm(), TEXT), ("bert", tiny_bert(), TEXT), ("gemma", tiny_gemma(), short)]
    {
        for (prompt, options) in [("", Options::new()), ("ab: ", Options::new().prompt("ab: "))] {
            let rows = rows(&embedder, &text.into(), &options);
            let ranges = ranges(text);
            let got = one(&embedder, text, &options, ranges.clone());
            assert_eq!(got.len(), ranges.len());
            let mut empty = 0;
            for (chunk, range) in got.iter().zip(ranges) {
                assert_eq!(chunk.bytes, range);
                match (expected(text, &rows, &range), &chunk.embedding) {
                    (Some((tokens, vector)), Ok(embedding)) => {
                        assert_eq!(embedding.tokens, tokens, "{name}, {prompt:?}, {range:?}");
                        assert!(!embedding.truncated);
                        assert_near(&embedding.vector, &vector, &format!("{name}, {prompt:?}, {range:?}"));
                    }
                    (None, Err(error)) => {
                        assert_eq!(error.kind(), ErrorKind::NoTokens);
                        empty += 1;
                    }
                    (wanted, got) => panic!("{name}, {prompt:?}, {range:?}: {wanted:?} and {got:?}"),
                }
            }
            // WordPiece has nothing for white space either.
            assert!(if name == "gemma" { empty >= 2 } else { empty > 2 }, "{name}: {empty}");
        }
    }
}

#[test]
fn the_prompt_is_read_and_belongs_to_no_chunk() {
    let embedder = minilm();
    let whole = |options: &Options, input: &str, chunk: Range<usize>| {
        one(&embedder, input, options, vec![chunk]).remove(0).embedding.expect("a vector")
    };
    let (bare, prompted) = (Options::new(), Options::new().prompt("title: none | text: "));
    let (without, with) = (whole(&bare, "green tea", 0..9), whole(&prompted, "green tea", 0..9));
    assert_eq!((without.tokens, with.tokens), (2, 2));
    assert_ne!(without.vector, with.vector);
    // The same words in the text itself: the chunk behind them.
    let text = "title: none | text: green tea";
    assert_eq!(whole(&bare, text, 20..text.len()).vector, with.vector);
}

#[test]
fn a_text_that_begins_with_its_prompt() {
    let size = GemmaSize { layers: 24, dim: 768, kv_heads: 2 };
    let file = Edit::of(&tiny::gemma_of(1, GemmaKind::WithoutHeads, size));
    let model = Model::from_bytes(file.key("general.name", "EmbeddingGemma 300M").bytes()).expect("it opens");
    let (options, prompt) = (Options::new().task(Task::Query), "task: search result | query: ");
    let put = model.tokens(&"the cat".into(), &options).expect("tokens");
    let own = model.tokens(&format!("{prompt}the cat").into(), &options).expect("tokens");
    assert_eq!(put.len(), own.len());
    assert!(put.iter().any(|token| token.source == TokenSource::Prompt));
    let mut of_text = 0;
    for (put, own) in put.iter().zip(&own) {
        assert_eq!(put.id, own.id);
        match (&put.source, &own.source) {
            (TokenSource::Text(put), TokenSource::Text(own)) => {
                assert_eq!((put.start + prompt.len(), put.end + prompt.len()), (own.start, own.end));
                of_text += 1;
            }
            (put, own) => assert_eq!(put, own),
        }
    }
    assert!(of_text >= 2);
}

#[test]
fn long_texts_are_read_in_windows() {
    let embedder = tiny_bert();
    let text: String = (0..12).map(|i| ["the cat sat ", "a dog ", "sats "][i % 3]).collect();
    let chunks: Vec<Range<usize>> =
        vec![0..40, 30..70, 50..text.len(), 0..text.len(), text.len() - 4..text.len()];
    for (limit, prompt) in [(10, ""), (14, "the cat "), (48, "")] {
        let options = Options::new().max_tokens(limit).prompt(prompt);
        let all =
            embedder.model().tokens(&text.as_str().into(), &Options::new().prompt(prompt)).expect("tokens");
        let (before, after) = (all[0].id, all[all.len() - 1].id);
        let body = &all[1..all.len() - 1];
        let first = body.iter().filter(|token| token.source == TokenSource::Prompt).count();
        assert_eq!(first > 0, !prompt.is_empty());
        // Windows as the documentation has them: the prompt again, and a quarter of the room for what is known.
        let room = limit - 2;
        let overlap = ((room - first) / 4).min(256);
        let mut rows = Vec::new();
        let mut read = 0;
        while read < body.len() {
            let (front, from) = if read == 0 { (0, 0) } else { (first, read - overlap) };
            let end = body.len().min(from + room - front);
            let ids = std::iter::once(before)
                .chain(body[..front].iter().map(|token| token.id))
                .chain(body[from..end].iter().map(|token| token.id))
                .chain([after]);
            let request = Request::new([Input::from_ids(ids.collect::<Vec<_>>())]);
            let request = request.with(Options::new().normalize(false).max_tokens(limit));
            let window = embedder.with_pooling(Pooling::None).embed(request).expect("rows").remove(0);
            let new = window.rows().skip(1 + front + read - from).take(end - read);
            rows.extend(
                body[read..end].iter().map(|token| token.source.bytes()).zip(new.map(<[f32]>::to_vec)),
            );
            read = end;
        }
        assert_eq!(rows.len(), body.len());
        let got = one(&embedder, text.as_str(), &options, chunks.clone());
        for (chunk, range) in got.iter().zip(&chunks) {
            let (tokens, vector) = expected(&text, &rows, range).expect("tokens");
            let embedding = chunk.embedding.as_ref().expect("a vector");
            assert_eq!(embedding.tokens, tokens);
            assert_near(&embedding.vector, &vector, &format!("limit {limit}, {range:?}"));
        }
        let strict = Request::new([text.as_str()]).with(options.truncation(Truncation::Error));
        let strict = embedder.embed_late_chunks(strict, vec![chunks.clone()]).expect("options").remove(0);
        assert_eq!(strict.err().map(|error| error.kind()), (limit < 48).then_some(ErrorKind::TooLong));
    }
}

#[test]
fn the_prompt_alone_can_be_too_long() {
    let embedder = tiny_bert();
    let options = Options::new().prompt("the cat sat a b c ").max_tokens(7);
    let request = Request::new(["the cat sat"]).with(options);
    let got = embedder.embed_late_chunks(request, Split::Sentences).expect("options").remove(0);
    assert_eq!(got.expect_err("refused").kind(), ErrorKind::TooLong);
}

#[test]
fn the_same_bits_in_any_company() {
    let embedder = minilm();
    let texts: Vec<String> =
        (0..9).map(|i| format!("{TEXT} {}", "One more sentence. ".repeat(i * 12))).collect();
    let bits = |texts: &[String]| -> Vec<Vec<(Range<usize>, Vec<u32>)>> {
        let all = embedder.embed_late_chunks(texts, Split::Sentences).expect("options");
        let chunk = |chunk: LateChunk| {
            let vector = chunk.embedding.expect("a vector").vector;
            (chunk.bytes, vector.into_iter().map(f32::to_bits).collect())
        };
        all.into_iter().map(|text| text.expect("chunks").into_iter().map(chunk).collect()).collect()
    };
    let together = bits(&texts);
    for (text, wanted) in texts.iter().zip(&together) {
        assert_eq!(&bits(std::slice::from_ref(text))[0], wanted);
    }
    let mut backwards = texts.clone();
    backwards.reverse();
    let mut again = bits(&backwards);
    again.reverse();
    assert_eq!(again, together);
    let other = Embedder::builder().threads(1).open(models::builtin()).expect("the committed model opens");
    let alone =
        other.embed_late_chunks([&texts[8]], Split::Sentences).expect("options").remove(0).expect("chunks");
    assert_eq!(alone.len(), together[8].len());
    let vector = alone[2].embedding.as_ref().expect("a vector");
    assert!(vector.vector.iter().map(|value| value.to_bits()).eq(together[8][2].1.iter().copied()));
}

#[test]
fn splits_by_tokens_cover_the_text() {
    let embedder = minilm();
    let count = NonZeroUsize::new(4).expect("not 0");
    let chunks =
        embedder.embed_late_chunks([TEXT], Split::Tokens(count)).expect("options").remove(0).expect("chunks");
    assert!(chunks.len() > 4);
    let mut end = 0;
    for chunk in &chunks {
        assert!(TEXT[end..chunk.bytes.start].chars().all(char::is_whitespace), "{chunk:?}");
        end = chunk.bytes.end;
        assert!(chunk.embedding.as_ref().expect("a vector").tokens <= 6);
    }
    assert_eq!(end, TEXT.len());
    assert!(
        embedder
            .embed_late_chunks(["", "  \n"], Split::Tokens(count))
            .expect("options")
            .iter()
            .all(|text| text.as_ref().expect("no chunks").is_empty())
    );
}

#[test]
fn dimensions_and_norms_are_those_of_the_options() {
    let embedder = tiny_gemma();
    let chunk = one(&embedder, TEXT, &Options::new().normalize(false), vec![0..9]).remove(0);
    let raw = chunk.embedding.expect("a vector");
    let wanted = expected(TEXT, &rows(&embedder, &TEXT.into(), &Options::new()), &(0..9)).expect("tokens").1;
    let raw: Vec<f64> = raw.vector.iter().map(|&value| f64::from(value)).collect();
    assert_near(&long(&raw), &wanted, "raw");
}

#[test]
fn what_is_refused() {
    let embedder = minilm();
    let kind = |request: Request, chunks: Chunks| match embedder.embed_late_chunks(request, chunks) {
        Err(error) => (true, error.kind()),
        Ok(mut texts) => (false, texts.remove(0).expect_err("a text that fails").kind()),
    };
    let given = |chunks: Vec<Range<usize>>| Chunks::Given(vec![chunks]);
    let text = || Request::new(["caf\u{e9}"]);
    let (all, own) = ((true, ErrorKind::InvalidRequest), (false, ErrorKind::InvalidRequest));
    assert_eq!(kind(text(), Chunks::Given(vec![])), all);
    assert_eq!(kind(text().with(Options::new().truncation(Truncation::Start)), given(vec![0..1])), all);
    assert_eq!(kind(text(), given(vec![0..4])), own);
    assert_eq!(kind(text(), given(vec![0..6])), own);
    assert_eq!(kind(text(), given(vec![Range { start: 2, end: 1 }])), own);
    assert_eq!(kind(Request::new([Input::from_ids([101, 102])]), Split::Paragraphs.into()), own);
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    assert_eq!(kind(text().cancellation(&cancelled), given(vec![0..3])), (false, ErrorKind::Cancelled));
    for pooling in [Pooling::Cls, Pooling::Last, Pooling::None] {
        let error =
            embedder.with_pooling(pooling).embed_late_chunks(["a"], Split::Paragraphs).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(pooling.name()), "{error}");
    }
    // One that fails does not touch the others.
    let two = embedder.embed_late_chunks(["abc", "abc"], vec![vec![0..9], vec![0..3]]).expect("options");
    assert!(two[0].is_err() && two[1].is_ok());
}

#[test]
fn tokens_say_where_they_come_from() {
    let embedder = minilm();
    let model = embedder.model();
    let sources = |input: &Input, options: &Options| -> Vec<TokenSource> {
        model
            .prepare_tokens(input, options)
            .expect("tokens")
            .tokens
            .into_iter()
            .map(|token| token.source)
            .collect()
    };
    use TokenSource::{Id, Prompt, Special, Text};
    let options = Options::new().prompt("say: ");
    assert_eq!(
        sources(&"CAF\u{c9}s [SEP]".into(), &options),
        [Special, Prompt, Prompt, Text(0..6), Text(7..12), Special]
    );
    assert_eq!(sources(&Input::from_ids([101, 2000, 102]), &Options::new()), [Special, Id, Special]);
    // What is cut is cut here, too.
    let cut = options.clone().max_tokens(6);
    assert_eq!(
        sources(&"one two three".into(), &cut),
        [Special, Prompt, Prompt, Text(0..3), Text(4..7), Special]
    );
    assert_eq!(
        sources(&"one two three".into(), &cut.truncation(Truncation::Start)),
        [Special, Prompt, Prompt, Text(4..7), Text(8..13), Special]
    );
    for input in ["", TEXT, "[CLS] a \u{e9}"] {
        let input = Input::new(input);
        let (prepared, traced) = (model.prepare(&input, &options), model.prepare_tokens(&input, &options));
        let (prepared, traced) = (prepared.expect("ids"), traced.expect("tokens"));
        assert_eq!(prepared.ids, traced.tokens.iter().map(|token| token.id).collect::<Vec<_>>());
        assert_eq!(prepared.truncated, traced.truncated);
        let whole: Vec<u32> =
            model.tokens(&input, &options).expect("tokens").iter().map(|token| token.id).collect();
        assert_eq!(whole, model.tokenize(&input, &options).expect("ids"));
    }
}
