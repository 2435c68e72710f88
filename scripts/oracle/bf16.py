#!/usr/bin/env python3
"""What bf16 costs the tiny networks in torch (their authors' classes, or what describes them), for those that miss the any-file bound by it.

    ~/.cache/connote-oracle-venv/bin/python scripts/oracle/bf16.py [NAME ...]

crates/convert/tests/any_file.rs holds BEYOND_BF16 to a bound of its own. Here torch computes these networks in f32, and only what goes
into products is rounded to bf16: first what meets weights (which are exact in bf16), then all that is multiplied, attention's rows, too,
with the weights of a Q8_0 file: what AMX does. Each against the same weights without rounding. A table in Markdown of cosines.
"""
import json
import re
import sys

import gguf
import numpy
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

import make
import model

TEST = make.OUT.parent.parent / "crates/convert/tests/any_file.rs"
Q8_0 = gguf.GGMLQuantizationType.Q8_0
OF_ROWS = {torch.matmul, torch.bmm, torch.einsum, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.bmm}


def in_blocks(weight):
    """Rows that a Q8_0 file has in its blocks. A router's are no product by bf16."""
    return weight.shape[-1] % 32 == 0 and not getattr(weight, "is_router", False)


class Rounded(TorchFunctionMode):
    """Rounds what is multiplied."""

    def __init__(self, everything):
        super().__init__()
        self.everything = everything
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function is not functional.scaled_dot_product_attention, "its products are not seen"
        # Not RoPE's angles, which some classes make by a product over one number.
        sides = [given for given in args if isinstance(given, torch.Tensor)][:2]
        if in_blocks(args[1]) if function is functional.linear else self.everything and function in OF_ROWS and sides[0].shape[-1] > 1:
            self.count += 1
            args = [given.to(torch.bfloat16).float() if any(given is side for side in sides) else given for given in args]
        return function(*args, **(kwargs or {}))


def vectors(case, texts):
    return numpy.array([model.embed(case, text["ids"])[1] for text in texts]).astype(numpy.float64)


def cosines(case, texts, everything):
    exact = vectors(case, texts)
    with Rounded(everything) as mode:
        got = vectors(case, texts)
    assert mode.count, "nothing was rounded"
    return (got * exact).sum(1) / numpy.linalg.norm(got, axis=1) / numpy.linalg.norm(exact, axis=1)


def measure(name):
    case = make.cases()[name](name)
    texts = json.loads((make.OUT / f"{name}.json").read_text())["texts"]
    if hasattr(case.model, "set_attn_implementation"):
        # Of plain products, which are seen here.
        case.model.set_attn_implementation("eager")
    for place, parameter in case.model.named_parameters():
        parameter.is_router = "gate_inp" in place
    inputs = cosines(case, texts, everything=False)
    for place, parameter in case.model.named_parameters():
        if parameter.dim() > 1 and in_blocks(parameter) and "embed" not in place and "token_" not in place:
            values = parameter.detach().numpy()
            decoded = gguf.quants.dequantize(gguf.quants.quantize(values, Q8_0), Q8_0)
            parameter.data = torch.from_numpy(decoded.reshape(values.shape))
    return inputs, cosines(case, texts, everything=True)


def main():
    torch.set_num_threads(1)
    named = re.search(r"const BEYOND_BF16[^=]*= &\[(.*?)\];", TEST.read_text(), re.DOTALL)[1]
    print("| network | what meets weights | all products, weights of Q8_0 |\n|---|---|---|")
    for name in sys.argv[1:] or re.findall(r'"([^"]+)"', named):
        cells = [f"{found.mean():.5f} / {found.min():.5f}" for found in measure(name)]
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
