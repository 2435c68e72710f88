#!/usr/bin/env python3
"""Trains small vocabularies and writes the ids that the Hugging Face tokenizer gives for a set of texts.

    python tokenizer_small_vocabularies.py         # testdata/tokenizer/small_{bpe,unigram,wordpiece,whitespace,metaspace}.json
    python tokenizer_small_vocabularies.py NAME ...  # some of them

They are what `cargo test -p connote-tokenizer` proves each kind with, without a network. Needs scripts/tokenizers-requirements.txt.
"""
import io
import json
import pathlib
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

import tokenizer_oracle as oracle
import tokenizer_vocabularies as real
from tokenizer_vocabularies import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED

OUT = pathlib.Path(__file__).parent.parent / "testdata/tokenizer"
MARKS = ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]
TEXTS = [
    "", " ", "  ", "\n", " \n ", "\t\t", "hello", " hello", "hello ", "Hello, world!", "It's I'LL we'Ve they'd 'S '\u017f x'\u017f", "a  b   c    d",
    "1", "12", "123", "1234", "1234567", " 12 345", "\u0663\u0664\u2167\u00bd", "(ab) [c] {d}", "a\r\nb\n\nc\r\r", "  \n\n  x", "x\t\ty \u00a0z\u3000",
    "HTTPServer camelCase ABCdef ABC'S dE", "a/b//\n/c", "!!!\n\n///", "e\u0301 caf\u00e9 cafe\u0301 \u212b \u1e9b\u0323 q\u0307\u0323", "\u1100\u1161\u11a8 \uac01",
    "\u4e2d\u6587ab\u65e5\u672c\u8a9e", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22", "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd",
    "\u0000\u0001\u007f\u0085\ufffd\ufeff", "<s>", "a <mask> b  <mask>", "\n<mask><mask> </s>x", "<unk> <pad", "\uff1cmask\uff1e \uff1cs\uff1e", "\uff48\uff45\u0301\uff4c\uff4c\uff4f",
    "[X] [X]\u0338 a[X]b", "\u2581a \u2581\u2581 b", "\ufb01nd \ufb01\u0301 O\ufb03ce", "Internationalization of tokenizers", "\u0130stanbul \u01c5ungla \u00dcn\u00efc\u00f6d\u00e9", "a" * 101,
    "##ing [CLS] [SEP] [MASK]", "\u00e9" * 9, "don't", "x=1;y+=2*z<3", "https://example.org/a?b=c#d", "\u2003wide\u2009thin\u200bzero",
]


def texts():
    rng = random.Random(9)
    return TEXTS + [oracle.random_text(rng, MARKS)[:60] for _ in range(40)]


def write(name, content):
    # The first variant has the ids of all texts, the others those that differ from it.
    first = content["variants"][0]["ids"]
    for other in content["variants"][1:]:
        other["ids"] = {i: ids for i, ids in enumerate(other["ids"]) if ids != first[i]}
    content["variants"][0]["ids"] = dict(enumerate(first))
    path = OUT / f"small_{name}.json"
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")
    assert path.stat().st_size < 100_000


def variant(tokenizer, **keys):
    ids = {}
    for mode, plain in (("ids", False), ("plain", True)):
        tokenizer.encode_special_tokens = plain
        ids[mode] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts()]
    # Only where it differs; without marks in the texts it is the same.
    ids["plain"] = {i: b for i, (a, b) in enumerate(zip(ids["ids"], ids["plain"])) if a != b}
    return {"keys": keys, **ids}


