#!/usr/bin/env python3
"""Makes the tiny models of testdata/architectures and what their authors' own classes compute with them.

    scripts/oracle/make.sh [NAME ...]         # all, or some of them

Of each: NAME.gguf, the model; NAME.json, its texts with the authors' ids; NAME.bin, f32 of the vectors and of some texts' rows.
The same bytes come out on every run of one machine; another one's matrix products may round the last bit of NAME.bin otherwise.
"""
import json
import pathlib
import sys

import numpy
import torch
import transformers

import adapters
import decoders
import described
import encoders
import model
from texts import rows as kept_rows
from texts import texts

OUT = pathlib.Path(__file__).parent.parent.parent / "testdata/architectures"


def make(name, build):
    case = build(name)
    path = OUT / f"{name}.gguf"
    if case.adapter:
        adapters.write(path, case)
    else:
        model.write(path, case, model.tensors(case))
    prefix = case.adapter.prefix if case.adapter else ""
    listed, vectors, kept = [], [], []
    for number, text in enumerate(texts(case.vocabulary)):
        ids = case.vocabulary.encode(prefix + text)
        rows, vector = model.embed(case, ids)
        places = kept_rows(number, len(ids))
        listed.append({"text": text, "ids": ids, "rows": places})
        vectors.append(vector)
        kept += [rows[place] for place in places]
    values = numpy.concatenate([numpy.ravel(vectors), numpy.ravel(kept)]).astype("<f4")
    assert numpy.isfinite(values).all()
    (OUT / f"{name}.bin").write_bytes(values.tobytes())
    proven_by = case.proven_by
    if proven_by == "transformers":
        proven_by = f"{type(case.model).__name__} of transformers {transformers.__version__}"
    about = {"file": f"{name}.gguf"}
    if case.adapter:
        about = {"file": f"{adapters.BASE}.gguf", "adapter": f"{name}.gguf", "task": case.adapter.task, "prefix": prefix}
    about |= {"architecture": case.architecture, "proven_by": proven_by, "pooling": case.pooling, "dim": len(vectors[0]), "row_dim": len(rows[0])}
    lines = ",\n".join(json.dumps(text, ensure_ascii=False, separators=(",", ":")) for text in listed)
    (OUT / f"{name}.json").write_text(json.dumps(about)[:-1] + f', "texts": [\n{lines}\n]}}\n')
    likeness = numpy.array(vectors) @ numpy.array(vectors).T
    sizes = [f"{(OUT / f'{name}.{end}').stat().st_size // 1024} KB" for end in ("gguf", "json", "bin")]
    print(f"{name}: {', '.join(sizes)}; {max(len(text['ids']) for text in listed)} tokens; mean likeness of texts {likeness.mean():.2f}", flush=True)


def cases():
    return encoders.CASES | decoders.CASES | described.CASES | adapters.CASES


def main():
    # One thread and no choice of kernels by size: the same sums each time.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or cases():
        make(name, cases()[name])


if __name__ == "__main__":
    main()
