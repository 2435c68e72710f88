#!/usr/bin/env python3
"""Converts the tiny models of scripts/oracle as Hugging Face folders, and compares with the GGUF files made from the same weights.

    scripts/convert_twins.py CONNOTE [NAME ...]      # in the environment that scripts/oracle/make.sh makes

A model of the authors' class is saved by `save_pretrained` with its tokenizer, `connote convert --type F32` makes a file of the folder, and
every tensor must have the bytes of testdata/architectures/NAME.gguf, every key of it the same value (those listed in KNOWN but for a reason).
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from gguf import GGUFReader
from safetensors.numpy import save_file
from tokenizers import processors

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts/oracle"))
import make as oracle

# Keys that say the same in other words.
KNOWN = {
    "general.name", "general.file_type", "general.quantization_version", "tokenizer.ggml.pre", "tokenizer.ggml.token_type_count",
    # A mark that is not put around a text may be named or not.
    "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.seperator_token_id", "tokenizer.ggml.cls_token_id",
    # Tiny vocabularies have scores of their own for what is never looked up.
    "tokenizer.ggml.padding_token_id", "tokenizer.ggml.mask_token_id", "tokenizer.ggml.unknown_token_id",
    # llama.cpp's converter says what is so anyway.
    "eurobert.rope.scaling.type",
}
# What the class does not save of itself.
PATCHES = {"llama-embed": {"model_type": "llama_bidirec"}, "t5encoder": {"n_positions": 640}}


def save(case, folder):
    """As a repository at Hugging Face has it."""
    case.model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= PATCHES.get(case.architecture, {})
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = case.vocabulary
    tokenizer, tokens = vocabulary.tokenizer, vocabulary.keys["tokens"]
    around = [(tokens[i], i) for i in vocabulary.begin + vocabulary.end]
    single = [tokens[i] for i in vocabulary.begin] + ["$A"] + [tokens[i] for i in vocabulary.end]
    between = [tokens[i] for i in vocabulary.end] * (2 if vocabulary.keys.get("add_sep_token") else 1)
    pair = [tokens[i] for i in vocabulary.begin] + ["$A"] + between + ["$B"] + [tokens[i] for i in vocabulary.end]
    if around:
        tokenizer.post_processor = processors.TemplateProcessing(single=" ".join(single), pair=" ".join(pair), special_tokens=sorted(set(around)))
    tokenizer.save(str(folder / "tokenizer.json"))
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    dense = [(name, values) for name, values in case.extra if name.startswith("dense_")]
    for name, values in dense:
        head = folder / name
        head.mkdir()
        outputs, inputs = values.shape
        save_file({"linear.weight": numpy.ascontiguousarray(values)}, head / "model.safetensors")
        (head / "config.json").write_text(json.dumps({"in_features": inputs, "out_features": outputs, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}))
        modules.append(("Dense", name))
    modules.append(("Normalize", "9_Normalize"))
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"} for i, (kind, path) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({modes[case.pooling]: True}))


def differences(ours, theirs):
    left, right = ({tensor.name: tensor for tensor in reader.tensors} for reader in (ours, theirs))
    for name in sorted(set(left) ^ set(right)):
        yield f"tensor {name} only in {'ours' if name in left else 'the twin'}"
    for name in sorted(set(left) & set(right)):
        a, b = left[name].data, right[name].data
        if a.shape != b.shape or not numpy.array_equal(a, b):
            yield f"tensor {name}: {a.shape}, {b.shape}, " + (f"off by {abs(a - b).max():.3g}" if a.shape == b.shape else "")
    for key in sorted(set(theirs.fields)):
        if key == "tokenizer.ggml.scores" and theirs.fields["tokenizer.ggml.model"].contents() == "llama":
            continue  # Only their order matters; ids are compared.
        if key in KNOWN or key.startswith("GGUF."):
            continue
        a, b = (reader.fields[key].contents() if key in reader.fields else None for reader in (ours, theirs))
        if a != b and not (isinstance(b, float) and isinstance(a, float) and abs(a - b) < 1e-6 * abs(b)):
            if isinstance(a, list) and isinstance(b, list):
                a, b = next(((x, y) for x, y in zip(a, b) if x != y), (len(a), len(b)))
            yield f"key {key}: {str(a)[:60]!r}, {str(b)[:60]!r}"


def tokenize(connote, file, texts):
    """Ids of all texts; None where connote has no such network."""
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    done = subprocess.run([connote, "tokenize", "--full", "--model", file, "--input-format", "jsonl"], input=lines, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def main():
    connote, *names = sys.argv[1:]
    failed = 0
    for name, build in oracle.cases().items():
        if names and name not in names:
            continue
        case = build(name)
        if case.fused and case.architecture in ("qwen2",):
            print(f"{name}: its twin joins queries, keys and values")
            continue
        if case.adapter or case.proven_by != "transformers":
            print(f"{name}: not of the authors' class, no folder")
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            save(case, folder)
            out = folder / "out.gguf"
            done = subprocess.run([connote, "convert", folder, out, "--type", "F32", "--quiet"], capture_output=True, text=True)
            if done.returncode:
                failed += 1
                print(f"{name}: {done.stderr.strip()}")
                continue
            found = list(differences(GGUFReader(out), GGUFReader(oracle.OUT / f"{name}.gguf")))
            twin = oracle.OUT / f"{name}.gguf"
            texts = [text["text"] for text in json.loads(twin.with_suffix(".json").read_text())["texts"]]
            ids = [tokenize(connote, file, texts) for file in (out, twin)]
            found += [] if ids[0] == ids[1] else ["ids differ"]
            failed += bool(found)
            print(f"{name}: {'; '.join(found) or 'the same'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
