"""Small vocabularies: the keys that a GGUF file has of each, and the authors' tokenizer that gives the ids.

They are those of testdata/tokenizer (scripts/tokenizer_small_vocabularies.py trained them), laid out as each model family has them.
"""
import dataclasses
import json
import pathlib
import sys

from tokenizers import Tokenizer, models, normalizers

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import tokenizer_vocabularies as real
from tokenizer_vocabularies import BYTE, CONTROL, NORMAL, UNKNOWN

TRAINED = pathlib.Path(__file__).parent.parent.parent / "testdata/tokenizer"


@dataclasses.dataclass
class Vocabulary:
    keys: dict
    tokenizer: Tokenizer
    # What the authors put before and after every text.
    begin: list
    end: list

    @property
    def size(self):
        return len(self.keys["tokens"])

    def encode(self, text):
        return self.begin + self.tokenizer.encode(text, add_special_tokens=False).ids + self.end


def trained(name):
    return json.loads((TRAINED / f"small_{name}.json").read_text())


def wordpiece(lowercase=True, pre="bert-bge"):
    """BERT's: [CLS] text [SEP]."""
    small = trained("wordpiece")
    kinds = small["token_type"]
    spell = lambda text, kind: text if kind == CONTROL else text[1:] if text.startswith("▁") else "##" + text
    tokens = [spell(text, kind) for text, kind in zip(small["tokens"], kinds)]
    keys = real.bert_keys(tokens, kinds, lowercase=lowercase, strip_accents=lowercase)
    keys |= {"pre": pre, "padding_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "token_type_count": 2}
    keys |= {"add_bos_token": True, "add_eos_token": True, "add_sep_token": False}
    return Vocabulary(keys, real.wordpiece(tokens, kinds, lowercase, lowercase), [2], [3])


def unigram(marks, bos, eos):
    """SentencePiece's unigram model with a map of characters. `marks` stand at its start, <mask> at its end."""
    small = trained("unigram")
    pieces = [(t, s) for t, s, kind in zip(small["tokens"], small["scores"], small["token_type"]) if kind == NORMAL]
    tokens = marks + [text for text, _ in pieces] + ["<mask>"]
    scores = [0.0] * len(marks) + [score for _, score in pieces] + [0.0]
    kinds = [UNKNOWN if text == "<unk>" else CONTROL for text in marks] + [NORMAL] * len(pieces) + [CONTROL]
    charsmap, unknown = bytes(small["precompiled_charsmap"]), marks.index("<unk>")
    keys = {"model": "t5", "pre": "default", "tokens": tokens, "scores": scores, "token_type": kinds, "precompiled_charsmap": charsmap}
    keys |= {"unknown_token_id": unknown, "padding_token_id": marks.index("<pad>"), "eos_token_id": marks.index("</s>"), "mask_token_id": len(tokens) - 1}
    if bos:
        keys["bos_token_id"] = marks.index("<s>")
    keys |= {"add_bos_token": bos, "add_eos_token": eos, "add_space_prefix": True, "remove_extra_whitespaces": True, "token_type_count": 1}
    around = ([marks.index("<s>")] if bos else []), ([marks.index("</s>")] if eos else [])
    return Vocabulary(keys, real.unigram(tokens, scores, kinds, charsmap, unknown), *around)


def xlm_roberta():
    """XLM-RoBERTa's: <s> text </s>."""
    return unigram(["<s>", "<pad>", "</s>", "<unk>"], bos=True, eos=True)


def t5():
    """T5's: text </s>."""
    return unigram(["<pad>", "</s>", "<unk>"], bos=False, eos=True)


def byte_level(pre, marks, bos=None, eos=None, sep=None, pad=None, unk=None, mask=None, first=False, both=False):
    """Byte-level BPE. `marks` stand at its end or, as RoBERTa has them, at its start; `sep` is ModernBERT's word for its end."""
    small = trained("bpe")
    words = [text for text, kind in zip(small["tokens"], small["token_type"]) if kind == NORMAL]
    kinds = [NORMAL] * len(words)
    marked = [CONTROL] * len(marks)
    tokens, kinds = (marks + words, marked + kinds) if first else (words + marks, kinds + marked)
    keys = {"model": "gpt2", "pre": pre, "tokens": tokens, "token_type": kinds, "merges": small["merges"]}
    named = {"bos": bos, "eos": eos or sep, "seperator": sep or (eos if both else None), "padding": pad, "unknown": unk, "mask": mask}
    keys |= {f"{key}_token_id": tokens.index(text) for key, text in named.items() if text}
    keys |= {"add_bos_token": bos is not None, "add_eos_token": (eos or sep) is not None, "add_space_prefix": False}
    if both:
        keys["add_sep_token"] = True
    around = [tokens.index(bos)] if bos else [], [tokens.index(eos or sep)] if eos or sep else []
    return Vocabulary(keys, real.byte_level(tokens, kinds, small["merges"], hf_pre(pre), mask), *around)


def hf_pre(pre):
    """jina's and Eurobert's pre-tokenizers are those of RoBERTa and Llama 3 by another name."""
    return {"jina-v2-code": "roberta-bpe", "jina-v2-de": "roberta-bpe", "jina-v5-nano": "llama-bpe"}.get(pre, pre)


def roberta(pre="roberta-bpe"):
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    found = byte_level(pre, marks, bos="<s>", eos="</s>", pad="<pad>", unk="<unk>", mask="<mask>", first=True, both=True)
    found.keys["token_type_count"] = 1
    return found


def modern_bert():
    return byte_level("modern-bert", ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], bos="[CLS]", sep="[SEP]", pad="[PAD]", unk="[UNK]", mask="[MASK]")


