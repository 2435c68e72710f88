//! What the tables of a file mean, on vocabularies small enough to see through.

mod tables;

use connote_tokenizer::SpecialTokens::{Parse, PlainText};
use connote_tokenizer::{TokenType, Tokenizer};
use tables::{BYTE, CONTROL, Keys, NORMAL, UNKNOWN, USER_DEFINED};

const MARKS: [(&str, f32, i32); 3] = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)];

fn llama(pieces: &[(&str, f32)]) -> Keys {
    let pieces = pieces.iter().map(|&(text, score)| (text, score, NORMAL));
    Keys::of("llama").tokens(&MARKS.into_iter().chain(pieces).collect::<Vec<_>>())
}

/// The pieces of a text, separated by bars.
fn pieces(tokenizer: &Tokenizer, text: &str) -> String {
    let ids = tokenizer.encode(text, Parse);
    ids.iter().map(|&id| tokenizer.piece(id).expect("a token")).collect::<Vec<_>>().join("|")
}

#[test]
fn threads_share_one() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&bert().load().expect("valid"));
}

#[test]
fn a_space_before_every_stretch() {
    let keys = llama(&[("\u{2581}", -3.0), ("a", -2.0), ("\u{2581}a", -1.0)]);
    let tokenizer = keys.load().expect("valid");
    assert_eq!(pieces(&tokenizer, "a"), "\u{2581}a");
    assert_eq!(pieces(&tokenizer, "aa</s>a"), "\u{2581}a|a|</s>|\u{2581}a");
    assert_eq!(pieces(&tokenizer, ""), "");
    assert_eq!(tokenizer.decode(&tokenizer.encode("a a", Parse)), "a a");
    let without = keys.bool("add_space_prefix", false).load().expect("valid");
    assert_eq!(pieces(&without, "a a"), "a|\u{2581}a");
}

#[test]
fn bos_and_eos_as_stated() {
    let keys = llama(&[("a", -1.0)]);
    let tokenizer = keys.load().expect("valid");
    assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[1][..], &[][..]));
    let keys = keys.bool("add_bos_token", false).bool("add_eos_token", true).u32("eos_token_id", 1);
    let tokenizer = keys.load().expect("valid");
    assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[][..], &[1][..]));
}

