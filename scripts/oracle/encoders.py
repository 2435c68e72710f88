"""BERT and what came of it."""
import gguf
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, JinaEmbeddingsV3Config, JinaEmbeddingsV3Model, ModernBertConfig, ModernBertModel
from transformers import NomicBertConfig, NomicBertModel, RobertaConfig, RobertaModel, T5Config, T5EncoderModel, XLMRobertaConfig, XLMRobertaModel

import vocabularies
from model import Case, by_table, fill

MODEL = gguf.MODEL_ARCH
CONTEXT = 640


def sizes(config, **more):
    """The keys that every architecture has."""
    keys = {
        "context_length": CONTEXT,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": getattr(config, "intermediate_size", None) or config.hidden_dim,
        "attention.head_count": config.num_attention_heads,
    }
    return keys | more


def post_norm(config, more={}):
    eps = {} if "attention.layer_norm_epsilon" in more else {"attention.layer_norm_epsilon": config.layer_norm_eps}
    return sizes(config, **eps, **{"attention.causal": False}, **more)


def fused(case):
    case.fused = True
    return case


def bert(name, pooling, lowercase=True):
    vocabulary = vocabularies.wordpiece(lowercase)
    config = BertConfig(
        vocab_size=vocabulary.size, hidden_size=36, num_hidden_layers=3, num_attention_heads=3, intermediate_size=80,
        max_position_embeddings=CONTEXT, layer_norm_eps=1e-5, attn_implementation="eager",
    )
    model = fill(name, BertModel(config, add_pooling_layer=False))
    return Case(name, "bert", vocabulary, model, post_norm(config), pooling, rename=by_table(MODEL.BERT, 3))


def distilbert(name):
    """BERT without token types."""
    vocabulary = vocabularies.wordpiece()
    config = DistilBertConfig(
        vocab_size=vocabulary.size, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=CONTEXT, attn_implementation="eager",
    )
    # Its class has the epsilon in its code.
    keys = post_norm(config, {"attention.layer_norm_epsilon": 1e-12})
    return Case(name, "bert", vocabulary, fill(name, DistilBertModel(config)), keys, "mean", rename=by_table(MODEL.BERT, 2))


def roberta(name, config_class, model_class, vocabulary, pooling):
    """Their positions begin behind the padding's id; the file leaves out the rows before."""
    config = config_class(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=72, type_vocab_size=1,
        max_position_embeddings=CONTEXT + 2, layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0, eos_token_id=2, attn_implementation="eager",
    )
    table = by_table(MODEL.BERT, 3)

    def rename(key, values):
        return table(key, values[2:] if "position_embeddings" in key else values)

    model = fill(name, model_class(config, add_pooling_layer=False))
    return Case(name, "bert", vocabulary, model, post_norm(config), pooling, rename=rename)


def nomic_bert(name):
    vocabulary = vocabularies.wordpiece()
    config = NomicBertConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, layer_norm_eps=1e-5,
        max_position_embeddings=CONTEXT, rope_parameters={"rope_type": "default", "rope_theta": 1000.0}, attn_implementation="eager",
    )
    keys = post_norm(config, {"rope.freq_base": 1000.0})
    model = fill(name, NomicBertModel(config, add_pooling_layer=False))
    return fused(Case(name, "nomic-bert", vocabulary, model, keys, "mean", rename=named(EMBEDDINGS, ROTARY)))


# As transformers calls them, which is not as the authors' first files do.
EMBEDDINGS = {"embeddings.word_embeddings": "token_embd", "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}
ROTARY = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "attn_output_norm", "post_mlp_layernorm": "layer_output_norm",
    "mlp.up_proj": "ffn_up", "mlp.gate_proj": "ffn_gate", "mlp.down_proj": "ffn_down", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
}


