"""BERT and what came of it."""
import gguf
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel, NomicBertConfig, NomicBertModel
from transformers import RobertaConfig, RobertaModel, XLMRobertaConfig, XLMRobertaModel

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
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
    }
    return keys | more


def post_norm(config, **more):
    return sizes(config, **{"attention.layer_norm_epsilon": config.layer_norm_eps, "attention.causal": False}, **more)


def bert(name, pooling, lowercase=True):
    vocabulary = vocabularies.wordpiece(lowercase)
    config = BertConfig(
        vocab_size=vocabulary.size, hidden_size=36, num_hidden_layers=3, num_attention_heads=3, intermediate_size=80,
        max_position_embeddings=CONTEXT, layer_norm_eps=1e-5, attn_implementation="eager",
    )
    model = fill(name, BertModel(config, add_pooling_layer=False))
    return Case(name, "bert", vocabulary, model, post_norm(config), pooling, rename=by_table(MODEL.BERT, 3))


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


def nomic_bert(name="nomic-bert"):
    vocabulary = vocabularies.wordpiece()
    config = NomicBertConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, layer_norm_eps=1e-5,
        max_position_embeddings=CONTEXT, rope_parameters={"rope_type": "default", "rope_theta": 1000.0}, attn_implementation="eager",
    )
    keys = post_norm(config, **{"rope.freq_base": 1000.0})
    return Case(name, "nomic-bert", vocabulary, fill(name, NomicBertModel(config, add_pooling_layer=False)), keys, "mean", rename=nomic_names())


def nomic_names():
    part = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "attn_output_norm", "post_mlp_layernorm": "layer_output_norm",
        "mlp.up_proj": "ffn_up", "mlp.gate_proj": "ffn_gate", "mlp.down_proj": "ffn_down",
    }
    return named({"embeddings.word_embeddings": "token_embd", "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}, part)


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


def modern_bert(name="modern-bert"):
    vocabulary = vocabularies.modern_bert()
    config = ModernBertConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48, max_position_embeddings=CONTEXT,
        norm_eps=1e-5, global_attn_every_n_layers=3, local_attention=16, pad_token_id=vocabulary.keys["padding_token_id"], bos_token_id=None,
        eos_token_id=None, cls_token_id=vocabulary.begin[0], sep_token_id=vocabulary.end[0], attn_implementation="eager",
    )
    keys = sizes(config, **{
        "attention.layer_norm_epsilon": 1e-5, "attention.causal": False, "attention.sliding_window": 16,
        "attention.sliding_window_pattern": 3, "rope.freq_base": 160000.0, "rope.freq_base_swa": 10000.0, "vocab_size": vocabulary.size,
    })
    model = fill(name, ModernBertModel(config))
    return Case(name, "modern-bert", vocabulary, model, keys, "mean", rename=by_table(MODEL.MODERN_BERT, 4))


CASES = {
    "bert-cls": lambda name: bert(name, "cls"),
    "bert-mean": lambda name: bert(name, "mean", lowercase=False),
    "roberta": lambda name: roberta(name, RobertaConfig, RobertaModel, vocabularies.roberta(), "mean"),
    "xlm-roberta": lambda name: roberta(name, XLMRobertaConfig, XLMRobertaModel, vocabularies.xlm_roberta(), "cls"),
    "nomic-bert": nomic_bert,
    "modern-bert": modern_bert,
}