def bpe():
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    trained.train_from_iterator(real.training_texts(), trainer)
    model = json.loads(trained.to_str())["model"]
    tokens = [text for text, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    kinds = [NORMAL] * len(tokens) + [CONTROL] * len(MARKS) + [USER_DEFINED] * 3
    begin = len(tokens)
    tokens += MARKS + ["[X]", "   ", "  "]
    # A token that no merge makes: where merges are ignored, it is found whole.
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    tokens.insert(begin, "Hello")
    kinds.insert(begin, NORMAL)
    variants = []
    for pre in ("gpt-2", "roberta-bpe", "modern-bert", "qwen2", "qwen35", "llama-bpe", "gpt-4o", "tekken", "starcoder"):
        mask = "<mask>" if pre in ("roberta-bpe", "modern-bert") else None
        variants.append(variant(real.byte_level(tokens, kinds, merges, pre, mask), pre=pre))
    prefixed = real.byte_level(tokens, kinds, merges, "gpt-2")
    prefixed.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    variants.append(variant(prefixed, pre="gpt-2", add_space_prefix=True))
    ids = {"bos_token_id": begin + 1, "eos_token_id": begin + 2, "unknown_token_id": begin + 3, "mask_token_id": begin + 5}
    write("bpe", {"model": "gpt2", "tokens": tokens, "token_type": kinds, "merges": merges, "ids": ids, "texts": texts(), "variants": variants})


def unigram():
    # Some of NFKC and of what SentencePiece adds: wide letters, ligatures, composed letters, controls, spaces.
    rules = {chr(0xFF01 + i): chr(0x21 + i) for i in range(94)}
    rules |= {"\ufb01": "fi", "\ufb03": "ffi", "e\u0301": "\u00e9", "\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\u00a0": " ", "\u2581": " ", "\u200b": " ", "\x01": "", "\u017f": "s"}
    tsv = pathlib.Path("/tmp/connote-rules.tsv")
    hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
    tsv.write_text("".join(f"{hexes(key)}\t{hexes(value)}\n" for key, value in rules.items()))
    model = io.BytesIO()
    lines = [line for text in real.training_texts() for line in text.splitlines() if line][:6000]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", vocab_size=700, character_coverage=0.98, hard_vocab_limit=False,
        normalization_rule_tsv=str(tsv), unk_id=2, bos_id=0, eos_id=1, pad_id=3, user_defined_symbols=["<mask>"], minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    tokens = [piece.piece for piece in proto.pieces]
    scores = [piece.score for piece in proto.pieces]
    kinds = [CONTROL if piece.type == 4 else piece.type for piece in proto.pieces]
    kinds = [CONTROL if text == "<mask>" else kind for text, kind in zip(tokens, kinds)]
    charsmap = proto.normalizer_spec.precompiled_charsmap
    base = {"add_space_prefix": True}
    variants = [
        variant(real.unigram(tokens, scores, kinds, charsmap, 2), remove_extra_whitespaces=True, **base),
        variant(real.unigram(tokens, scores, kinds, charsmap, 2, remove_extra=False), remove_extra_whitespaces=False, **base),
    ]
    ids = {"bos_token_id": 0, "eos_token_id": 1, "unknown_token_id": 2, "mask_token_id": tokens.index("<mask>")}
    content = {"model": "t5", "tokens": tokens, "scores": scores, "token_type": kinds, "ids": ids, "texts": texts()}
    write("unigram", content | {"precompiled_charsmap": list(charsmap), "variants": variants})
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    scores, kinds = scores + [0.0] * 256, kinds + [BYTE] * 256
    variants = [variant(real.unigram(tokens, scores, kinds, None, 2), remove_extra_whitespaces=True, **base)]
    write("unigram_bytes", content | {"tokens": tokens, "scores": scores, "token_type": kinds, "variants": variants})


def wordpiece():
    tokens, kinds = real.train_bert(900, False, False, real.training_texts())
    variants = []
    for lowercase in (False, True):
        for strip_accents in (False, True):
            tokenizer = real.wordpiece(tokens, kinds, lowercase, strip_accents)
            keys = {"normalizer.lowercase": lowercase, "normalizer.strip_accents": strip_accents}
            variants.append(variant(tokenizer, **keys))
    keys = real.bert_keys(tokens, kinds)
    ids = {key: value for key, value in keys.items() if key.endswith("_id")}
    # Nothing said: the capitals of the vocabulary tell.
    variants.append(variant(real.wordpiece(tokens, kinds, False, False)))
    write("wordpiece", {"model": "bert", "tokens": keys["tokens"], "token_type": kinds, "ids": ids, "texts": texts(), "variants": variants})


def whitespace():
    """Characters of words and of what is none, as jina-embeddings-v2-base-zh has them, with capitals and without."""
    tokens, kinds, merges = real.train_characters(800, pre_tokenizers.Whitespace(), MARKS, lowercase=True)
    variants = []
    for lowercase in (True, False):
        tokenizer = real.whitespace(tokens, kinds, merges, lowercase)
        variants.append(variant(tokenizer, pre="whitespace", **{"normalizer.lowercase": lowercase}))
    write_with_file("whitespace", "whitespace", tokens, kinds, merges, variants, real.whitespace(tokens, kinds, merges, True))


def metaspace():
    """Gemma's characters and bytes, cut before every space, as mmBERT has them."""
    lines = ["\n\n", "\n"]
    marks = MARKS + [f"<0x{byte:02X}>" for byte in range(256)] + lines
    tokens, kinds, merges = real.train_characters(1100, real.metaspace_cuts(), marks, lowercase=False)
    kinds = [BYTE if text.startswith("<0x") else USER_DEFINED if text in lines else kind for text, kind in zip(tokens, kinds)]
    tokenizer = real.metaspace(tokens, kinds, merges)
    write_with_file("metaspace", "gpt2", tokens, kinds, merges, [variant(tokenizer, pre="mmbert")], tokenizer)


def write_with_file(name, model, tokens, kinds, merges, variants, tokenizer):
    """The authors' file, too, which `connote convert` is given."""
    ids = {"bos_token_id": "<s>", "eos_token_id": "</s>", "unknown_token_id": "<unk>", "padding_token_id": "<pad>", "mask_token_id": "<mask>"}
    ids = {key: tokens.index(text) for key, text in ids.items()}
    write(name, {"model": model, "tokens": tokens, "token_type": kinds, "merges": merges, "ids": ids, "texts": texts(), "variants": variants})
    around = [(text, tokens.index(text)) for text in ("<s>", "</s>")]
    tokenizer.encode_special_tokens = False
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=around)
    tokenizer.save(str(OUT / f"small_{name}.tokenizer.json"), pretty=False)


if __name__ == "__main__":
    made = {kind.__name__: kind for kind in (bpe, unigram, wordpiece, whitespace, metaspace)}
    for name in sys.argv[1:] or made:
        made[name]()
