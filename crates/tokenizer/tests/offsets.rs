//! Where ids come from. The oracle script compares with the authors' package on real vocabularies; here is what is meant,
//! and what holds for any text.

mod tables;

use std::ops::Range;
use std::sync::LazyLock;

use connote_tokenizer::SpecialTokens::{self, Parse, PlainText};
use connote_tokenizer::{Kind, Tokenizer};
use proptest::prelude::*;
use tables::{BYTE, CONTROL, Keys, NORMAL, UNKNOWN, USER_DEFINED};
use testkit::vocabularies::SmallVocabulary;

/// The pieces of a text, each with what it comes from.
fn traced<'a>(tokenizer: &Tokenizer, text: &'a str) -> Vec<(String, &'a str)> {
    let (ids, offsets) = tokenizer.encode_with_offsets(text, Parse);
    let piece = |id| tokenizer.piece(id).expect("a token").into_owned();
    ids.into_iter().map(piece).zip(offsets.into_iter().map(|bytes| &text[bytes])).collect()
}

fn assert_traced(tokenizer: &Tokenizer, text: &str, wanted: &[(&str, &str)]) {
    let got = traced(tokenizer, text);
    let got: Vec<_> = got.iter().map(|(piece, from)| (piece.as_str(), *from)).collect();
    assert_eq!(got, wanted, "{text:?}");
}

#[test]
fn wordpiece_through_case_and_accents() {
    let tokens = [
        ("[UNK]", CONTROL),
        ("[CLS]", CONTROL),
        ("[SEP]", CONTROL),
        ("\u{2581}ca", NORMAL),
        ("fe", NORMAL),
        ("\u{2581}i", NORMAL),
        ("s", NORMAL),
        ("\u{2581}\u{4e2d}", NORMAL),
        ("\u{2581}<k>", USER_DEFINED),
    ];
    let keys = Keys::of("bert")
        .strings("tokens", &tokens.map(|(text, _)| text))
        .i32s("token_type", &tokens.map(|(_, kind)| kind));
    let keys = keys.u32("unknown_token_id", 0).u32("cls_token_id", 1).u32("seperator_token_id", 2);
    let tokenizer = keys.load().expect("valid");
    // A composed accent belongs to its letter; one that stands by itself is dropped, and within a range or in none.
    assert_traced(&tokenizer, " CAF\u{c9}", &[("ca", "CA"), ("##fe", "F\u{c9}")]);
    assert_traced(
        &tokenizer,
        "cafe\u{301} ca\u{301}fe",
        &[("ca", "ca"), ("##fe", "fe"), ("ca", "ca"), ("##fe", "fe")],
    );
    assert_traced(&tokenizer, "c\u{0}a\u{301}\u{200b}fe", &[("ca", "c\u{0}a"), ("##fe", "fe")]);
    // A letter of two bytes that becomes one of one.
    assert_traced(
        &tokenizer,
        "\u{130}s\u{4e2d}is",
        &[("i", "\u{130}"), ("##s", "s"), ("\u{4e2d}", "\u{4e2d}"), ("i", "i"), ("##s", "s")],
    );
    assert_traced(&tokenizer, "caxx [SEP]<k>", &[("[UNK]", "caxx"), ("[SEP]", "[SEP]"), ("<k>", "<k>")]);
    assert_eq!(tokenizer.encode_with_offsets("", Parse), (vec![], vec![]));
}

