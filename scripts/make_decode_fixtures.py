#!/usr/bin/env python3
"""Writes the fixtures of crates/kernels/tests/decode.rs: blocks, and what the `gguf` package decodes them to.

    pip install gguf==0.19.0 numpy
    python scripts/make_decode_fixtures.py [DIRECTORY]     # default: crates/kernels/tests/fixtures/decode

For every tensor type two files, both little-endian: NAME.blocks (the bytes as in a GGUF file) and NAME.f32 (the
float32 values of gguf.quants.dequantize). The same seed gives the same bytes.

Every type has 2000 to 5000 values: random bytes in all fields under scales of all sizes and signs; scales that are
zero, subnormal, the smallest, the largest; all other bits zero, one, alternating; one bit set at a time; and, where
the package can quantise, gaussian weights as a model has them.
"""
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

# The bytes where a block has an f16 (scale, then scale of minima or minimum).
HALVES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
    Type.IQ4_NL: [0], Type.IQ4_XS: [0],
}
PLAIN = {Type.F32: np.uint32, Type.F16: np.uint16, Type.BF16: np.uint16}
QUANTISED_BY_GGUF_PY = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
# 0, -0, smallest and largest subnormal, smallest normal, largest (both signs), 1, -1, a usual scale
EDGE_SCALES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x7BFF, 0xFBFF, 0x3C00, 0xBC00, 0x2A1D]


def gaussian(random, count):
    """Weights as models have them: small, a few much larger than the rest, some blocks all zero."""
    values = random.normal(0, 0.04, count).astype(np.float32)
    values[random.integers(0, count, count // 64)] *= 12
    values[:32] = 0
    return values


def finite_halves(random, count):
    """Random f16 bits: every sign, every exponent but that of infinity and NaN."""
    bits = random.integers(0, 1 << 16, count, dtype=np.uint16)
    return np.where(bits & 0x7C00 == 0x7C00, bits & 0xBFFF, bits)


def blocks_of(kind, random):
    """An array of blocks, one a row."""
    elements, size = GGML_QUANT_SIZES[kind]
    count = 64 if elements == 32 else 20
    parts = []
    if kind in QUANTISED_BY_GGUF_PY:
        parts.append(quantize(gaussian(random, 20 * elements).reshape(-1, elements), kind).reshape(-1, size))
        count -= len(parts[0])
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    # Half of the blocks have quants that do not change: extremes, patterns, one bit.
    patterns = [0x00, 0xFF, 0x55, 0xAA, 0x0F, 0xF0]
    for i in range(0, count, 2):
        if i % 4 == 0:
            blocks[i] = patterns[i // 4 % len(patterns)]
        else:
            bit = int(random.integers(0, 8 * size))
            blocks[i] = 0
            blocks[i, bit // 8] = 1 << bit % 8
    for place, at in enumerate(HALVES[kind]):
        # Two of three scales are of a usual size, so that most fixtures look like weights.
        scales = random.normal(0, 0.01, count).astype(np.float16).view(np.uint16)
        scales[::3] = finite_halves(random, len(scales[::3]))
        # Shifted for the second field, so that edges meet other edges and usual values.
        scales[1 + 3 * place:][:len(EDGE_SCALES)] = EDGE_SCALES
        blocks[:, at:at + 2] = scales.astype("<u2").view(np.uint8).reshape(-1, 2)
    parts.append(blocks)
    return np.concatenate(parts)


def plain_blocks(kind, random):
    bits = PLAIN[kind]
    width = 8 * np.dtype(bits).itemsize
    if kind == Type.F16:
        special = [*EDGE_SCALES, 0x7C00, 0xFC00, 0x7E00]
    else:
        # As above: zeros, subnormals, normals, largest, infinities, a quiet NaN.
        special = [0x00000000, 0x80000000, 0x00010000, 0x80010000, 0x007F0000, 0x807F0000, 0x00800000, 0x80800000,
                   0x7F7F0000, 0xFF7F0000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000]
        special = [value >> (32 - width) for value in special]
    usual = gaussian(random, 1024)
    if kind == Type.BF16:
        usual = quantize(usual.reshape(1, -1), kind).view(np.uint16).ravel()
    else:
        usual = quantize(usual, kind).view(bits)
    anything = random.integers(0, 1 << width, 1024, dtype=bits)
    # A signalling NaN may be made quiet by the processor that loads it: none here.
    exponent = {Type.F16: 0x7C00, Type.BF16: 0x7F80, Type.F32: 0x7F800000}[kind]
    anything = np.where(anything & bits(exponent) == exponent, bits(0), anything)
    return np.concatenate([np.array(special, dtype=bits), usual, anything]).astype(f"<u{width // 8}").view(np.uint8)


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "crates/kernels/tests/fixtures/decode"
    directory.mkdir(parents=True, exist_ok=True)
    for kind in [*PLAIN, *HALVES]:
        random = np.random.Generator(np.random.PCG64(20240 + int(kind)))
        blocks = plain_blocks(kind, random) if kind in PLAIN else blocks_of(kind, random)
        values = dequantize(blocks, kind).astype("<f4", copy=False).ravel()
        name = kind.name.lower()
        (directory / f"{name}.blocks").write_bytes(blocks.tobytes())
        (directory / f"{name}.f32").write_bytes(values.tobytes())
        print(f"{kind.name:7} {blocks.size:6} bytes {values.size:5} values, {np.isfinite(values).mean():.1%} finite")


if __name__ == "__main__":
    main()