def jina_bert_v3(name):
    vocabulary = vocabularies.xlm_roberta()
    config = JinaEmbeddingsV3Config(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, layer_norm_eps=1e-5,
        max_position_embeddings=CONTEXT, rope_parameters={"rope_type": "default", "rope_theta": 20000.0}, attn_implementation="eager",
    )
    keys = post_norm(config, {"rope.freq_base": 20000.0})
    model = fill(name, JinaEmbeddingsV3Model(config, add_pooling_layer=False))
    return fused(Case(name, "jina-bert-v3", vocabulary, model, keys, "mean", rename=named(EMBEDDINGS, ROTARY)))


def t5encoder(name, gate):
    """Scores are not divided by anything, so queries and keys are smaller; heads are wider than the model divided by their number."""
    vocabulary = vocabularies.t5()
    config = T5Config(
        vocab_size=vocabulary.size, d_model=32, d_kv=12, d_ff=64, num_layers=3, num_heads=4, relative_attention_num_buckets=32,
        relative_attention_max_distance=128, feed_forward_proj="gated-gelu" if gate else "relu", layer_norm_epsilon=1e-6,
        pad_token_id=0, eos_token_id=1, dropout_rate=0.0,
    )
    keys = {
        "context_length": CONTEXT, "embedding_length": 32, "block_count": 3, "feed_forward_length": 64, "attention.head_count": 4,
        "attention.key_length": 12, "attention.value_length": 12, "attention.layer_norm_epsilon": 1e-6, "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.relative_buckets_count": 32,
    }
    # llama.cpp's converter never says that an encoder looks both ways; a file that says it must give the same.
    if not gate:
        keys["attention.causal"] = False
    small = [(r"SelfAttention\.[qk]\.weight$", 0.8 / 32**0.5, 0.0), (r"relative_attention_bias", 1.5, 0.0)]
    return Case(name, "t5encoder", vocabulary, fill(name, T5EncoderModel(config), small), keys, "mean", rename=by_table(MODEL.T5ENCODER, 3))


def named(whole, part, layers=r"layers"):
    """Names by two tables, of the whole model and of a layer's parts."""

    def rename(name, values):
        stem, _, end = name.rpartition(".")
        words = stem.split(".")
        if layers in words:
            place = words.index(layers)
            return [(f"blk.{words[place + 1]}.{part['.'.join(words[place + 2:])]}.{end}", values)]
        return [(f"{whole[stem]}.{end}", values)]

    return rename


def modern_bert(name, activation="gelu"):
    vocabulary = vocabularies.modern_bert()
    config = ModernBertConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48, max_position_embeddings=CONTEXT,
        norm_eps=1e-5, hidden_activation=activation, global_attn_every_n_layers=3, local_attention=16, pad_token_id=vocabulary.keys["padding_token_id"], bos_token_id=None,
        eos_token_id=None, cls_token_id=vocabulary.begin[0], sep_token_id=vocabulary.end[0], attn_implementation="eager",
    )
    keys = sizes(config, **{
        "attention.layer_norm_epsilon": 1e-5, "attention.causal": False, "attention.sliding_window": 16,
        "attention.sliding_window_pattern": 3, "rope.freq_base": 160000.0, "rope.freq_base_swa": 10000.0, "vocab_size": vocabulary.size,
    })
    if activation != "gelu":
        keys["hidden_activation"] = activation
    model = fill(name, ModernBertModel(config))
    return Case(name, "modern-bert", vocabulary, model, keys, "mean", rename=by_table(MODEL.MODERN_BERT, 4))


CASES = {
    "bert-cls": lambda name: bert(name, "cls"),
    "bert-mean": lambda name: bert(name, "mean", lowercase=False),
    "distilbert": distilbert,
    "roberta": lambda name: roberta(name, RobertaConfig, RobertaModel, vocabularies.roberta(), "mean"),
    "xlm-roberta": lambda name: roberta(name, XLMRobertaConfig, XLMRobertaModel, vocabularies.xlm_roberta(), "cls"),
    "nomic-bert": nomic_bert,
    "modern-bert": modern_bert,
    "modern-bert-silu": lambda name: modern_bert(name, "silu"),
    "jina-bert-v3": jina_bert_v3,
    "t5encoder": lambda name: t5encoder(name, gate=True),
    "t5encoder-relu": lambda name: t5encoder(name, gate=False),
}
