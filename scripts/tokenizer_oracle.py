#!/usr/bin/env python3
"""Compares crates/tokenizer with the Hugging Face tokenizer, and writes the committed corpus.

    python tokenizer_oracle.py compare BINARY MODEL.gguf TOKENIZER.json [--seed N] [--count N] [--plain] [--files DIR]
    python tokenizer_oracle.py corpus GEMMA_TOKENIZER.json MINILM_TOKENIZER.json > testdata/tokenizer/difficult.jsonl

BINARY is the example of the crate: cargo build --release -p connote-tokenizer --example oracle_ids
`compare` takes every code point alone and between letters, then random strings, then the files under DIR.
"""
import argparse
import functools
import itertools
import json
import pathlib
import random
import struct
import subprocess
import sys
import unicodedata

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer

# Where characters that behave differently lie: every draw takes a block first, then a character of it.
BLOCKS = [
    (0x20, 0x7F), (0x61, 0x7B), (0x61, 0x7B), (0x30, 0x3A), (0x00, 0x20), (0x7F, 0xA1), (0xA0, 0x100), (0x100, 0x250),
    (0x250, 0x2B0), (0x2B0, 0x300), (0x300, 0x370), (0x300, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x590),
    (0x590, 0x600), (0x600, 0x700), (0x700, 0x900), (0x900, 0xE00), (0xE00, 0x1000), (0x1000, 0x1100),
    (0x1100, 0x1200), (0x1200, 0x1E00), (0x1DC0, 0x1E00), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2200),
    (0x2200, 0x2C00), (0x2580, 0x2584), (0x2C00, 0x3000), (0x3000, 0x3040), (0x3040, 0x3100), (0x3100, 0x3400), (0x3400, 0x4DC0),
    (0x4DC0, 0xA000), (0xA000, 0xAC00), (0xAC00, 0xD7B0), (0xD7B0, 0xD800), (0xE000, 0xF900), (0xF900, 0xFB00),
    (0xFB00, 0xFE00), (0xFE00, 0xFE70), (0xFE70, 0xFF00), (0xFF00, 0x10000), (0x10000, 0x11000), (0x11000, 0x12000),
    (0x16F00, 0x17000), (0x1BC00, 0x1BCB0), (0x1D000, 0x1D250), (0x1D400, 0x1D800), (0x1E000, 0x1F000), (0x1F000, 0x1FB00), (0x1F3FB, 0x1F400),
    (0x20000, 0x2A6F0), (0x2A6F0, 0x2FA20), (0x2B700, 0x2B950), (0xE0000, 0xE0200), (0xF0000, 0x110000), (0, 0x110000),
]
PARTS = [
    " ", " ", " ", "  ", "   ", "\n", "\n\n", "\t", "\r", "\r\n", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufe0f", "\ufffd", "\u0085",
    "▁", "▁▁", "▁▁▁", "▁ ▁", "##", "##ing", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[cls]", "[SEP", "<bos>",
    "<eos>", "<pad>", "<unk>", "<mask>", "[multimodal]", "<unused0>", "<unused10>", "<unused1", "<table>", "</table>", "<h1>", "<",
    ">", "<start_of_turn>", "<end_of_turn>", "<0x0A>", "<0xE2>", ">▁</", "> </", "don't", "I'm", "'S", "'Ll", "'vE", "'re", "'\u017f", "'D", "2026", "1", "\u0663\u0664", "Ⅷ½", "HTTPServer", "camelCase", "a/b//\n", "hello", "Hello",
    "world", "the", "Internationalization", "naïve", "Å", "A\u030a", "İ", "ß", "ǅ", "ﬁ", "한국어", "각", "각", "日本語",
    "中文", "ไทย", "हिन्दी", "বাংলা", "தமிழ்", "עִבְרִית", "العَرَبِيَّة", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "e\u0301\u0323", "q\u0307\u0323",
    "\U0001d15e", "\u302e", "\u302f", "\u0f73", "\u0344", "\u1e9b\u0323", "\u212b", "\u2126", "\u037e", "\u1fef",
]


def character(rng):
    while True:
        low, high = rng.choice(BLOCKS)
        c = rng.randrange(low, high)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def random_text(rng, marks=()):
    """A nasty string; `marks`: texts of special tokens that it may hold, whole or cut."""
    if marks and rng.random() < 0.1:
        parts = []
        for _ in range(rng.randrange(1, 5)):
            mark = rng.choice(marks)
            parts.append(rng.choice([mark, mark, mark[:-1], mark.upper(), "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in mark)]))
            parts.append(rng.choice(["", " ", "  ", "\n", "\u00a0 ", "a", "\u0338", " b ", random_text(rng)[:8]]))
        return "".join(parts)
    kind = rng.random()
    if kind < 0.05:  # one long word around the limit of WordPiece
        base = rng.choice(["a", "ab", "hello", "é", "각", "e\u0301", character(rng)])
        n = rng.choice([98, 99, 100, 101, 102, 200])
        word = (base * n)[: n + (rng.randrange(3) if rng.random() < 0.3 else 0)]
        return rng.choice(["", "x ", "."]) + word + rng.choice(["", " y", "!"])
    if kind < 0.12:  # runs of one thing
        return "".join(rng.choice(PARTS + [character(rng)]) * rng.choice([1, 2, 3, 7, 30, 31, 32, 33, 64]) for _ in range(rng.randrange(1, 5)))
    if kind < 0.3:  # one script
        low, high = rng.choice(BLOCKS)
        letters = [chr(c) for c in (rng.randrange(low, high) for _ in range(rng.randrange(1, 12))) if not 0xD800 <= c < 0xE000]
        return "".join(rng.choice(letters + [" "]) for _ in range(rng.randrange(1, 30))) if letters else ""
    out = []
    for _ in range(rng.randrange(1, 20)):
        r = rng.random()
        if r < 0.4:
            out.append(rng.choice(PARTS))
        elif r < 0.75:
            out.append(character(rng))
        else:
            out.append("".join(rng.choice("etaoinshrdlucmfwypvbgkqjxz") for _ in range(rng.randrange(1, 9))))
    return "".join(out)


def code_points():
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            s = chr(c)
            yield from (s, f"a{s}b", f"<{s}>", f"x {s} y", f"e{s}\u0301\u0323 {s}{s}")


def load(path):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def ours(binary, model, texts, plain):
    data = bytearray()
    for text in texts:
        raw = text.encode()
        data += struct.pack("<I", len(raw)) + raw
    done = subprocess.run([binary, model] + (["plain"] if plain else []), input=bytes(data), stdout=subprocess.PIPE, check=True)
    out, at, result = done.stdout, 0, []
    while at < len(out):
        (n,) = struct.unpack_from("<I", out, at)
        numbers = struct.unpack_from(f"<{3 * n}I", out, at + 4)
        result.append((list(numbers[::3]), list(zip(numbers[1::3], numbers[2::3]))))
        at += 4 + 12 * n
    return result


def batches(texts, size):
    batch = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def file_texts(root):
    for path in sorted(pathlib.Path(root).expanduser().rglob("*")):
        if path.suffix in (".md", ".rs", ".txt", ".py", ".json", ".toml", ".html") and path.is_file() and path.stat().st_size < 300_000:
            yield path.read_bytes().decode("utf-8", "replace")


def in_bytes(text, offsets):
    """Hugging Face counts characters."""
    if text.isascii():
        return offsets
    places = list(itertools.accumulate((len(c.encode()) for c in text), initial=0))
    return [(places[start], places[end]) for start, end in offsets]


def own_offsets(tokenizer):
    """Tells the texts whose offsets need not be those of Hugging Face: docs/TOKENS.md says why."""
    declared = json.loads(tokenizer.to_str())
    normalizer, model = declared["normalizer"] or {}, declared["model"]
    if normalizer.get("type") == "BertNormalizer":
        # Canonical ordering, of what stands side by side once characters are dropped: each keeps its own place, Hugging Face
        # counts them off.
        clean = BertNormalizer(clean_text=normalizer["clean_text"], handle_chinese_chars=False, strip_accents=False, lowercase=False)
        nfd = functools.partial(unicodedata.normalize, "NFD")
        return lambda text: nfd(cleaned := clean.normalize_str(text)) != "".join(map(nfd, cleaned))
    if normalizer.get("type") == "NFC":
        # A composed character comes from all its parts, not from the first.
        return lambda text: tokenizer.normalizer.normalize_str(text) != text
    if normalizer.get("type") == "Precompiled":
        # Where the first character of a text is dropped, Hugging Face counts all others off by one.
        dropped = functools.cache(lambda c: not tokenizer.normalizer.normalize_str(c))
        return lambda text: any(map(dropped, text))
    if model["type"] == "BPE" and len(model["vocab"]) > 256 and not model.get("byte_fallback"):
        # Bytes that are no tokens are dropped, and Hugging Face counts all others off by so many.
        missing = {byte for byte, c in byte_alphabet().items() if c not in model["vocab"]}
        return lambda text: not missing.isdisjoint(text.encode())
    return lambda text: False


def byte_alphabet():
    """GPT-2's: what is printable in Latin-1 stands for itself, the others are counted from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + n) for n, byte in enumerate(others)}


def compare(options):
    tokenizer = load(options.tokenizer)
    tokenizer.encode_special_tokens = options.plain
    vocabulary = tokenizer.get_vocab_size(with_added_tokens=False)

    known = own_offsets(tokenizer)

    def run(name, texts):
        wrong = total = excused = 0
        for batch in batches(texts, 50_000):
            expected = tokenizer.encode_batch(batch, add_special_tokens=False)
            got = ours(options.binary, options.model, batch, options.plain)
            assert len(got) == len(batch)
            total += len(batch)
            for text, theirs, (ids, offsets) in zip(batch, expected, got):
                a, b = theirs.ids, ids
                if a == b:
                    a, b = in_bytes(text, theirs.offsets), offsets
                    if a != b and known(text):
                        excused += 1
                        continue
                # An added token beyond the model's rows (Gemma's <image_soft_token>) is in no GGUF file.
                if a != b and all(i < vocabulary for i in theirs.ids):
                    wrong += 1
                    if wrong <= options.show:
                        what = "offsets" if theirs.ids == ids else "ids"
                        print(f"  {text[:200]!r}\n    {what} of the authors {a[:60]}\n    ours {b[:60]}")
        print(f"{name}: {total} texts, {wrong} differ, {excused} whose offsets are ours (docs/TOKENS.md)", flush=True)
        return wrong

    rng = random.Random(options.seed)
    wrong = 0
    if options.points:
        wrong += run("code points", code_points())
    wrong += run("random", (random_text(rng) for _ in range(options.count)))
    if options.files:
        wrong += run("files", file_texts(options.files))
    sys.exit(1 if wrong else 0)


def corpus(options):
    gemma, minilm = load(options.gemma), load(options.minilm)
    rng = random.Random(7)
    texts = dict.fromkeys(["", " ", "  ", "\n", "\0", "\ufffd", " hello", "hello ", "a ▁ b", " " * 40, "\n" * 70, "\t" * 33, "a" * 300])
    texts.update(dict.fromkeys(PARTS))
    texts.update(dict.fromkeys("a" * n for n in (99, 100, 101)))
    # Every character that is not left as it is, many to a line.
    for low, high in sorted(set(BLOCKS) - {(0, 0x110000)}):
        step = max(1, (high - low) // 64)
        chosen = [chr(c) for c in range(low, high, step) if not 0xD800 <= c < 0xE000]
        for i in range(0, len(chosen), 32):
            texts[" ".join(f"a{s}b {s}" for s in chosen[i : i + 32])] = None
    while len(texts) < 700:
        texts[random_text(rng)] = None
    for text in texts:
        row = {
            "text": text,
            "gemma": gemma.encode(text, add_special_tokens=False).ids,
            "minilm": minilm.encode(text, add_special_tokens=False).ids,
        }
        print(json.dumps(row, separators=(",", ":"), ensure_ascii=False))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    c = commands.add_parser("compare")
    c.add_argument("binary")
    c.add_argument("model")
    c.add_argument("tokenizer")
    c.add_argument("--seed", type=int, default=1)
    c.add_argument("--count", type=int, default=300_000)
    c.add_argument("--show", type=int, default=10)
    c.add_argument("--plain", action="store_true")
    c.add_argument("--no-points", dest="points", action="store_false")
    c.add_argument("--files")
    c.set_defaults(run=compare)
    g = commands.add_parser("corpus")
    g.add_argument("gemma")
    g.add_argument("minilm")
    g.set_defaults(run=corpus)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
