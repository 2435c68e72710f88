//! Tables that contradict each other: errors that name the key, never a panic or wrong ids.

mod tables;

use connote_tokenizer::{ErrorKind, SpecialTokens};
use proptest::prelude::*;
use tables::{BYTE, CONTROL, Keys, NORMAL, UNKNOWN, USER_DEFINED};

fn llama() -> Keys {
    Keys::of("llama").tokens(&[
        ("<unk>", 0.0, UNKNOWN),
        ("<s>", 0.0, CONTROL),
        ("</s>", 0.0, CONTROL),
        ("a", -1.0, NORMAL),
    ])
}

fn check(keys: &Keys, kind: ErrorKind, key: &str, says: &str) {
    let error = keys.load().expect_err("the tables are wrong");
    assert_eq!((error.kind(), error.key()), (kind, format!("tokenizer.ggml.{key}").as_str()), "{error}");
    let message = error.to_string();
    assert!(message.starts_with(error.key()) && message.contains(says), "{message}");
}

#[test]
fn kinds() {
    check(&Keys::default(), ErrorKind::Missing, "model", "which tokenizer");
    check(&Keys::of("rwkv"), ErrorKind::Unsupported, "model", "\"rwkv\"");
    check(&Keys::of(&"x".repeat(1000)), ErrorKind::Unsupported, "model", "not supported");
    check(&Keys::default().u32("model", 1), ErrorKind::Invalid, "model", "");
}

#[test]
fn vocabularies() {
    check(&Keys::of("llama"), ErrorKind::Missing, "tokens", "no vocabulary");
    check(&Keys::of("bert").strings::<&str>("tokens", &[]), ErrorKind::Invalid, "tokens", "empty");
    check(&Keys::of("bert").i32s("tokens", &[1]), ErrorKind::Invalid, "tokens", "strings");
    check(&Keys::of("bert").u32("tokens", 1), ErrorKind::Invalid, "tokens", "");
    check(&Keys::of("bert").strings("tokens", &[&b"\xff"[..]]), ErrorKind::Invalid, "tokens", "token 0");
    let long = "<".repeat(1025);
    let keys = Keys::of("llama").tokens(&[("<unk>", 0.0, UNKNOWN), (&long, 0.0, CONTROL)]);
    check(&keys, ErrorKind::Invalid, "tokens", "special token 1 has 1025 bytes");
    let keys = Keys::of("llama").strings("tokens", &["<unk>", &long, "</s>"]).f32s("scores", &[0.0; 3]);
    check(&keys, ErrorKind::Invalid, "tokens", "special token 1 has 1025 bytes");
}

#[test]
fn types() {
    let keys = Keys::of("llama").strings("tokens", &["a", "b"]);
    check(&keys.clone().i32s("token_type", &[1]), ErrorKind::Invalid, "token_type", "1 entries for 2");
    check(&keys.clone().i32s("token_type", &[1, 7]), ErrorKind::Invalid, "token_type", "token 1 has type 7");
    check(&keys.clone().i32s("token_type", &[1, -1]), ErrorKind::Invalid, "token_type", "type -1");
    check(&keys.clone().strings("token_type", &["1", "1"]), ErrorKind::Invalid, "token_type", "integers");
    check(&keys.u32("token_type", 1), ErrorKind::Invalid, "token_type", "");
}

#[test]
fn scores() {
    let keys = Keys::of("llama").strings("tokens", &["a", "b", "c"]);
    check(&keys, ErrorKind::Missing, "scores", "a score for each token");
    check(&keys.clone().f32s("scores", &[0.0; 4]), ErrorKind::Invalid, "scores", "4 entries for 3");
    let nan = [0.0, f32::NAN, 0.0];
    check(&keys.clone().f32s("scores", &nan), ErrorKind::Invalid, "scores", "token 1");
    check(&keys.strings("scores", &["0", "0", "0"]), ErrorKind::Invalid, "scores", "numbers");
}

