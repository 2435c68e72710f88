"""Language models that are used as embedders."""
import gguf
from transformers import Qwen3Config, Qwen3Model

import vocabularies
from encoders import CONTEXT, sizes
from model import Case, by_table, fill

MODEL = gguf.MODEL_ARCH


def gated(config, **more):
    keys = {"attention.layer_norm_rms_epsilon": config.rms_norm_eps, "attention.head_count_kv": config.num_key_value_heads}
    return sizes(config, **keys, **more)


def qwen3(name):
    """Heads wider than the model divided by their number, as Qwen3's are."""
    vocabulary = vocabularies.qwen2()
    config = Qwen3Config(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=64,
        max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, attn_implementation="eager",
    )
    keys = gated(config, **{"attention.key_length": 16, "attention.value_length": 16, "rope.freq_base": 1000000.0})
    return Case(name, "qwen3", vocabulary, fill(name, Qwen3Model(config)), keys, "last", rename=by_table(MODEL.QWEN3, 3))


CASES = {"qwen3": qwen3}
