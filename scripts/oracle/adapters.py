"""Task adapters of jina-embeddings-v3: low-rank changes to the base model's matrices, each task's in a file of its own."""
import re

import gguf
import numpy
import torch

import encoders
from model import Adapter, bf16, normal

BASE = "jina-bert-v3"


def adapter(task, rank, alpha, prefix):
    """The base model with what the adapter adds, so that transformers' class computes the task's vectors."""

    def build(name):
        case = encoders.jina_bert_v3(BASE)
        scale = alpha / rank
        tensors = []

        def low_rank(key, parameters, seed_scale):
            """`parameters` lie below each other as one matrix; it grows by scale * b a."""
            outputs, inputs = sum(len(parameter) for parameter in parameters), parameters[0].shape[1]
            a = bf16(normal(f"{name} {key} a", (rank, inputs)) * numpy.float32(inputs**-0.5))
            b = bf16(normal(f"{name} {key} b", (outputs, rank)) * numpy.float32(seed_scale / (scale * rank**0.5)))
            grown = torch.from_numpy(numpy.float32(scale) * (b @ a))
            for parameter, more in zip(parameters, grown.split([len(parameter) for parameter in parameters])):
                parameter.data += more
            return a, b

        by_name = {case.rename(key, parameter.detach())[0][0]: parameter for key, parameter in case.model.named_parameters()}
        for layer in range(case.keys["block_count"]):
            weight = lambda part: by_name[f"blk.{layer}.{part}.weight"]
            parts = {"attn_qkv": ["attn_q", "attn_k", "attn_v"]} | {part: [part] for part in ("attn_output", "ffn_up", "ffn_down")}
            for key, kinds in parts.items():
                key = f"blk.{layer}.{key}.weight"
                a, b = low_rank(key, [weight(kind) for kind in kinds], 0.5)
                tensors += [(f"{key}.lora_a", a), (f"{key}.lora_b", b)]
        # Of tokens the file has the rows that a token picks as `a`; of token types it has an ordinary pair.
        a, b = low_rank("token_embd.weight", [by_name["token_embd.weight"]], 0.5)
        tensors += [("token_embd.weight.lora_a", b), ("token_embd.weight.lora_b", numpy.ascontiguousarray(a.T))]
        a, b = low_rank("token_types.weight", [by_name["token_types.weight"]], 0.5)
        tensors += [("token_types.weight.lora_a", a), ("token_types.weight.lora_b", b)]
        case.adapter = Adapter(task, alpha, prefix, tensors)
        return case

    return build


def write(path, case):
    writer = gguf.GGUFWriter(path, case.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_name(f"tiny {case.name} {case.adapter.task}")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, case.adapter.alpha)
    writer.add_string(gguf.Keys.Adapter.LORA_TASK_NAME, case.adapter.task)
    writer.add_string(gguf.Keys.Adapter.LORA_PROMPT_PREFIX, case.adapter.prefix)
    for name, values in case.adapter.tensors:
        writer.add_tensor(name, numpy.ascontiguousarray(values, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


CASES = {
    "jina-bert-v3.retrieval.query": adapter("retrieval.query", 4, 1.0, "Represent the query for retrieving evidence documents: "),
    "jina-bert-v3.text-matching": adapter("text-matching", 2, 3.0, ""),
}
