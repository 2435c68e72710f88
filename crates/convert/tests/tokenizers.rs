//! The authors' tokenizer is what their classes make of the files, and not always what `tokenizer.json` says: it is written, or
//! the folder is refused.

mod changed;

use std::fs;

use changed::Changed;
use connote::tokenizer::SpecialTokens;
use connote_convert::{FileType, Folder};
use serde_json::{Value, json};
use testkit::hf_folder::write_json;

const TOKENIZER: &str = "tokenizer.json";
const CLASS: &str = "tokenizer_config.json";

fn model(folder: &Changed) -> connote::Model {
    let model = Folder::open(folder.path()).expect("opened").name("a name").model().expect("a model");
    let mut bytes = Vec::new();
    model.write(FileType::F32, &mut bytes, |_| true).expect("written");
    connote::Model::from_bytes(bytes).expect("connote opens it")
}

fn ids(folder: &Changed, text: &str) -> Vec<u32> {
    model(folder).tokenizer().encode(text, SpecialTokens::Parse)
}

fn notes(folder: &Changed) -> Vec<String> {
    Folder::open(folder.path()).expect("opened").name("a name").model().expect("a model").notes().to_vec()
}

/// BERT's classes lowercase, and strip accents as they do, unless they are called otherwise.
#[test]
fn a_class_takes_its_own_arguments_before_its_file() {
    let folder = Changed::of("bert-mean");
    let says = |class: &Value| write_json(folder.path(), CLASS, class);
    for class in [
        json!({}),
        json!({"tokenizer_class": "BertTokenizer"}),
        json!({"tokenizer_class": "DistilBertTokenizer"}),
    ] {
        says(&class);
        folder.refused(&[
            CLASS,
            "`do_lower_case` is not there, so that the authors' class takes true, and the normalizer of tokenizer.json has \
             lowercase false; make them agree",
        ]);
    }
    fs::remove_file(folder.path().join(CLASS)).expect("removed");
    folder.refused(&["`do_lower_case` is not there"]);
    // Classes of no model take the file as it is.
    says(&json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
    assert_ne!(ids(&folder, "Hello"), ids(&folder, "hello"));

    let folder = Changed::of("bert-cls");
    let says = |class: &Value| write_json(folder.path(), CLASS, class);
    folder.set(TOKENIZER, "/normalizer/strip_accents", json!(false));
    folder.refused(&[
        "`strip_accents` is not there, so that the authors' class takes true",
        "strip_accents false",
    ]);
    for class in [
        json!({"tokenizer_class": "BertTokenizer", "strip_accents": false}),
        json!({"tokenizer_class": "PreTrainedTokenizerFast"}),
    ] {
        says(&class);
        assert_eq!(folder.convert().err(), None, "{class}");
    }
    // null is as capitals go, which is the same.
    says(&json!({"tokenizer_class": "BertTokenizer", "strip_accents": true}));
    folder.set(TOKENIZER, "/normalizer/strip_accents", Value::Null);
    assert_eq!(folder.convert().err(), None);
}

#[test]
fn texts_that_lose_their_beginning_are_told() {
    let told = "of a text that is too long the authors leave out the beginning (truncation_side): embed with --truncate start";
    let folder = Changed::of("qwen3");
    assert_eq!(notes(&folder), [""; 0]);
    let cut =
        |side: &str| json!({"direction": side, "max_length": 7, "strategy": "LongestFirst", "stride": 0});
    folder.set(TOKENIZER, "/truncation", cut("Left"));
    assert_eq!(notes(&folder), [told]);
    // The class's argument goes before it.
    write_json(folder.path(), CLASS, &json!({"truncation_side": "right"}));
    assert_eq!(notes(&folder), [""; 0]);
    folder.set(TOKENIZER, "/truncation", cut("Right"));
    write_json(folder.path(), CLASS, &json!({"truncation_side": "left"}));
    assert_eq!(notes(&folder), [told]);
}

/// As LlamaTokenizer of transformers 5 saves it.
#[test]
fn metaspace_puts_no_second_space_before_a_text() {
    let prepended = Changed::of("llama");
    let (bare, spaced) = (ids(&prepended, "a"), ids(&prepended, " a"));
    assert_ne!(bare, spaced);
    for (scheme, everywhere) in [("always", true), ("first", false)] {
        let folder = Changed::of("llama");
        let metaspace =
            json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": false});
        folder.set(TOKENIZER, "/normalizer", Value::Null).set(TOKENIZER, "/pre_tokenizer", metaspace);
        for text in ["a", " a", "\u{2581}a"] {
            assert_eq!(ids(&folder, text), bare, "{scheme}: {text:?}");
        }
        let after = ids(&folder, "<s>a");
        assert_eq!(after[1..] == bare[..], everywhere, "{scheme}");
        assert_eq!(ids(&folder, "<s> a")[1..], bare[..], "{scheme}");
        assert!(notes(&folder).iter().any(|note| note.contains("llama.cpp does")), "{:?}", notes(&folder));
    }
    let never =
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "never", "split": false});
    let folder = Changed::of("llama");
    folder.set(TOKENIZER, "/normalizer", Value::Null).set(TOKENIZER, "/pre_tokenizer", never);
    assert_eq!(ids(&folder, " a"), bare);
    assert_ne!(ids(&folder, "a"), bare);
}