#[test]
fn the_best_score_then_the_longest_left_then_the_leftmost() {
    let tokenizer =
        |pieces: &[(&str, f32)]| llama(pieces).bool("add_space_prefix", false).load().expect("valid");
    let letters = [("a", -9.0), ("b", -9.0), ("c", -9.0)];
    let with = |more: &[(&'static str, f32)]| tokenizer(&[&letters[..], more].concat());
    assert_eq!(pieces(&with(&[("ab", -1.0), ("bc", -2.0)]), "abc"), "ab|c");
    assert_eq!(pieces(&with(&[("ab", -2.0), ("bc", -1.0)]), "abc"), "a|bc");
    assert_eq!(pieces(&with(&[("aa", -1.0)]), "aaaaa"), "aa|aa|a");
    // Equal scores: the pair with the longer left part goes first, so that runs grow from the left.
    assert_eq!(pieces(&with(&[("aa", -1.0), ("aaa", -1.0)]), "aaaaa"), "aaa|aa");
    // abc can only be made from parts that are tokens themselves.
    assert_eq!(pieces(&with(&[("abc", -1.0)]), "abc"), "a|b|c");
}

#[test]
fn runs_without_bytes_are_one_unknown() {
    let tokenizer = llama(&[("a", -1.0)]).bool("add_space_prefix", false).load().expect("valid");
    assert_eq!(pieces(&tokenizer, "\u{e9}\u{4e2d}a\u{e9}"), "<unk>|a|<unk>");
    // Not over a mark in between, nor into one.
    assert_eq!(pieces(&tokenizer, "\u{e9}<unk>\u{e9}"), "<unk>|<unk>|<unk>");
}

#[test]
fn characters_become_bytes() {
    let names: Vec<String> = (0..256).map(|byte| format!("<0x{byte:02X}>")).collect();
    let mut tokens = MARKS.to_vec();
    tokens.extend(names.iter().map(|name| (name.as_str(), 0.0, BYTE)));
    tokens.extend([("a", -1.0, NORMAL), ("<", -1.0, NORMAL), ("0", -1.0, NORMAL), ("<0", -1.0, NORMAL)]);
    let keys = Keys::of("llama").tokens(&tokens).bool("add_space_prefix", false);
    let tokenizer = keys.load().expect("valid");
    assert_eq!(pieces(&tokenizer, "a\u{e9}<0x"), "a|<0xC3>|<0xA9>|<0|<0x78>");
    assert_eq!(tokenizer.decode(&tokenizer.encode("a\u{e9}", Parse)), "a\u{e9}");
    assert_eq!(tokenizer.decode(&tokenizer.encode("\u{e9}", Parse)[..1]), "\u{fffd}");
    // Without types, the texts tell.
    let texts: Vec<_> = tokens.iter().map(|&(text, _, _)| text).collect();
    let scores: Vec<_> = tokens.iter().map(|&(_, score, _)| score).collect();
    let untyped = Keys::of("llama").strings("tokens", &texts).f32s("scores", &scores);
    let untyped = untyped.bool("add_space_prefix", false).load().expect("valid");
    assert_eq!(pieces(&untyped, "a\u{e9}</s><0x"), "a|<0xC3>|<0xA9>|</s>|<0|<0x78>");
    assert_eq!(untyped.token_type(1), Some(TokenType::Control));
}

#[test]
fn user_defined_tokens_come_first_and_are_written_with_spaces() {
    let mut tokens = MARKS.to_vec();
    tokens.extend([("\u{2581}", -1.0, NORMAL), ("a", -2.0, NORMAL), ("\u{2581}a", -0.5, NORMAL)]);
    tokens.extend([("  ", -1000.0, USER_DEFINED), ("<b>", -1000.0, USER_DEFINED)]);
    let tokenizer = Keys::of("llama").tokens(&tokens).bool("add_space_prefix", false).load().expect("valid");
    assert_eq!(pieces(&tokenizer, "  a"), "\u{2581}\u{2581}|a");
    assert_eq!(pieces(&tokenizer, "a<b>"), "a|<b>");
    assert_eq!(tokenizer.encode("<b>", PlainText), [7]);
}

#[test]
fn the_lowest_id_of_equal_tokens() {
    let tokenizer = llama(&[("a", -1.0), ("a", 0.0), ("", 0.0)]).bool("add_space_prefix", false).load();
    assert_eq!(tokenizer.expect("valid").encode("aa", Parse), [3, 3]);
}

const BERT: [(&str, i32); 14] = [
    ("[PAD]", CONTROL),
    ("[UNK]", CONTROL),
    ("[CLS]", CONTROL),
    ("[SEP]", CONTROL),
    ("\u{2581}un", NORMAL),
    ("\u{2581}want", NORMAL),
    ("want", NORMAL),
    ("able", NORMAL),
    ("\u{2581}\u{e9}", NORMAL),
    ("\u{2581}e", NORMAL),
    ("\u{2581}E", NORMAL),
    ("\u{2581}wantable", NORMAL),
    ("\u{2581}", NORMAL),
    ("\u{2581}<k>", USER_DEFINED),
];

fn bert() -> Keys {
    let texts: Vec<_> = BERT.iter().map(|&(text, _)| text).collect();
    let types: Vec<_> = BERT.iter().map(|&(_, token_type)| token_type).collect();
    let keys = Keys::of("bert").strings("tokens", &texts).i32s("token_type", &types);
    keys.u32("unknown_token_id", 1).u32("cls_token_id", 2).u32("seperator_token_id", 3)
}

#[test]
fn the_longest_piece_first() {
    let tokenizer = bert().load().expect("valid");
    assert_eq!(pieces(&tokenizer, "unwantable wantable want"), "un|##want|##able|wantable|want");
    // A word that cannot be covered is one unknown, whatever its beginning.
    assert_eq!(pieces(&tokenizer, "unwanted able"), "[UNK]|[UNK]");
    assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[2][..], &[3][..]));
    assert_eq!(tokenizer.decode(&[2, 4, 6, 7, 5, 3]), "unwantable want");
}

#[test]
fn cased_and_accented_as_stated() {
    let load = |keys: Keys| keys.load().expect("valid");
    assert_eq!(pieces(&load(bert()), "\u{c9} E"), "e|e");
    let cased = bert().bool("normalizer.lowercase", false);
    assert_eq!(pieces(&load(cased.clone()), "\u{e9} E e"), "\u{e9}|E|e");
    assert_eq!(pieces(&load(cased.bool("normalizer.strip_accents", true)), "\u{c9} \u{e9}"), "E|e");
    assert_eq!(pieces(&load(bert().bool("normalizer.strip_accents", false)), "\u{c9}"), "\u{e9}");
}

#[test]
fn pieces_that_look_like_the_marker() {
    let tokenizer = bert().load().expect("valid");
    // "##▁" of the authors is written as the marker alone: it goes on with a word and begins none.
    assert_eq!(pieces(&tokenizer, "un\u{2581}"), "un|##\u{2581}");
    assert_eq!(pieces(&tokenizer, "\u{2581}"), "[UNK]");
    // All but control tokens are written with the marker, special ones too.
    assert_eq!(pieces(&tokenizer, "un<k>un"), "un|<k>|un");
}

