//! SentencePiece BPE on EmbeddingGemma, against the authors' tokenizer.
//!
//! The model is not in the repository: it is looked for in `$EMBED_MODELS_DIR`, else in `~/.cache/embed-models`.
//! Without it every test here counts as ignored, which the summary shows.

mod reference;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use connote_tokenizer::{Kind, SpecialTokens, TokenType, Tokenizer};
use libtest_mimic::{Arguments, Trial};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

static GEMMA: LazyLock<Tokenizer> =
    LazyLock::new(|| reference::open(&model("embeddinggemma-300m-Q8_0.gguf")));

fn model(name: &str) -> PathBuf {
    let directory = env::var_os("EMBED_MODELS_DIR").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/embed-models"));
    directory.or_else(home).unwrap_or_default().join(name)
}

fn main() -> ExitCode {
    let trials = [
        Trial::test("golden_ids", passes(golden_ids)),
        Trial::test("difficult_strings", passes(|| reference::check_difficult(&GEMMA, "gemma"))),
        Trial::test("megabytes_in_linear_time", passes(|| reference::check_scaling(&GEMMA))),
        Trial::test("tables", passes(tables)),
        Trial::test("marks_in_plain_text", passes(marks_in_plain_text)),
        Trial::test("runs_of_spaces", passes(runs_of_spaces)),
        Trial::test("texts_survive", passes(texts_survive)),
    ];
    let missing = !model("embeddinggemma-300m-Q8_0.gguf").is_file();
    let trials = trials.into_iter().map(|trial| trial.with_ignored_flag(missing)).collect();
    let mut arguments = Arguments::from_args();
    if missing {
        // `--ignored` and `--include-ignored` would run what cannot run.
        (arguments.ignored, arguments.include_ignored) = (false, false);
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn passes(test: fn()) -> impl FnOnce() -> Result<(), libtest_mimic::Failed> + Send {
    move || {
        test();
        Ok(())
    }
}

fn golden_ids() {
    for file in ["embeddinggemma", "embeddinggemma-nodense"] {
        reference::check_golden(&GEMMA, &format!("testdata/golden/dev.{file}.jsonl"), 2048);
    }
}

fn tables() {
    assert_eq!(GEMMA.kind(), Kind::SentencePieceBpe);
    assert_eq!(GEMMA.vocab_size(), 262_144);
    assert_eq!((GEMMA.prefix(), GEMMA.suffix()), (&[2][..], &[1][..]));
    assert_eq!((GEMMA.bos(), GEMMA.eos(), GEMMA.unk(), GEMMA.pad()), (Some(2), Some(1), Some(3), Some(0)));
    assert_eq!(GEMMA.piece(2).as_deref(), Some("<bos>"));
    assert_eq!(GEMMA.piece(248).as_deref(), Some("<0x0A>"));
    assert_eq!(GEMMA.piece(138).as_deref(), Some("\u{2581}\u{2581}"));
    let bytes = [2, 248, 138, 481].map(|id| GEMMA.bytes(id).expect("a token"));
    assert_eq!(bytes, [&b"<bos>"[..], b"\n", b"  ", b"\xF3"]);
    assert_eq!(GEMMA.token_type(138), Some(TokenType::UserDefined));
}

fn marks_in_plain_text() {
    assert_eq!(GEMMA.encode("<eos>", SpecialTokens::Parse), [1]);
    let ids = GEMMA.encode("<eos><unk><unused7>\n\n<0x0A>", SpecialTokens::PlainText);
    let types: Vec<_> = ids.iter().filter_map(|&id| GEMMA.token_type(id)).collect();
    assert!(types.iter().all(|t| matches!(t, TokenType::Normal | TokenType::UserDefined)), "{types:?}");
    assert_eq!(GEMMA.decode(&ids), "<eos><unk><unused7>\n\n<0x0A>");
    assert!(ids.contains(&108), "runs of newlines stay one token: {ids:?}");
}

fn runs_of_spaces() {
    assert_eq!(GEMMA.encode(&" ".repeat(40), SpecialTokens::Parse), [167, 145]);
    assert_eq!(GEMMA.encode(&"\u{2581}".repeat(40), SpecialTokens::Parse), [167, 145]);
    // "\u{2581}t" has the best score of all ordinary pieces; a run of spaces comes before it nevertheless.
    let ids = GEMMA.encode("  the", SpecialTokens::Parse);
    assert_eq!(
        ids.iter().map(|&id| GEMMA.piece(id).unwrap_or_default()).collect::<Vec<_>>(),
        ["\u{2581}\u{2581}", "the"]
    );
    // A space, U+2581 and a space are three of a kind once spaces are escaped.
    let ids = GEMMA.encode("a \u{2581} b", SpecialTokens::Parse);
    assert_eq!(
        ids.iter().map(|&id| GEMMA.piece(id).unwrap_or_default()).collect::<Vec<_>>(),
        ["a", "\u{2581}\u{2581}\u{2581}", "b"]
    );
}

fn texts_survive() {
    let mut runner = TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
    let marks = r"(<eos>|<bos>|<unused1>|<table>|\n|\t| |\PC|<0x0A>|\u{2581}){0,20}";
    let text = prop_oneof![any::<String>(), marks];
    let result = runner.run(&text, |text| {
        reference::check_range(&GEMMA, &GEMMA.encode(&text, SpecialTokens::Parse));
        let ids = GEMMA.encode(&text, SpecialTokens::PlainText);
        let control = ids.iter().any(|&id| GEMMA.token_type(id) == Some(TokenType::Control));
        prop_assert!(!control, "{:?}", ids);
        prop_assert_eq!(GEMMA.decode(&ids), text.replace('\u{2581}', " "));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
