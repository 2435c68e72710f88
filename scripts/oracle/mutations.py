#!/usr/bin/env python3
"""Computes the tiny models wrongly on purpose, and says whether the bounds of crates/connote/tests/architectures.rs would notice.

    ~/.cache/connote-oracle-venv/bin/python scripts/oracle/mutations.py

What is wrong is in the network, not in the file: that test bends the file's tensors and keys itself. Exit code 1 if a mistake passes.
"""
import sys

import numpy
import torch
from torch.nn import functional

import described
import make
import model
from texts import rows as kept_rows
from texts import texts

LEAST_COSINE, LARGEST_DIFFERENCE = 0.999999, 5e-6


def activation(to):
    def mutate(case):
        changed = 0
        for module in case.model.modules():
            for name in ("act", "act_fn", "activation", "activation_fn", "intermediate_act_fn"):
                if callable(getattr(module, name, None)):
                    delattr(module, name)
                    setattr(module, name, to)
                    changed += 1
        assert changed

    return mutate


def scaling(factor):
    def mutate(case):
        layers = [module for module in case.model.modules() if isinstance(getattr(module, "scaling", None), float)]
        assert layers
        for module in layers:
            module.scaling *= factor

    return mutate


def positions(place):
    """Every position behind `place` is one further."""

    def mutate(case):
        def rows(network, ids):
            steps = torch.arange(len(ids))
            return network(input_ids=torch.tensor([ids]), position_ids=(steps + (steps > place) + FIRST.get(case.name, 0))[None]).last_hidden_state[0]

        case.rows = rows

    return mutate


FIRST = {"roberta": 2, "xlm-roberta": 2}


def config(**changes):
    def mutate(case):
        for key, value in changes.items():
            setattr(case.model.config, key, value)
            for module in case.model.modules():
                if hasattr(module, key):
                    setattr(module, key, value)

    return mutate


def swapped(owner, name, replacement):
    """Another function in the place of one of described.py; the mutated case knows how to put it back."""

    def mutate(case):
        before = getattr(owner, name)
        setattr(owner, name, replacement(before))
        case.undo = lambda: setattr(owner, name, before)

    return mutate


def tanh_gelu(x):
    return functional.gelu(x, approximate="tanh")


def shares_sum_to_one(_):
    def feed_forward(self, x):
        if not self.experts:
            return self.ffn_down(functional.gelu(self.ffn_up(x)))
        shares, chosen = self.ffn_gate_inp(x).softmax(-1).topk(2, -1)
        inner = functional.gelu(torch.einsum("td,tkfd->tkf", x, self.ffn_up_exps.weight[chosen]))
        return torch.einsum("tkf,tkdf,tk->td", inner, self.ffn_down_exps.weight[chosen], shares / shares.sum(-1, keepdim=True))

    return feed_forward


def buckets(case):
    for module in case.model.modules():
        if hasattr(module, "relative_attention_max_distance"):
            module.relative_attention_max_distance = 100


MUTATIONS = [
    ("GELU by tanh", activation(tanh_gelu), ["bert-cls", "bert-mean", "roberta", "xlm-roberta", "modern-bert", "jina-bert-v3"]),
    ("GELU exactly", activation(functional.gelu), ["gemma-embedding", "gemma3-linear", "t5encoder"]),
    ("attention's scale by 1.001", scaling(1.001), ["bert-cls", "nomic-bert", "jina-bert-v3", "qwen2", "qwen3", "llama", "eurobert", "gemma-embedding", "t5encoder"]),
    ("positions one further behind the sixth token", positions(5), ["bert-cls", "roberta", "xlm-roberta", "nomic-bert", "modern-bert", "jina-bert-v3", "qwen2", "qwen3", "qwen3-yarn", "llama", "llama-linear", "llama-yarn", "llama-llama3", "llama-embed", "eurobert", "gemma-embedding", "gemma3-linear"]),
    ("causal where it is not", config(is_causal=True), ["qwen2-bidirectional", "llama-embed"]),
    ("both ways where it is causal", config(is_causal=False), ["qwen2", "qwen3", "llama", "gemma3-linear"]),
    ("a window one wider to each side", config(sliding_window=10), ["gemma-embedding"]),
    ("a window one wider to each side", config(local_attention=18), ["modern-bert", "modern-bert-silu"]),
    ("a window one wider", config(sliding_window=17), ["gemma3-linear"]),
    ("buckets as far as 100", buckets, ["t5encoder", "t5encoder-relu"]),
    ("ALiBi's slopes by 1.01", swapped(described, "alibi", lambda before: lambda heads, count: before(heads, count) * 1.01), ["jina-bert-v2", "jina-bert-v2-fused", "jina-bert-v2-code", "jina-bert-v2-plain"]),
    ("RoPE's other pairs", swapped(described, "rotate", lambda before: lambda heads, base, adjacent: before(heads, base, not adjacent)), ["neo-bert", "nomic-bert-moe"]),
    ("experts' shares made to sum to one", swapped(described.NomicMoeLayer, "feed_forward", shares_sum_to_one), ["nomic-bert-moe"]),
]


def computed(case):
    found = []
    for number, text in enumerate(texts(case.vocabulary)):
        ids = case.vocabulary.encode(text)
        if kept_rows(number, len(ids)):
            rows, vector = model.embed(case, ids)
            found.append(vector)
    return numpy.array(found, numpy.float64)


def main():
    torch.set_num_threads(1)
    cases = make.cases()
    missed = 0
    print("| mistake | file | least cosine | values differ by |\n|---|---|---|---|")
    for what, mutate, names in MUTATIONS:
        for name in names:
            right = computed(cases[name](name))
            case = cases[name](name)
            mutate(case)
            wrong = computed(case)
            getattr(case, "undo", lambda: None)()
            cosine, difference = (right * wrong).sum(1).min(), numpy.abs(right - wrong).max()
            seen = cosine < LEAST_COSINE or difference > LARGEST_DIFFERENCE
            missed += not seen
            print(f"| {what} | `{name}` | {cosine:.7f} | {difference:.1e} |{'' if seen else ' not noticed'}", flush=True)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