def qwen2():
    """Qwen's embedders end every text with <|endoftext|>."""
    return byte_level("qwen2", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], eos="<|endoftext|>", pad="<|endoftext|>")


def llama3():
    return byte_level("llama-bpe", ["<|begin_of_text|>", "<|end_of_text|>"], bos="<|begin_of_text|>", eos="<|end_of_text|>")


def sentencepiece(marks, prefix):
    """Characters merged by score, bytes for what has no piece: Gemma's and, with a space before the text, Mistral's."""
    small = trained("unigram_bytes")
    words = [text for text, kind in zip(small["tokens"], small["token_type"]) if kind == NORMAL]
    # What merges make has a score by its rank; every character is a piece, as SentencePiece has them.
    single = sorted({char for text in words for char in text})
    made = [text for text in dict.fromkeys(words) if len(text) > 1]
    byte = [f"<0x{value:02X}>" for value in range(256)]
    tokens = marks + byte + made + single
    kinds = [UNKNOWN if text == "<unk>" else CONTROL for text in marks] + [BYTE] * 256 + [NORMAL] * (len(made) + len(single))
    scores = [0.0] * (len(marks) + 256) + [-float(rank) for rank in range(len(made) + len(single))]
    place = {text: index for index, text in enumerate(tokens)}
    halves = lambda text: [(text[:cut], text[cut:]) for cut in range(1, len(text)) if text[:cut] in place and text[cut:] in place]
    merges = [pair for text in made for pair in halves(text)]
    tokenizer = Tokenizer(models.BPE(vocab=place, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    spaces = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces]) if prefix else spaces
    tokenizer.add_tokens(list(real.added(tokens, kinds)))
    keys = {"model": "llama", "pre": "default", "tokens": tokens, "scores": scores, "token_type": kinds}
    return keys, tokenizer


def gemma():
    keys, tokenizer = sentencepiece(["<pad>", "<eos>", "<bos>", "<unk>"], prefix=False)
    keys |= {"bos_token_id": 2, "eos_token_id": 1, "unknown_token_id": 3, "padding_token_id": 0}
    keys |= {"add_bos_token": True, "add_eos_token": True, "add_space_prefix": False}
    return Vocabulary(keys, tokenizer, [2], [1])


def mistral():
    """Mistral's embedders put </s> at the end."""
    keys, tokenizer = sentencepiece(["<unk>", "<s>", "</s>"], prefix=True)
    keys |= {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
    keys |= {"add_bos_token": True, "add_eos_token": True, "add_space_prefix": True}
    return Vocabulary(keys, tokenizer, [1], [2])