#[test]
fn sentencepiece_with_spaces_bytes_and_unknowns() {
    let marks = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL)];
    let pieces = [("\u{2581}", -3.0, NORMAL), ("a", -2.0, NORMAL), ("\u{2581}a", -1.0, NORMAL)];
    let tokens = [&marks[..], &pieces].concat();
    let tokenizer = Keys::of("llama").tokens(&tokens).load().expect("valid");
    // The space that was put before a text comes from its first character.
    assert_traced(
        &tokenizer,
        "aa<s>a",
        &[("\u{2581}a", "a"), ("a", "a"), ("<s>", "<s>"), ("\u{2581}a", "a")],
    );
    assert_traced(
        &tokenizer,
        "\u{e9}\u{4e2d} a",
        &[("\u{2581}", "\u{e9}"), ("<unk>", "\u{e9}\u{4e2d}"), ("\u{2581}a", " a")],
    );
    let names: Vec<String> = (0..256).map(|byte| format!("<0x{byte:02X}>")).collect();
    let bytes = names.iter().map(|name| (name.as_str(), 0.0, BYTE));
    let tokens: Vec<_> = tokens.iter().copied().chain(bytes).collect();
    let tokenizer = Keys::of("llama").tokens(&tokens).bool("add_space_prefix", false).load().expect("valid");
    assert_traced(
        &tokenizer,
        "a\u{e9}a",
        &[("a", "a"), ("<0xC3>", "\u{e9}"), ("<0xA9>", "\u{e9}"), ("a", "a")],
    );
}

#[test]
fn unigram_through_its_character_map() {
    // One key: "b" becomes "aa".
    let mut units = [0u32; 512];
    units[usize::from(b'b')] = u32::from(b'b') | 1 << 8 | (256 ^ u32::from(b'b')) << 10;
    units[256] = 1 << 31;
    let units: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let map = |new: &str| [&2048u32.to_le_bytes()[..], &units, new.as_bytes(), b"\0"].concat();
    let marks =
        [("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("<mask>", 0.0, CONTROL)];
    let pieces =
        [("a", -2.0, NORMAL), ("c", -2.0, NORMAL), ("\u{2581}", -2.0, NORMAL), ("\u{2581}a", -1.0, NORMAL)];
    let keys = Keys::of("t5").tokens(&[&marks[..], &pieces].concat()).u32("mask_token_id", 3);
    let load = |new: &str| keys.clone().u8s("precompiled_charsmap", &map(new)).load().expect("valid");
    assert_traced(&load("aa"), "cbc", &[("c", "c"), ("a", "b"), ("a", "b"), ("c", "c")]);
    // A grapheme that is replaced as a whole: new characters come from the old ones, one by one.
    assert_traced(&load("ca"), "b\u{301}c", &[("c", "b"), ("a", "\u{301}"), ("c", "c")]);
    // What is dropped moves nothing else.
    assert_traced(&load(""), "bcb a", &[("c", "c"), ("\u{2581}a", " a")]);
    // The mask takes the spaces before it; unknowns side by side are one.
    assert_traced(
        &load("aa"),
        "a  <mask> a\u{e9}\u{e9}",
        &[("a", "a"), ("<mask>", "  <mask>"), ("\u{2581}a", " a"), ("<unk>", "\u{e9}\u{e9}")],
    );
    // Joined spaces: each word's own comes from its first character.
    let joined =
        keys.bool("add_space_prefix", true).bool("remove_extra_whitespaces", true).load().expect("valid");
    assert_traced(&joined, "  a \n a ", &[("\u{2581}a", "a"), ("\u{2581}a", "a")]);
}

#[test]
fn bpe_through_composition_and_prefixes() {
    let vocabulary = SmallVocabulary::read("bpe");
    let composing = (0..vocabulary.variants().len())
        .find(|&variant| vocabulary.variants()[variant]["keys"]["pre"] == "qwen2")
        .expect("a variant that composes");
    let tokenizer = tokenizer(&vocabulary, composing);
    // What is composed comes from all its parts, wherever ordering moved them.
    let cases: [(&str, &[Range<usize>]); 4] = [
        ("xe\u{301}", &[0..1, 1..4]),
        ("xe\u{323}\u{301}", &[0..1, 1..4, 4..6]),
        ("xe\u{301}\u{323}", &[0..1, 1..6, 2..4]),
        ("x\u{1100}\u{1161}\u{11a8}", &[0..1, 1..10]),
    ];
    for (text, wanted) in cases {
        // A character of several tokens has its range for each.
        let mut offsets = tokenizer.encode_with_offsets(text, PlainText).1;
        offsets.dedup();
        assert_eq!(offsets, wanted, "{text:?}");
    }
    // Where nothing composes, ordering alone moves ranges.
    let text = "q\u{307}\u{323}";
    let (_, offsets) = tokenizer.encode_with_offsets(text, PlainText);
    assert_eq!((offsets.first(), offsets.last()), (Some(&(0..1)), Some(&(1..3))), "{offsets:?}");
}

fn tokenizer(vocabulary: &SmallVocabulary, variant: usize) -> Tokenizer {
    let file = vocabulary.file(variant, None).to_bytes().expect("a valid file");
    let file = gguf::Gguf::from_bytes(file).expect("a valid file");
    Tokenizer::from_metadata(file.metadata()).unwrap_or_else(|error| panic!("variant {variant}: {error}"))
}

/// Every variant of every small vocabulary.
static ALL: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    ["bpe", "unigram", "unigram_bytes", "wordpiece"]
        .map(SmallVocabulary::read)
        .iter()
        .flat_map(|vocabulary| {
            (0..vocabulary.variants().len()).map(move |variant| tokenizer(vocabulary, variant))
        })
        .collect()
});

