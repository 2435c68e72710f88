#!/usr/bin/env python3
"""Writes crates/kernels/tests/fixtures/encode: values, and what ggml's own quantisers make of them.

    scripts/make_encode_fixtures.py LIBGGML_BASE_SO        (shared/tools/peers.sh builds it)

Needs numpy. `values.f32` holds 48 blocks of 256 values; `q4_0.blocks` and so on the blocks of each type.
"""
import ctypes, sys
from pathlib import Path
import numpy as np

lib = ctypes.CDLL(sys.argv[1])
lib.ggml_quantize_chunk.restype = ctypes.c_size_t
lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
out = Path(__file__).parent.parent / "crates/kernels/tests/fixtures/encode"
out.mkdir(exist_ok=True)

r = np.random.default_rng(9)
rows = [r.normal(0, s, 256) for s in (0.02, 0.05, 0.3, 1, 5)] * 5          # weights of networks
rows += [r.standard_t(3, 256) * s for s in (0.02, 0.1, 1)] * 2             # with outliers
rows += [r.uniform(0, 1, 256), r.uniform(-1, 0, 256), r.uniform(0.5, 0.6, 256), r.uniform(-3, -2.9, 256)]
rows += [np.zeros(256), np.full(256, 0.25), np.full(256, -7.0), np.where(np.arange(256) == 77, 3.0, 0.0)]
rows += [r.normal(0, 1e-8, 256), r.normal(0, 1e-36, 256), r.normal(0, 1e4, 256), np.round(r.normal(0, 4, 256)) / 2]
rows += [np.sign(r.normal(0, 1, 256)), np.repeat([1.0, -1.0, 0.5, 0.0], 64), np.linspace(-1, 1, 256), np.linspace(1, -1, 256) ** 3]
rows += [np.r_[np.zeros(128), r.normal(0, 1, 128)]]
values = np.ascontiguousarray(rows, np.float32)
assert values.shape == (48, 256), values.shape
values.tofile(out / "values.f32")
for name, ty, elements, size in [("q4_0", 2, 32, 18), ("q4_1", 3, 32, 20), ("q5_0", 6, 32, 22), ("q5_1", 7, 32, 24), ("q8_0", 8, 32, 34),
                                 ("q2_k", 10, 256, 84), ("q3_k", 11, 256, 110), ("q4_k", 12, 256, 144), ("q5_k", 13, 256, 176), ("q6_k", 14, 256, 210),
                                 ("f16", 1, 1, 2), ("bf16", 30, 1, 2)]:
    got = np.zeros(values.size // elements * size, np.uint8)
    n = lib.ggml_quantize_chunk(ty, values.ctypes.data, got.ctypes.data, 0, 48, 256, None)
    assert n == got.size, (name, n)
    got.tofile(out / f"{name}.blocks")
