"""Language models that are used as embedders."""
import math

import gguf
import numpy
import torch
from transformers import EuroBertConfig, EuroBertModel, Gemma3TextConfig, Gemma3TextModel, LlamaConfig, LlamaModel
from transformers import Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model

import vocabularies
from encoders import CONTEXT, fused, sizes
from model import Case, bf16, by_table, fill, normal

MODEL = gguf.MODEL_ARCH
GEMMA_NORM = [(r"norm\.weight$", 0.3, 0.0)]


def gated(config, **more):
    keys = {"attention.layer_norm_rms_epsilon": config.rms_norm_eps, "attention.head_count_kv": config.num_key_value_heads}
    return sizes(config, **keys, **more)


def plain_rope(base):
    return {"rope_type": "default", "rope_theta": base}


def yarn(base, factor, original):
    """The rope of transformers and the keys of the file."""
    theirs = {"rope_type": "yarn", "rope_theta": base, "factor": factor, "original_max_position_embeddings": original}
    ours = {"rope.scaling.type": "yarn", "rope.scaling.factor": factor, "rope.scaling.original_context_length": original}
    return theirs, ours | {"rope.freq_base": base}


def qwen3(rope=plain_rope(1000000.0), keys={"rope.freq_base": 1000000.0}, context=CONTEXT):
    """Heads wider than the model divided by their number, as Qwen3's are."""

    def build(name):
        vocabulary = vocabularies.qwen2()
        config = Qwen3Config(
            vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
            intermediate_size=64, max_position_embeddings=context, rms_norm_eps=1e-6, rope_parameters=rope, attn_implementation="eager",
        )
        ours = gated(config, **{"attention.key_length": 16, "attention.value_length": 16, "context_length": context}) | keys
        return Case(name, "qwen3", vocabulary, fill(name, Qwen3Model(config)), ours, "last", rename=by_table(MODEL.QWEN3, 3))

    return build


def qwen2(causal, pooling, rename=lambda names: names):
    def build(name):
        vocabulary = vocabularies.qwen2()
        config = Qwen2Config(
            vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
            max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, rope_parameters=plain_rope(1000000.0), is_causal=causal, attn_implementation="eager",
        )
        # A file that is not causal says so; one that is says nothing, as converters have it.
        keys = gated(config, **{"rope.freq_base": 1000000.0} | ({} if causal else {"attention.causal": False}))
        case = Case(name, "qwen2", vocabulary, fill(name, Qwen2Model(config)), keys, pooling, rename=by_table(MODEL.QWEN2, 3))
        return rename(case)

    return build


def neighbours(values, heads):
    """Rows of queries or keys so that RoPE's pairs, halves apart with the authors, are neighbours."""
    shape = values.shape
    return values.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def llama3_factors(dim, base, factor, low, high, original):
    """What Llama 3 divides each frequency by: nothing for short waves, `factor` for long ones, between them in between."""
    for place in range(0, dim, 2):
        wave = 2 * math.pi * base ** (place / dim)
        if wave < original / high:
            yield 1.0
        elif wave > original / low:
            yield factor
        else:
            smooth = (original / wave - low) / (high - low)
            yield 1 / ((1 - smooth) / factor + smooth)


def llama(rope, keys, vocabulary=vocabularies.mistral, causal=True, pooling="last", architecture="llama", factors=None, context=CONTEXT, biased=False):
    def build(name):
        words = vocabulary()
        config = LlamaConfig(
            vocab_size=words.size, hidden_size=48, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, intermediate_size=64,
            max_position_embeddings=context, rms_norm_eps=1e-5, rope_parameters=rope, is_causal=causal, attention_bias=biased, attn_implementation="eager",
        )
        table = by_table(MODEL.LLAMA, 2)

        def rename(key, values):
            if "q_proj" in key or "k_proj" in key:
                values = neighbours(values, 3 if "q_proj" in key else 1)
            return table(key, values)

        ours = gated(config, **{"rope.dimension_count": 16, "context_length": context}) | keys
        if not causal:
            ours["attention.causal"] = False
        case = Case(name, architecture, words, fill(name, LlamaModel(config)), ours, pooling, rename=rename)
        if factors:
            case.extra.append(("rope_freqs.weight", numpy.array(list(factors), numpy.float32)))
        return case

    return build


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128}


