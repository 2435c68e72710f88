#!/usr/bin/env python3
"""Models of real dimensions with random weights, to see whether an architecture runs as fast as the next.

    scripts/full_size.py CONNOTE FOLDER [NAME ...]   # in the environment that scripts/oracle/make.sh makes

The authors' class is built with the dimensions of its published model, saved as a Hugging Face folder, and converted to FOLDER/NAME-Q8_0.gguf.
The vocabulary is a small trained one (its table is only looked up), so texts have more tokens than with the real one. Then

    connote bench model --quick --model FOLDER/NAME-Q8_0.gguf

says what fraction of the register peak the products reach, to be held beside EmbeddingGemma's in the same minutes (docs/BENCHMARKS.md).
"""
import pathlib
import subprocess
import sys
import tempfile
import types

import torch
import transformers

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts/oracle"))
import vocabularies
from folders import save

# Qwen3-Embedding-0.6B's config.json.
QWEN3 = dict(hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
             max_position_embeddings=32768, rope_theta=1000000.0)
# ModernBERT-base's, as gte-modernbert-base and nomic's modernbert-embed-base have it.
MODERN_BERT = dict(hidden_size=768, intermediate_size=1152, num_hidden_layers=22, num_attention_heads=12, max_position_embeddings=8192,
                   global_attn_every_n_layers=3, local_attention=128)

CASES = {
    "qwen3-0.6b": ("qwen3", transformers.Qwen3Config, transformers.Qwen3Model, QWEN3, vocabularies.qwen2, "last"),
    "modernbert-base": ("modern-bert", transformers.ModernBertConfig, transformers.ModernBertModel, MODERN_BERT, vocabularies.modern_bert, "cls"),
}


def case(name):
    architecture, config, model, dimensions, vocabulary, pooling = CASES[name]
    words = vocabulary()
    marks = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if architecture == "modern-bert":
        marks |= {"cls_token_id": None, "sep_token_id": None}
    torch.manual_seed(1)
    built = model(config(vocab_size=words.size, **dimensions, **marks)).eval()
    return types.SimpleNamespace(model=built, vocabulary=words, architecture=architecture, extra=[], pooling=pooling, proven_by="transformers")


def main(connote, folder, *names):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names or CASES:
        target = pathlib.Path(folder) / f"{name}-Q8_0.gguf"
        with tempfile.TemporaryDirectory() as home:
            save(case(name), pathlib.Path(home))
            subprocess.run([connote, "convert", "--type", "Q8_0", home, str(target)], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
