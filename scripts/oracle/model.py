"""A tiny random model: the authors' class with weights by a seed, and the same weights as a GGUF file."""
import dataclasses
import re
import zlib
from typing import Callable

import gguf
import numpy
import torch

from vocabularies import Vocabulary


@dataclasses.dataclass
class Adapter:
    """What a task adds to another file's matrices, and before every text."""

    task: str
    alpha: float
    prefix: str
    tensors: list


@dataclasses.dataclass
class Case:
    """A file of testdata/architectures: what it holds, and whose arithmetic it is proven by."""

    name: str
    architecture: str
    vocabulary: Vocabulary
    model: torch.nn.Module
    # Keys after `ARCHITECTURE.`; a float is an f32, a whole number an u32.
    keys: dict
    pooling: str
    # Whose class it is: "transformers X" or, where no package has the authors' class, "description".
    proven_by: str = "transformers"
    # Names and values of the model's own tensors as those of the file; the default is gguf's table of names.
    rename: Callable = None
    # After pooling, before the vector is made one long.
    heads: Callable = None
    # Rows of the last layer of one text's ids.
    rows: Callable = None
    # Tensors that are no parameter of the model's.
    extra: list = dataclasses.field(default_factory=list)
    # The file is an adapter to the base model's.
    adapter: Adapter = None
    # Queries, keys and values as one tensor of each layer.
    fused: bool = False


def bf16(values):
    """Rounded to what bf16 has: a checkout of half the size, and still plain f32 to every engine."""
    bits = numpy.ascontiguousarray(values, numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(numpy.uint32).view(numpy.float32)


def normal(seed, shape):
    generator = numpy.random.Generator(numpy.random.PCG64(zlib.crc32(seed.encode())))
    return generator.standard_normal(shape, numpy.float32)


# The first that fits a parameter's name says how far its values spread, and around what.
SPREAD = [
    (r"(norm\w*|LayerNorm)\.weight$", 0.3, 1.0),
    (r"\.bias$", 0.3, 0.0),
    (r"(word_embeddings|embed_tokens|shared|tok_embeddings|token_embd)\.weight$", 1.0, 0.0),
    (r"((position|token_type)_embeddings|token_types)\.weight$", 0.6, 0.0),
]


def fill(case_name, model, spread=()):
    """Weights that leave nothing idle: attention that chooses, norms and biases that matter."""
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        for pattern, width, middle in [*spread, *SPREAD]:
            if re.search(pattern, name):
                break
        else:
            # Queries and keys give scores around 2, so that attention is far from a mean.
            width, middle = (1.4 if re.search(r"(\b|_)(q|k|query|key)(_proj|_lin)?\.weight$", name) else 1.6), 0.0
            width /= numpy.sqrt(shape[-1])
        values = bf16(normal(f"{case_name} {name}", shape) * numpy.float32(width) + numpy.float32(middle))
        parameter.data = torch.from_numpy(values.copy())
    return model.eval()


def by_table(architecture, layers):
    """gguf's own table from the authors' names to the file's."""
    table = gguf.get_tensor_name_map(architecture, layers)

    def rename(name, values):
        found = table.get_name(name, try_suffixes=(".weight", ".bias"))
        return [(found, values)] if found else []

    return rename


def write(path, case, tensors):
    writer = gguf.GGUFWriter(path, case.architecture)
    writer.add_name(f"tiny {case.name}")
    for key, value in case.keys.items():
        add(writer, f"{case.architecture}.{key}", value)
    poolings = {"none": 0, "mean": 1, "cls": 2, "last": 3}
    writer.add_uint32(f"{case.architecture}.pooling_type", poolings[case.pooling])
    for key, value in case.vocabulary.keys.items():
        add(writer, f"tokenizer.ggml.{key}", value)
    for name, values in tensors:
        writer.add_tensor(name, numpy.ascontiguousarray(values, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add(writer, key, value):
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def tensors(case):
    """The file's tensors in the model's order; a parameter that goes nowhere must be one the file cannot hold."""
    found = []
    for name, parameter in case.model.named_parameters():
        found += case.rename(name, parameter.detach().numpy())
    if case.fused:
        found = fuse(found)
    found += case.extra
    names = [name for name, _ in found]
    assert len(names) == len(set(names)), "a tensor twice"
    return found


def fuse(tensors):
    """Queries, keys and values of a layer below each other."""
    held, kept = {}, []
    for name, values in tensors:
        found = re.fullmatch(r"(blk\.\d+)\.attn_([qkv])\.(weight|bias)", name)
        if not found:
            kept.append((name, values))
            continue
        layer, part, end = found.groups()
        parts = held.setdefault((layer, end), {})
        parts[part] = values
        if len(parts) == 3:
            kept.append((f"{layer}.attn_qkv.{end}", numpy.concatenate([parts[part] for part in "qkv"])))
    return kept


def embed(case, ids):
    """Rows and the vector of one text, as the authors' pooling makes it."""
    with torch.no_grad():
        if case.rows:
            rows = case.rows(case.model, ids)
        else:
            rows = case.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        pooled = {"mean": lambda: rows.mean(0), "cls": lambda: rows[0], "last": lambda: rows[-1]}[case.pooling]()
        if case.heads:
            # Heads are linear: those of the rows have the mean that the head of the mean is.
            pooled, rows = case.heads(pooled), torch.stack([case.heads(row) for row in rows])
        return rows.numpy(), torch.nn.functional.normalize(pooled, dim=0).numpy()