def llama3_rope(base):
    return {"rope_type": "llama3", "rope_theta": base, **LLAMA3}, list(llama3_factors(16, base, 8.0, 1.0, 4.0, 128))


def eurobert(name):
    vocabulary = vocabularies.llama3()
    config = EuroBertConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
        max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, rope_parameters=plain_rope(250000.0), attn_implementation="eager",
        pad_token_id=None, bos_token_id=vocabulary.begin[0], eos_token_id=vocabulary.end[0], mask_token_id=0,
    )
    keys = gated(config, **{"rope.freq_base": 250000.0, "rope.scaling.type": "none", "attention.causal": False})
    return Case(name, "eurobert", vocabulary, fill(name, EuroBertModel(config)), keys, "mean", rename=by_table(MODEL.EUROBERT, 3))


def gemma(name, architecture, heads):
    """EmbeddingGemma with both its heads, or a causal Gemma 3 whose global layers have stretched positions."""
    embeds = architecture == "gemma-embedding"
    vocabulary = vocabularies.gemma()
    rope = plain_rope(1000000.0) if embeds else {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0}
    config = Gemma3TextConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=48,
        max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, sliding_window=16, query_pre_attn_scalar=16, use_bidirectional_attention=embeds,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"], attn_implementation="eager",
        rope_parameters={"full_attention": rope, "sliding_attention": plain_rope(10000.0)},
    )
    keys = gated(config, **{
        "attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 16, "attention.sliding_window_pattern": 3,
        "rope.freq_base": 1000000.0, "rope.freq_base_swa": 10000.0,
    })
    if not embeds:
        keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    model = fill(name, Gemma3TextModel(config), [*GEMMA_NORM, (r"embed_tokens", 32**-0.5, 0.0)])
    table = by_table(MODEL.GEMMA_EMBEDDING if embeds else MODEL.GEMMA3, 4)
    # Their norms multiply by one more than their weights; the file has what is multiplied by.
    case = Case(name, architecture, vocabulary, model, keys, "mean", rename=lambda key, values: table(key, values + 1 if "norm" in key else values))
    if heads:
        wide, back = (bf16(normal(f"{name} dense {n}", shape) / shape[1] ** 0.5) for n, shape in ((2, (64, 32)), (3, (32, 64))))
        case.extra += [("dense_2.weight", wide), ("dense_3.weight", back)]
        case.keys |= {"dense_2_feat_in": 32, "dense_2_feat_out": 64, "dense_3_feat_in": 64, "dense_3_feat_out": 32}
        case.heads = lambda pooled: torch.from_numpy(back) @ (torch.from_numpy(wide) @ pooled)
    return case


YARN_ROPE, YARN_KEYS = yarn(10000.0, 4.0, 320)
LLAMA3_ROPE, LLAMA3_FACTORS = llama3_rope(500000.0)
CASES = {
    "qwen2": qwen2(causal=True, pooling="last"),
    "qwen2-bidirectional": qwen2(causal=False, pooling="mean", rename=fused),
    "qwen3": qwen3(),
    "qwen3-yarn": qwen3(*yarn(1000000.0, 4.0, 320), context=1280),
    "llama": llama(plain_rope(10000.0), {"rope.freq_base": 10000.0}),
    "llama-linear": llama({"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}, {"rope.freq_base": 10000.0, "rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "llama-yarn": llama(YARN_ROPE, YARN_KEYS, context=1280, biased=True),
    "llama-llama3": llama(LLAMA3_ROPE, {"rope.freq_base": 500000.0}, vocabularies.llama3, factors=LLAMA3_FACTORS, pooling="mean"),
    "llama-embed": llama(LLAMA3_ROPE, {"rope.freq_base": 500000.0}, vocabularies.llama3, causal=False, pooling="mean", architecture="llama-embed", factors=LLAMA3_FACTORS),
    "eurobert": eurobert,
    "gemma-embedding": lambda name: gemma(name, "gemma-embedding", heads=True),
    "gemma3-linear": lambda name: gemma(name, "gemma3", heads=False),
}