fn check(text: &str, special: SpecialTokens) {
    for tokenizer in ALL.iter() {
        let (ids, offsets) = tokenizer.encode_with_offsets(text, special);
        assert_eq!(ids, tokenizer.encode(text, special), "{tokenizer:?}: {text:?}");
        assert_eq!(ids.len(), offsets.len());
        for enough in [0, 1, 2, 3, 5, 8, ids.len(), ids.len() + 1] {
            let first = tokenizer.encode_first(text, special, enough);
            assert!(first.len() >= enough.min(ids.len()), "{tokenizer:?}: {enough} of {text:?}");
            assert!(ids.starts_with(&first), "{tokenizer:?}: {enough} of {text:?}");
        }
        for bytes in &offsets {
            assert!(
                text.get(bytes.clone()).is_some_and(|part| !part.is_empty()),
                "{tokenizer:?}: {bytes:?} of {text:?}"
            );
        }
    }
}

#[test]
fn any_of_the_committed_texts() {
    for name in ["bpe", "unigram", "wordpiece"] {
        for text in SmallVocabulary::read(name).texts() {
            check(&text, Parse);
            check(&text, PlainText);
        }
    }
}

/// What is behind the first ids is left alone, of whichever kind.
#[test]
fn the_first_ids_are_not_all() {
    let text = "the cat sat on the mat; ".repeat(1000);
    for tokenizer in ALL.iter() {
        let (all, first) = (tokenizer.encode(&text, Parse), tokenizer.encode_first(&text, Parse, 10));
        assert!(first.len() >= 10 && first.len() < all.len() / 4, "{tokenizer:?}: {}", first.len());
    }
}

/// The characters that a run of bytes touches.
fn around(text: &str, bytes: Range<usize>) -> Range<usize> {
    text.floor_char_boundary(bytes.start)..text.ceil_char_boundary(bytes.end)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text, Parse);
        check(&text, PlainText);
    }

    #[test]
    fn bytes_are_counted_off_where_nothing_is_normalised(text in any::<String>()) {
        let tokenizer = &ALL[0];
        prop_assert_eq!(tokenizer.kind(), Kind::Bpe);
        let (ids, offsets) = tokenizer.encode_with_offsets(&text, PlainText);
        let mut at = 0;
        for (id, bytes) in ids.into_iter().zip(offsets) {
            let end = at + tokenizer.bytes(id).expect("a token").len();
            prop_assert_eq!(bytes, around(&text, at..end));
            at = end;
        }
        prop_assert_eq!(at, text.len());
    }
}
