#!/usr/bin/env python3
"""Writes testdata/golden/late.minilm.jsonl: chunks of texts as the authors' stack pools them after all of a text was read.

    python scripts/oracle/late_chunks.py all-MiniLM-L6-v2-F32.gguf MINILM_TOKENIZER.json     # in the environment of scripts/oracle/make.sh

The weights of the file go into transformers' BertModel; sentence-transformers gives the rows (`token_embeddings`), the tokenizer the
characters of each token; a chunk is the mean of the rows of the tokens that lie in it, made one long. That the weights are the authors'
is checked with the vectors of dev.minilm.jsonl, which sentence-transformers made of the model from the hub.
"""
import json
import pathlib
import sys
import tempfile

import gguf
import numpy
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer, models

OUT = pathlib.Path(__file__).parent.parent.parent / "testdata/golden"
PARTS = {
    "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value", "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm", "ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm",
}
EMBEDDINGS = {
    "token_embd": "word_embeddings", "position_embd": "position_embeddings", "token_types": "token_type_embeddings", "token_embd_norm": "LayerNorm",
}
# A bar is where a chunk ends and the next begins; it is not in the text.
TEXTS = [
    "Berlin is the capital and largest city of Germany, both by area and by population.| Its more than 3.85 million inhabitants make it the European "
    "Union's most populous city, as measured by population within city limits.| The city is also one of the states of Germany, and is the third "
    "smallest state in the country in terms of area.",
    "The old lighthouse keeper climbed the stairs.| He had done so every evening for forty years.\n\n|Below, the sea was calm.| It would not stay so.",
    "Crème brûlée was on the menu.| Ça coûte 12 €.| \u4e2d\u6587\u548c\u65e5\u672c\u8a9e| e\u0301te\u0301 — İstanbul.| 👩‍👩‍👧 and 🏳️‍🌈 flags.",
    "one|\n| two |three four five| six",
]


def state(path):
    values = {}
    for tensor in gguf.GGUFReader(path).tensors:
        name, kind = tensor.name.rsplit(".", 1)
        if name.startswith("blk."):
            _, layer, part = name.split(".")
            name = f"encoder.layer.{layer}.{PARTS[part]}.{kind}"
        else:
            name = f"embeddings.{EMBEDDINGS[name]}.{kind}"
        values[name] = torch.from_numpy(numpy.array(tensor.data, dtype=numpy.float32).reshape([int(n) for n in reversed(tensor.shape)]))
    return values


def stack(weights, tokenizer, folder):
    values = state(weights)
    words, dim = values["embeddings.word_embeddings.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in values if name.startswith("encoder.layer."))
    config = transformers.BertConfig(
        vocab_size=words, hidden_size=dim, num_hidden_layers=layers, num_attention_heads=12,
        intermediate_size=values["encoder.layer.0.intermediate.dense.weight"].shape[0],
    )
    model = transformers.BertModel(config, add_pooling_layer=False)
    missing, unexpected = model.load_state_dict(values, strict=False)
    assert not unexpected and not [name for name in missing if "position_ids" not in name], (missing, unexpected)
    model.save_pretrained(folder)
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    transformers.PreTrainedTokenizerFast(tokenizer_file=tokenizer, model_max_length=512, **special).save_pretrained(folder)
    transformer = models.Transformer(folder, max_seq_length=512)
    return SentenceTransformer(modules=[transformer, models.Pooling(dim, "mean")], device="cpu")


def main():
    weights, tokenizer = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        authors = stack(weights, tokenizer, folder)
        for line in list(open(OUT / "dev.minilm.jsonl"))[:8]:
            golden = json.loads(line)
            vector = authors.encode(golden["prompt"] + golden["text"], normalize_embeddings=True)
            assert len(golden["ids"]) > 256 or numpy.dot(vector, golden["embedding"]) > 0.999999, golden["text"]
        lines = []
        for marked in TEXTS:
            text, bounds = "", [0]
            for part in marked.split("|"):
                text += part
                bounds.append(len(text))
            encoded = authors.tokenizer(text, return_offsets_mapping=True)
            rows = authors.encode(text, output_value="token_embeddings").numpy()
            assert len(rows) == len(encoded["input_ids"])
            chunks = []
            for start, end in zip(bounds, bounds[1:]):
                # A special token has no characters.
                own = [row for row, (a, b) in zip(rows, encoded["offset_mapping"]) if a < b and start <= a and b <= end]
                if not own:
                    chunks.append({"bytes": [len(text[:start].encode()), len(text[:end].encode())], "tokens": 0, "embedding": None})
                    continue
                mean = numpy.mean(own, axis=0, dtype=numpy.float64)
                vector = [float(f"{value:.9g}") for value in mean / numpy.linalg.norm(mean)]
                chunks.append({"bytes": [len(text[:start].encode()), len(text[:end].encode())], "tokens": len(own), "embedding": vector})
            lines.append(json.dumps({"text": text, "ids": encoded["input_ids"], "chunks": chunks}, separators=(",", ":"), ensure_ascii=False))
        (OUT / "late.minilm.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