#[test]
fn metaspace_of_unigram_may_be_of_the_first_stretch_alone() {
    let folder = Changed::of("xlm-roberta");
    let metaspace =
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": true});
    let normalizer = folder.read(TOKENIZER)["normalizer"].clone();
    let strip = json!({"type": "Strip", "strip_left": false, "strip_right": true});
    let join = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u{2581}"});
    let normalizers = json!({"type": "Sequence", "normalizers": [normalizer, strip, join]});
    folder.set(TOKENIZER, "/pre_tokenizer", metaspace).set(TOKENIZER, "/normalizer", normalizers);
    write_json(folder.path(), CLASS, &json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
    let word = ids(&folder, "the");
    assert_eq!(ids(&folder, " the"), word);
    assert_eq!(ids(&folder, "<s>  the")[1..], word[..]);
    assert_ne!(ids(&folder, "<s>the")[1..], word[..]);
    assert_eq!(ids(&folder, "the  the"), [word.clone(), word].concat());
}

#[test]
fn a_class_that_leaves_its_files_normalizer_is_told() {
    let said = |scheme: &str| {
        format!(
            "LlamaTokenizer of transformers 5 takes Metaspace with prepend_scheme {scheme} instead, which gives other tokens at \
             the beginning of some texts"
        )
    };
    let folder = Changed::of("llama");
    let (bare, spaced) = (ids(&folder, "a"), ids(&folder, " a"));
    for (class, scheme) in [
        (json!({"tokenizer_class": "LlamaTokenizer"}), "first"),
        (json!({"tokenizer_class": "LlamaTokenizerFast", "legacy": null}), "first"),
        (json!({"tokenizer_class": "LlamaTokenizer", "legacy": true}), "always"),
        (json!({"tokenizer_class": "LlamaTokenizer", "add_prefix_space": false}), "never"),
    ] {
        write_json(folder.path(), CLASS, &class);
        let told = notes(&folder);
        assert!(told.len() == 1 && told[0].ends_with(&said(scheme)), "{class}: {told:?}");
        assert_eq!((ids(&folder, "a"), ids(&folder, " a")), (bare.clone(), spaced.clone()), "{class}");
    }
    write_json(folder.path(), CLASS, &json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
    assert_eq!(notes(&folder), [""; 0]);
    // Mistral's is another, whatever the folder calls it.
    write_json(folder.path(), CLASS, &json!({"tokenizer_class": "LlamaTokenizer"}));
    folder.set("config.json", "/model_type", json!("mistral"));
    assert_eq!(notes(&folder), [""; 0]);
    // What the class saves is what it takes.
    let folder = Changed::of("llama");
    let metaspace =
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": false});
    folder.set(TOKENIZER, "/normalizer", Value::Null).set(TOKENIZER, "/pre_tokenizer", metaspace);
    let before = notes(&folder);
    write_json(folder.path(), CLASS, &json!({"tokenizer_class": "LlamaTokenizer"}));
    assert_eq!(notes(&folder), before);
}

/// XLM-R's form on the Hub, and umT5's, which has no map of characters. Expectations are transformers 5.24's, but for what is
/// told.
#[test]
fn spaces_of_unigram_are_as_the_class_has_them() {
    let join = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
    let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "\u{2581}", "add_prefix_space": true, "prepend_scheme": scheme});
    let last = "a text that ends in white space has one more token at the authors'";
    let of = |name: &str, maps: bool, scheme: &str| {
        let folder = Changed::of(name);
        let map = folder.read(TOKENIZER)["normalizer"].clone();
        let normalizers = if maps { json!([map, join]) } else { json!([join]) };
        let normalizer = json!({"type": "Sequence", "normalizers": normalizers});
        folder.set(TOKENIZER, "/normalizer", normalizer).set(TOKENIZER, "/pre_tokenizer", metaspace(scheme));
        folder
    };
    let joined = |folder: &Changed| {
        let word = ids(folder, "the");
        assert_eq!(ids(folder, "the "), word);
        assert_eq!(ids(folder, "\t the  \n\tthe"), [word.clone(), word].concat());
    };
    let folder = of("xlm-roberta", true, "always");
    for class in ["XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "T5Tokenizer", "T5TokenizerFast"] {
        write_json(folder.path(), CLASS, &json!({"tokenizer_class": class}));
        assert_eq!(notes(&folder), [""; 0], "{class}");
        joined(&folder);
    }
    write_json(folder.path(), CLASS, &json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
    assert_eq!(notes(&folder), [last]);
    joined(&folder);
    // Where no class is named, it is the one of the kind of model.
    fs::remove_file(folder.path().join(CLASS)).expect("removed");
    assert_eq!(notes(&folder), [""; 0]);
    write_json(
        folder.path(),
        CLASS,
        &json!({"tokenizer_class": "XLMRobertaTokenizer", "add_prefix_space": false}),
    );
    folder.refused(&[CLASS, "`add_prefix_space` is false", "loses the spaces between words"]);

    // The class has a scheme of its own.
    let folder = of("xlm-roberta", true, "first");
    let told = notes(&folder);
    assert!(told[0].contains("as XLMRobertaTokenizer of transformers 5 does"), "{told:?}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(ids(&folder, "<s>the")[1..], ids(&folder, "the")[..]);

    // umT5's class takes its file, whatever the folder calls it.
    let folder = of("t5encoder", false, "always");
    assert_eq!(notes(&folder), [""; 0]);
    joined(&folder);
    folder.set("config.json", "/model_type", json!("umt5"));
    write_json(folder.path(), CLASS, &json!({"tokenizer_class": "T5Tokenizer"}));
    let told = notes(&folder);
    assert!(told[0] == last && told[1].contains("white space that is no space"), "{told:?}");
}

#[test]
fn a_space_before_bytes_is_what_the_class_says() {
    let folder = Changed::of("roberta");
    let spaced = ids(&folder, " a");
    assert_ne!(ids(&folder, "a"), spaced);
    folder.set(TOKENIZER, "/pre_tokenizer/add_prefix_space", json!(true));
    folder.refused(&[
        "`add_prefix_space` is not there, which is false",
        "tokenizer.json says true; make them agree",
    ]);
    write_json(
        folder.path(),
        CLASS,
        &json!({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true}),
    );
    assert_eq!(ids(&folder, "a"), spaced);
    folder.set(TOKENIZER, "/pre_tokenizer/add_prefix_space", json!(false));
    folder.refused(&["`add_prefix_space` is true", "tokenizer.json says false; make them agree"]);
    // After other cuts it is one before every piece.
    let folder = Changed::of("qwen3");
    folder.set(TOKENIZER, "/pre_tokenizer/pretokenizers/1/add_prefix_space", json!(true));
    write_json(folder.path(), CLASS, &json!({"add_prefix_space": true}));
    folder.refused(&["a space before every piece"]);
}

#[test]
fn the_tokenizers_limit_is_a_texts() {
    let folder = Changed::of("bert-cls");
    let longest = |limit: Value| {
        write_json(folder.path(), CLASS, &json!({"model_max_length": limit}));
        model(&folder).max_tokens()
    };
    let context = longest(Value::Null);
    assert_eq!(longest(json!(12)), 12);
    assert_eq!(longest(json!(context + 1)), context);
    assert_eq!(longest(json!(1e30)), context, "no limit");
    // What sentence-transformers is told goes before it.
    write_json(folder.path(), "sentence_bert_config.json", &json!({"max_seq_length": 17}));
    assert_eq!(longest(json!(12)), 17);
}

/// Puts a token in the place of one that no merge needs, among those that are looked for; gives its id.
fn add(folder: &Changed, text: &str, flags: Value) -> u32 {
    let mut tokenizer = folder.read(TOKENIZER);
    let (merges, added) = (tokenizer["model"]["merges"].clone(), tokenizer["added_tokens"].clone());
    let parts = |merge: &Value| match merge.as_str() {
        Some(merge) => merge.split(' ').map(str::to_owned).collect::<Vec<_>>(),
        None => {
            vec![merge[0].as_str().expect("a part").to_owned(), merge[1].as_str().expect("a part").to_owned()]
        }
    };
    let mut needed: std::collections::HashSet<String> = std::collections::HashSet::new();
    for parts in merges.as_array().into_iter().flatten().map(parts) {
        needed.insert(parts.concat());
        needed.extend(parts);
    }
    needed.extend(
        added
            .as_array()
            .into_iter()
            .flatten()
            .map(|token| token["content"].as_str().expect("a text").to_owned()),
    );
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().expect("a vocabulary");
    let free = |(known, _): &(&String, &Value)| !needed.contains(*known) && !known.starts_with("<0x");
    let (known, id) = vocabulary.iter().filter(free).max_by_key(|(_, id)| id.as_u64()).expect("one is free");
    let (known, id) = (known.clone(), id.clone());
    vocabulary.remove(&known);
    vocabulary.insert(text.to_owned(), id.clone());
    let mut token = json!({
        "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false,
    });
    token.as_object_mut().expect("an object").extend(flags.as_object().expect("flags").clone());
    tokenizer["added_tokens"].as_array_mut().expect("a list").push(token);
    write_json(folder.path(), TOKENIZER, &tokenizer);
    id.as_u64().expect("an id") as u32
}

#[test]
fn flags_of_added_words_are_kept_or_refused() {
    let cases: &[(&str, Value, Option<&str>)] = &[
        ("bert-cls", json!({}), None),
        // Spaces are nothing to WordPiece.
        ("bert-cls", json!({"lstrip": true, "rstrip": true}), None),
        ("bert-cls", json!({"normalized": true}), Some("normalized of the added token \"Foo\" is true")),
        ("bert-cls", json!({"single_word": true}), Some("single_word of the added token \"Foo\" is true")),
        ("roberta", json!({"normalized": true}), None),
        ("roberta", json!({"rstrip": true}), Some("rstrip of the added token \"Foo\" is true")),
        ("roberta", json!({"lstrip": true}), Some("lstrip of the added token \"Foo\" is true")),
        ("llama", json!({"normalized": true}), Some("normalized of the added token \"Foo\" is true")),
        ("gemma-embedding", json!({"normalized": true}), None),
    ];
    for (name, flags, refused) in cases {
        let folder = Changed::of(name);
        let id = add(&folder, "Foo", flags.clone());
        match refused {
            Some(says) => folder.refused(&[says, "which GGUF has no way to say"]),
            None => {
                assert_eq!(notes(&folder), [""; 0], "{name} {flags}");
                assert_eq!(ids(&folder, "Foo"), [id], "{name} {flags}");
            }
        }
    }
    // Of marks it is told, for texts seldom spell them out.
    let folder = Changed::of("roberta");
    folder.set(TOKENIZER, "/added_tokens/4/lstrip", json!(false));
    let told = notes(&folder);
    assert!(told[0].contains("lstrip of the added token \"<mask>\" is false"), "{told:?}");
    let folder = Changed::of("modern-bert");
    add(&folder, "Foo", json!({"normalized": false}));
    let told = notes(&folder);
    assert!(told[0].contains("normalized of the added token \"Foo\" is false"), "{told:?}");
}

/// What is written opens: marks are known by the authors' names, whether they are among the added tokens or not.
#[test]
fn marks_of_wordpiece_need_not_be_added_tokens() {
    let wanted = model(&Changed::of("bert-cls"));
    let around = |model: &connote::Model| {
        let tokenizer = model.tokenizer();
        (tokenizer.prefix().to_vec(), tokenizer.suffix().to_vec(), tokenizer.unk())
    };
    for keep in [vec![], vec![0, 2], vec![1]] {
        let folder = Changed::of("bert-cls");
        let mut tokenizer = folder.read(TOKENIZER);
        let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
        added.retain(|token| keep.iter().any(|id| token["id"] == json!(id)));
        write_json(folder.path(), TOKENIZER, &tokenizer);
        assert_eq!(around(&model(&folder)), around(&wanted), "{keep:?}");
    }
    let folder = Changed::of("bert-cls");
    let vocabulary = folder.read(TOKENIZER)["model"]["vocab"].clone();
    folder.set(TOKENIZER, "/model/unk_token", json!("the"));
    assert_eq!(model(&folder).tokenizer().unk().map(u64::from), vocabulary["the"].as_u64());
    Changed::of("bert-cls")
        .set(TOKENIZER, "/post_processor", Value::Null)
        .refused(&["without a mark before and after it (post_processor)"]);
    // Whatever else a reader falls over is no file, either.
    let folder = Changed::of("qwen2");
    folder.set(TOKENIZER, "/model/merges/0", json!("zq qz"));
    let unopened = "the file would have a tokenizer that connote does not open";
    folder.refused(&[unopened, "not in the vocabulary"]);
    // Such as a name that others know.
    let folder = Changed::of("qwen2");
    let named = Folder::open(folder.path()).expect("opened").pre_tokenizer("no-such-name").model();
    let refusal = named.map(|_| ()).expect_err("connote knows no such name").to_string();
    assert!(refusal.contains(unopened) && refusal.contains("no-such-name"), "{refusal}");
}

#[test]
fn merges_of_characters_are_scores() {
    let folder = Changed::of("gemma-embedding");
    let mut merges = folder.read(TOKENIZER)["model"]["merges"].as_array().expect("a list").clone();
    let first = merges.remove(0);
    folder.set(TOKENIZER, "/model/merges", json!(merges));
    folder.refused(&["its merges lack"]);
    merges.insert(0, first);
    folder.set(TOKENIZER, "/model/merges", json!(merges));
    assert_eq!(folder.convert().err(), None);
    for (flag, value, says) in [
        ("dropout", json!(0.5), "a dropout of 0.5"),
        ("end_of_word_suffix", json!("</w>"), "a end_of_word_suffix of \"</w>\""),
        ("continuing_subword_prefix", json!("##"), "a continuing_subword_prefix of \"##\""),
        ("ignore_merges", json!(true), "ignore_merges is true"),
    ] {
        Changed::of("llama").set(TOKENIZER, &format!("/model/{flag}"), value).refused(&[says]);
    }
    Changed::of("gemma-embedding")
        .set(TOKENIZER, "/normalizer", Value::Null)
        .refused(&["beside BPE of characters"]);
}