#[test]
fn ids() {
    for key in ["bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id", "mask_token_id"] {
        check(&llama().u32(key, 4), ErrorKind::Invalid, key, "is 4, but the vocabulary has 4 tokens");
        check(&llama().u32(key, u32::MAX), ErrorKind::Invalid, key, "but the vocabulary");
    }
    check(&llama().str("bos_token_id", "1"), ErrorKind::Invalid, "bos_token_id", "");
    check(&llama().u32("add_bos_token", 1), ErrorKind::Invalid, "add_bos_token", "");
}

#[test]
fn marks_that_are_needed() {
    // Ordinary tokens in the places of the defaults are not taken for marks.
    let letters = Keys::of("llama").tokens(&[("a", 0.0, NORMAL), ("b", 0.0, NORMAL), ("c", 0.0, NORMAL)]);
    check(&letters, ErrorKind::Missing, "bos_token_id", "BOS");
    let keys = letters.clone().bool("add_bos_token", false);
    check(&keys, ErrorKind::Missing, "unknown_token_id", "byte tokens");
    check(&keys.bool("add_eos_token", true), ErrorKind::Missing, "eos_token_id", "EOS");
    let bert = Keys::of("bert").strings("tokens", &["[CLS]", "[SEP]", "[UNK]"]).i32s("token_type", &[3; 3]);
    check(&bert, ErrorKind::Missing, "unknown_token_id", "unknown");
    let bert = bert.u32("unknown_token_id", 2);
    check(&bert, ErrorKind::Missing, "bos_token_id", "CLS");
    let bert = bert.u32("bos_token_id", 0);
    check(&bert, ErrorKind::Missing, "seperator_token_id", "SEP");
    assert!(bert.u32("seperator_token_id", 1).load().is_ok());
}

fn gpt2() -> Keys {
    Keys::of("gpt2").strings("tokens", &["a", "b", "ab", "<s>"]).i32s("token_type", &[1, 1, 1, 3])
}

#[test]
fn merges() {
    let known = gpt2().str("pre", "gpt-2");
    check(&gpt2(), ErrorKind::Missing, "pre", "how texts are cut");
    let error = gpt2().str("pre", "made-up").load().expect_err("an unknown name").to_string();
    assert!(
        error.contains("\"made-up\"") && error.contains("modern-bert") && error.contains("qwen2"),
        "{error}"
    );
    check(&known, ErrorKind::Missing, "merges", "list of merges");
    check(&known.clone().u32("merges", 1), ErrorKind::Invalid, "merges", "");
    check(&known.clone().i32s("merges", &[1]), ErrorKind::Invalid, "merges", "strings");
    for merge in ["", "ab", " ab"] {
        check(
            &known.clone().strings("merges", &[merge]),
            ErrorKind::Invalid,
            "merges",
            "merge 0 is not two tokens",
        );
    }
    check(
        &known.clone().strings("merges", &["a b", "b a"]),
        ErrorKind::Invalid,
        "merges",
        "merge 1 (\"b a\")",
    );
    check(
        &known.clone().strings("merges", &[&b"a \xff"[..]]),
        ErrorKind::Invalid,
        "merges",
        "not in the vocabulary",
    );
    check(
        &gpt2().str("pre", "llama-bpe").strings("merges", &["a b"]),
        ErrorKind::Missing,
        "bos_token_id",
        "BOS",
    );
    let roberta = gpt2().str("pre", "roberta-bpe").strings("merges", &["a b"]).u32("bos_token_id", 3);
    check(&roberta, ErrorKind::Missing, "eos_token_id", "EOS");
    let tokenizer = roberta.u32("eos_token_id", 3).load().expect("valid");
    assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[3][..], &[3][..]));
    // Bytes without token are left out; a mark is never made by merging.
    let tokenizer = known.clone().strings("merges", &["a b"]).load().expect("valid");
    assert_eq!(tokenizer.encode("xabbx", SpecialTokens::Parse), [2, 1]);
    let marks = Keys::of("gpt2").strings("tokens", &["a", "b", "ab"]).i32s("token_type", &[1, 1, 3]);
    let marks = marks.str("pre", "gpt-2").strings("merges", &["a b"]).load().expect("valid");
    assert_eq!(marks.encode("ab", SpecialTokens::PlainText), [0, 1]);
}