fn t5(pieces: &[(&str, f32)]) -> Keys {
    let marks =
        [("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("<mask>", 0.0, CONTROL)];
    let pieces = pieces.iter().map(|&(text, score)| (text, score, NORMAL));
    Keys::of("t5").tokens(&marks.into_iter().chain(pieces).collect::<Vec<_>>()).u32("mask_token_id", 3)
}

#[test]
fn the_best_sum_of_scores() {
    let letters = [("a", -2.0), ("b", -2.0), ("c", -2.0), ("\u{2581}", -2.0)];
    let tokenizer = |more: &[(&'static str, f32)]| t5(&[&letters[..], more].concat()).load().expect("valid");
    assert_eq!(pieces(&tokenizer(&[("ab", -3.0), ("bc", -2.5)]), "abc"), "a|bc");
    assert_eq!(pieces(&tokenizer(&[("ab", -2.5), ("bc", -3.0)]), "abc"), "ab|c");
    assert_eq!(pieces(&tokenizer(&[("abc", -7.0)]), "abc"), "a|b|c");
    // Of equal sums, the one whose last token begins first.
    assert_eq!(pieces(&tokenizer(&[("ab", -3.0), ("bc", -3.0)]), "abc"), "a|bc");
    // Unknown characters side by side are one.
    assert_eq!(pieces(&tokenizer(&[]), "a\u{e9}\u{4e2d}b\u{e9}"), "a|<unk>|b|<unk>");
    assert_eq!((tokenizer(&[]).prefix(), tokenizer(&[]).suffix()), (&[][..], &[1][..]));
}

#[test]
fn spaces_of_unigram_as_stated() {
    let keys = t5(&[("a", -2.0), ("\u{2581}", -2.0), ("\u{2581}a", -1.0)]);
    let load = |keys: &Keys| keys.load().expect("valid");
    assert_eq!(pieces(&load(&keys), " a  a "), "\u{2581}a|\u{2581}|\u{2581}a|\u{2581}");
    let prefix = keys.clone().bool("add_space_prefix", true);
    assert_eq!(pieces(&load(&prefix), "aa</s>a"), "\u{2581}a|a|</s>|\u{2581}a");
    let joined = prefix.bool("remove_extra_whitespaces", true);
    assert_eq!(pieces(&load(&joined), "  a \n a  "), "\u{2581}a|\u{2581}a");
    assert_eq!(pieces(&load(&joined), "   "), "");
    // The mask takes the spaces before it, wherever they come from.
    assert_eq!(pieces(&load(&keys), "a  <mask> a"), "a|<mask>|\u{2581}a");
}

#[test]
fn a_character_map() {
    // One key: "b" becomes "a".
    let mut units = [0u32; 512];
    units[usize::from(b'b')] = u32::from(b'b') | 1 << 8 | (256 ^ u32::from(b'b')) << 10;
    units[256] = 1 << 31;
    let units: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let map = [&2048u32.to_le_bytes()[..], &units, b"a\0"].concat();
    let tokenizer = t5(&[("a", -2.0), ("c", -2.0)]).u8s("precompiled_charsmap", &map).load().expect("valid");
    assert_eq!(pieces(&tokenizer, "abc"), "a|a|c");
    // A grapheme of less than 6 bytes that begins with a key goes as a whole, accent and all: so the authors do it.
    assert_eq!(pieces(&tokenizer, "cb\u{301}c"), "c|a|c");
    assert_eq!(pieces(&tokenizer, "b\u{301}\u{301}\u{301}c"), "a|<unk>|c");
}

#[test]
fn closed_by_a_separator() {
    let tokens = ["a", "[CLS]", "[SEP]"];
    let keys = Keys::of("gpt2").strings("tokens", &tokens).i32s("token_type", &[NORMAL, CONTROL, CONTROL]);
    let keys = keys.str("pre", "modern-bert").strings::<&str>("merges", &[]);
    let keys = keys.u32("cls_token_id", 1).u32("seperator_token_id", 2).bool("add_bos_token", true);
    // That key is of what stands between pairs.
    for of_pairs in [true, false] {
        let tokenizer = keys.clone().bool("add_sep_token", of_pairs).load().expect("valid");
        assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[1][..], &[2][..]));
    }
    let open = keys.bool("add_eos_token", false).load().expect("valid");
    assert_eq!((open.prefix(), open.suffix()), (&[1][..], &[][..]));
}

#[test]
fn merges_of_characters() {
    let tokens = ["a", "\u{2581}", "\u{2581}a", "<unk>", "<s>", "\u{e9}", "\u{2581}\u{2581}"];
    let types = [1, 1, 1, UNKNOWN, CONTROL, 1, USER_DEFINED];
    let keys = Keys::of("gemma4").strings("tokens", &tokens).i32s("token_type", &types);
    let keys = keys
        .strings("merges", &["\u{2581} a", "\u{2581} \u{2581}"])
        .u32("unknown_token_id", 3)
        .u32("bos_token_id", 4);
    let tokenizer = keys.load().expect("valid");
    assert_eq!(pieces(&tokenizer, "a a\u{e9} \u{2581}a"), "a|\u{2581}a|\u{e9}|\u{2581}|\u{2581}a");
    assert_eq!(pieces(&tokenizer, "\u{4e2d}\u{4e2d}a\u{4e2d}"), "<unk>|a|<unk>");
    assert_eq!(tokenizer.prefix(), [4]);
    for text in ["a a", "a  a", "   "] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text, Parse)), text);
    }
}