#[test]
fn character_maps() {
    let t5 =
        Keys::of("t5").tokens(&[("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN)]);
    let map = |bytes: &[u8]| t5.clone().u8s("precompiled_charsmap", bytes);
    assert!(t5.load().is_ok() && map(&[]).load().is_ok());
    check(&t5.clone().u32("precompiled_charsmap", 1), ErrorKind::Invalid, "precompiled_charsmap", "");
    check(
        &t5.clone().i32s("precompiled_charsmap", &[400]),
        ErrorKind::Invalid,
        "precompiled_charsmap",
        "bytes",
    );
    check(&map(&[1, 2]), ErrorKind::Invalid, "precompiled_charsmap", "shorter than its own header");
    check(&map(&[8, 0, 0, 0, 1]), ErrorKind::Invalid, "precompiled_charsmap", "8 bytes of 1");
    check(&map(&[3, 0, 0, 0, 1, 1, 1]), ErrorKind::Invalid, "precompiled_charsmap", "3 bytes");
    check(&map(&[4, 0, 0, 0, 1, 0, 0, 0]), ErrorKind::Invalid, "precompiled_charsmap", "ends within a node");
    check(&map(&[4, 0, 0, 0, 0, 0xFF, 0, 0]), ErrorKind::Invalid, "precompiled_charsmap", "beyond itself");
    // A whole block of children; "a" leads to a value beyond the replacements.
    let mut units = vec![0u32; 512];
    units[0] = 0;
    units[usize::from(b'a')] = u32::from(b'a') | 1 << 8 | (256 ^ u32::from(b'a')) << 10;
    let bytes = |value: u32, replacements: &[u8]| {
        let mut units = units.clone();
        units[256] = 1 << 31 | value;
        let units = units.iter().flat_map(|unit| unit.to_le_bytes());
        [&2048u32.to_le_bytes()[..], &units.collect::<Vec<u8>>(), replacements].concat()
    };
    check(&map(&bytes(9, b"b\0")), ErrorKind::Invalid, "precompiled_charsmap", "not there");
    check(&map(&bytes(0, b"b")), ErrorKind::Invalid, "precompiled_charsmap", "without an end");
    check(&map(&bytes(0, &[b'b'; 2000])), ErrorKind::Invalid, "precompiled_charsmap", "without an end");
    check(
        &map(&bytes(1, "\u{e9}\0".as_bytes())),
        ErrorKind::Invalid,
        "precompiled_charsmap",
        "within a character",
    );
    let long = "a".repeat(1025);
    let keys =
        Keys::of("t5").tokens(&[("<unk>", 0.0, UNKNOWN), (&long, 0.0, NORMAL)]).u32("unknown_token_id", 0);
    check(&keys.bool("add_eos_token", false), ErrorKind::Invalid, "tokens", "token 1 has 1025 bytes");
    check(&map(&bytes(0, b"\xff\0")), ErrorKind::Invalid, "precompiled_charsmap", "UTF-8");
    assert!(map(&bytes(0, b"b\0")).load().is_ok());
    check(
        &Keys::of("t5").tokens(&[("a", 0.0, NORMAL); 3]).bool("add_eos_token", false),
        ErrorKind::Missing,
        "unknown_token_id",
        "byte tokens",
    );
}

type Token = (String, f32, i32);

fn tokens() -> impl Strategy<Value = Vec<Token>> {
    let text = "[ab\u{2581}\u{e9}\u{4e2d}< ]{0,5}";
    let score = prop_oneof![(-3i8..3).prop_map(f32::from), any::<f32>()];
    let token_type = prop_oneof![4 => Just(NORMAL), 1 => -1..8i32, 1 => Just(USER_DEFINED), 1 => Just(BYTE)];
    prop::collection::vec((text, score, token_type), 0..40)
}

/// Byte-pair merging as its definition reads: look at all pairs, merge the best, begin again.
fn naive(tokens: &[Token], unknown: usize, text: &str) -> Vec<u32> {
    let usable = |piece: &str| {
        tokens.iter().position(|(text, _, t)| text == piece && matches!(*t, 0 | NORMAL | USER_DEFINED))
    };
    let mut parts: Vec<String> = text.replace(' ', "\u{2581}").chars().map(String::from).collect();
    loop {
        let mut best = None;
        for (at, pair) in parts.windows(2).enumerate() {
            if pair.iter().any(|part| usable(part).is_none()) {
                continue;
            }
            let Some(id) = usable(&pair.concat()) else { continue };
            let score = if tokens[id].2 == USER_DEFINED { f32::INFINITY } else { tokens[id].1 };
            let key = (score, pair[0].chars().count(), pair[1].chars().count());
            if best.is_none_or(|(other, other_id, _)| key > other || key == other && id < other_id) {
                best = Some((key, id, at));
            }
        }
        let Some((_, _, at)) = best else { break };
        let right = parts.remove(at + 1);
        parts[at].push_str(&right);
    }
    let mut ids: Vec<usize> = Vec::new();
    for part in &parts {
        let id = usable(part).unwrap_or(unknown);
        if usable(part).is_some() || ids.last() != Some(&unknown) {
            ids.push(id);
        }
    }
    ids.into_iter().map(|id| id as u32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tables(
        tokens in tokens(),
        model in "llama|bert|t5|gpt2",
        pre in "gpt-2|qwen2|llama-bpe|gpt-4o|modern-bert",
        merges in prop::collection::vec("[ab] [ab]", 0..4),
        map in prop::option::weighted(0.3, prop::collection::vec(any::<u8>(), 0..40)),
        ids in prop::collection::vec(0u32..45, 4),
        flags in any::<[bool; 3]>(),
        text in "[ab\u{2581}\u{e9}\u{4e2d}<> ]{0,30}",
    ) {
        let tokens: Vec<_> = tokens.iter().map(|(text, score, t)| (text.as_str(), *score, *t)).collect();
        let mut keys = Keys::of(&model).tokens(&tokens).bool("add_space_prefix", flags[0]);
        keys = keys.str("pre", &pre).strings("merges", &merges).bool("remove_extra_whitespaces", flags[1]);
        if let Some(map) = map {
            keys = keys.u8s("precompiled_charsmap", &map);
        }
        keys = keys.bool("normalizer.lowercase", flags[1]).bool("add_bos_token", flags[2]);
        for (key, id) in ["unknown_token_id", "bos_token_id", "seperator_token_id", "mask_token_id"].iter().zip(ids) {
            keys = keys.u32(key, id);
        }
        match keys.load() {
            Err(error) => prop_assert!(error.to_string().starts_with("tokenizer.ggml."), "{}", error),
            Ok(tokenizer) => for special in [SpecialTokens::Parse, SpecialTokens::PlainText] {
                let ids = tokenizer.encode(&text, special);
                prop_assert!(ids.iter().all(|&id| (id as usize) < tokens.len()));
                tokenizer.decode(&ids);
            }
        }
    }

    #[test]
    fn merging_is_what_its_definition_says(
        mut tokens in tokens(),
        letters in "[ab\u{2581}\u{e9}]{1,24}",
    ) {
        tokens.retain(|(text, score, t)| !text.contains(' ') && !score.is_nan() && matches!(*t, NORMAL | BYTE));
        // Single letters and short pairs, so that there is something to merge.
        for (i, text) in ["a", "b", "\u{2581}", "aa", "ab", "ba", "\u{2581}a", "aab"].into_iter().enumerate() {
            tokens.push((text.to_owned(), -(i as f32), NORMAL));
        }
        let unknown = tokens.len();
        tokens.push(("<unk>".to_owned(), 0.0, UNKNOWN));
        let rows: Vec<_> = tokens.iter().map(|(text, score, t)| (text.as_str(), *score, *t)).collect();
        let keys = Keys::of("llama").tokens(&rows).u32("unknown_token_id", unknown as u32);
        let tokenizer = keys.bool("add_space_prefix", false).bool("add_bos_token", false).load();
        let tokenizer = tokenizer.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(tokenizer.encode(&letters, SpecialTokens::Parse), naive(&tokens, unknown, &letters));
    }
}