/// Hugging Face's Metaspace puts its space where none is, at the beginning of a text alone if it says so.
#[test]
fn the_space_before_a_text_goes_by_its_scheme() {
    let tokens =
        [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("\u{2581}a", -1.0, NORMAL)];
    let tokens = [&tokens[..], &[("a", -2.0, NORMAL), ("\u{2581}", -3.0, NORMAL)]].concat();
    let keys = Keys::of("llama").tokens(&tokens);
    const SCHEME: &str = "tokenizer.huggingface.prepend_scheme";
    for (scheme, spaced, after_a_mark) in [
        (None, vec![5, 3], vec![1, 3]),
        (Some("always"), vec![3], vec![1, 3]),
        (Some("first"), vec![3], vec![1, 4]),
    ] {
        let keys = scheme.map_or(keys.clone(), |scheme| keys.clone().str(SCHEME, scheme));
        let tokenizer = keys.load().expect("valid");
        assert_eq!(tokenizer.encode("a", Parse), [3], "{scheme:?}");
        assert_eq!(tokenizer.encode(" a", Parse), spaced, "{scheme:?}");
        assert_eq!(tokenizer.encode("<s>a", Parse), after_a_mark, "{scheme:?}");
        // What begins with several spaces, or is one, was given none.
        for text in ["a", " a", "  a", "   a ", " ", "  "] {
            let ids = tokenizer.encode(text, Parse);
            assert_eq!(tokenizer.encode(&tokenizer.decode(&ids), Parse), ids, "{scheme:?}: {text:?}");
        }
        assert_eq!(tokenizer.decode(&[3]), "a", "{scheme:?}");
    }
    let error = keys.str(SCHEME, "never").load().expect_err("no such scheme");
    assert_eq!(error.key(), SCHEME);
}

/// Nor do Unigram and BPE of bytes put one before a space, so that none is taken away there.
#[test]
fn spaces_before_a_text_come_back() {
    let tokens = [("<unk>", 0.0, UNKNOWN), ("\u{2581}a", -1.0, NORMAL), ("a", -2.0, NORMAL)];
    let unigram = Keys::of("t5")
        .u32("unknown_token_id", 0)
        .tokens(&[&tokens[..], &[("\u{2581}", -3.0, NORMAL)]].concat());
    let bytes =
        Keys::of("gpt2").strings("tokens", &["a", "\u{120}", "\u{120}a"]).i32s("token_type", &[NORMAL; 3]);
    let bytes = bytes.str("pre", "gpt-2").strings("merges", &["\u{120} a"]);
    for keys in [unigram, bytes] {
        let tokenizer =
            keys.bool("add_space_prefix", true).bool("add_eos_token", false).load().expect("valid");
        assert_eq!(tokenizer.encode("a", Parse), tokenizer.encode(" a", Parse));
        assert_eq!(tokenizer.decode(&tokenizer.encode(" a", Parse)), "a");
        for text in ["a", "  a", "   a a", " "] {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text, Parse)), text);
        }
    }
}

#[test]
fn how_tokens_are_looked_for() {
    let tokens =
        [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("a", -1.0, NORMAL), ("word", 0.0, USER_DEFINED)];
    let tokenizer = Keys::of("llama").tokens(&tokens).bool("add_eos_token", false).load().expect("valid");
    let raw = Some(connote_tokenizer::Search { normalized: false, takes_spaces: false });
    assert_eq!([0, 1, 3].map(|id| tokenizer.looks_for(id)), [raw; 3]);
    assert_eq!([2, 9].map(|id| tokenizer.looks_for(id)), [None; 2]);
}
