#!/usr/bin/env python3
"""Makes testdata/folders: the tiny models of testdata/architectures as the repositories at Hugging Face that `connote convert` is given.

    scripts/oracle/make.sh folders [NAME ...]      # all, or some of them

A model of the authors' class is saved by its own `save_pretrained`, with its tokenizer. What no package has a class of gets the names and
the configuration of its authors' files (`AUTHORS`). Values are exact in bf16, which halves the folders.
"""
import json
import pathlib
import re
import shutil
import sys

import numpy
import torch
from safetensors.torch import save_file
from tokenizers import processors

import make as oracle
import model

OUT = pathlib.Path(__file__).parent.parent.parent / "testdata/folders"

# What the class does not save of itself.
PATCHES = {"llama-embed": {"model_type": "llama_bidirec"}, "t5encoder": {"n_positions": 640}}

JINA = {
    "token_embd": "embeddings.word_embeddings", "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "embeddings.LayerNorm",
    "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value", "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm", "blk": "encoder.layer",
}
GATED = JINA | {"ffn_up": "mlp.gated_layers", "ffn_down": "mlp.wo", "layer_output_norm": "mlp.layernorm"}
JINA_CONFIG = {"model_type": "bert", "position_embedding_type": "alibi", "attention_probs_dropout_prob": 0.0, "hidden_act": "gelu", "type_vocab_size": 2, "pad_token_id": 0}
NOMIC = {
    "token_embd": "embeddings.word_embeddings", "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "emb_ln", "blk": "encoder.layers",
    "attn_qkv": "attn.Wqkv", "attn_output": "attn.out_proj", "attn_output_norm": "norm1", "layer_output_norm": "norm2", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2",
    "ffn_gate_inp": "mlp.router.layer", "ffn_up_exps": "mlp.experts.mlp.w1", "ffn_down_exps": "mlp.experts.mlp.w2",
}
NEO = {
    "token_embd": "model.encoder", "enc.output_norm": "model.layer_norm", "blk": "model.transformer_encoder", "attn_norm": "attention_norm", "attn_qkv": "qkv",
    "attn_output": "wo", "ffn_norm": "ffn_norm", "ffn_up": "ffn.w12", "ffn_down": "ffn.w3",
}
# Names and configuration of the authors' own files, where the class is described anew.
AUTHORS = {
    "jina-bert-v2-fused": (GATED, JINA_CONFIG | {"feed_forward_type": "geglu"}),
    "jina-bert-v2-plain": (JINA | {"ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm"}, JINA_CONFIG | {"feed_forward_type": "original"}),
    "jina-bert-v2-code": (JINA | {
        "attn_q_norm": "attention.self.layer_norm_q", "attn_k_norm": "attention.self.layer_norm_k", "attn_norm_2": "layer_norm_1", "layer_output_norm": "layer_norm_2",
        "ffn_up": "mlp.up_gated_layer", "ffn_down": "mlp.down_layer",
    }, JINA_CONFIG | {"feed_forward_type": "geglu"}),
    "nomic-bert-moe": (NOMIC, {
        "model_type": "nomic_bert", "activation_function": "gelu", "causal": False, "prenorm": False, "rotary_emb_base": 10000, "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "use_rms_norm": False, "num_experts": 8, "moe_top_k": 2,
        "moe_every_n_layers": 2, "moe_normalize_expert_weights": False, "qkv_proj_bias": True, "mlp_fc1_bias": True, "mlp_fc2_bias": True, "type_vocab_size": 1,
        "max_trained_positions": 2048, "expert_choice_router": False, "num_shared_experts": 0, "router_aux_loss_coef": 0.1, "scale_attn_weights": True, "use_flash_attn": True,
    }),
    "neo-bert": (NEO, {
        "model_type": "neobert", "embedding_init_range": 0.02, "decoder_init_range": 0.02, "hidden_act": "SwiGLU", "rms_norm": True, "rope": True, "ngpt": False,
        "base_scale": 0.2, "dropout": 0.0, "flash_attention": True, "pad_token_id": 0,
    }),
}
# A gate of its own (jina-bert-v2) is what older converters made, and no folder has it; the others say nothing that another folder does not say.
ELSEWHERE = {"jina-bert-v2", "llama-llama3", "qwen3-yarn"}


def described(case, folder):
    """As the authors' repository has it."""
    names, config = AUTHORS[case.name]
    found = {}
    for name, values in model.tensors(case):
        stem, end = name.rsplit(".", 1)
        layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
        found[name] = (f"{names['blk']}.{layer[1]}.{names[layer[2]]}" if layer else names[stem]) + f".{end}", values
    tensors = dict(found.values())
    for name, values in list(tensors.items()):
        if ".experts." in name:
            # All experts' rows below each other; the way back is turned, and neither is a module.
            values = values.swapaxes(1, 2) if ".w2" in name else values
            tensors[name.removesuffix(".weight")] = values.reshape(-1, values.shape[-1])
            del tensors[name]
    save_file({name: torch.from_numpy(numpy.ascontiguousarray(values)).bfloat16() for name, values in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    keys = case.keys
    inner = keys["feed_forward_length"]
    config = config | {
        "vocab_size": case.vocabulary.size, "hidden_size": keys["embedding_length"], "num_hidden_layers": keys["block_count"], "num_attention_heads": keys["attention.head_count"],
        "intermediate_size": inner * 3 // 2 if case.architecture == "neo-bert" else inner, "dtype": "bfloat16",
    }
    epsilon = keys.get("attention.layer_norm_epsilon") or keys.get("attention.layer_norm_rms_epsilon")
    config |= {"neo-bert": {"norm_eps": epsilon, "max_length": 640}, "nomic-bert-moe": {"layer_norm_epsilon": epsilon, "n_positions": 640}}.get(
        case.architecture, {"layer_norm_eps": epsilon, "max_position_embeddings": 640})
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def save(case, folder):
    """As a repository at Hugging Face has it."""
    if case.proven_by == "transformers":
        case.model.bfloat16().save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
        config |= PATCHES.get(case.architecture, {})
        (folder / "config.json").write_text(json.dumps(config, indent=1))
    else:
        described(case, folder)
    vocabulary = case.vocabulary
    tokenizer, tokens = vocabulary.tokenizer, vocabulary.keys["tokens"]
    around = [(tokens[i], i) for i in vocabulary.begin + vocabulary.end]
    single = [tokens[i] for i in vocabulary.begin] + ["$A"] + [tokens[i] for i in vocabulary.end]
    between = [tokens[i] for i in vocabulary.end] * (2 if vocabulary.keys.get("add_sep_token") else 1)
    pair = [tokens[i] for i in vocabulary.begin] + ["$A"] + between + ["$B"] + [tokens[i] for i in vocabulary.end]
    if around:
        tokenizer.post_processor = processors.TemplateProcessing(single=" ".join(single), pair=" ".join(pair), special_tokens=sorted(set(around)))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    if vocabulary.keys.get("normalizer.lowercase") is False:
        # The class lowercases unless it is told, whatever tokenizer.json says.
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": False}))
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    for name, values in case.extra:
        if not name.startswith("dense_"):
            continue
        head = folder / name.removesuffix(".weight")
        head.mkdir()
        outputs, inputs = values.shape
        save_file({"linear.weight": torch.from_numpy(numpy.ascontiguousarray(values)).bfloat16()}, head / "model.safetensors")
        (head / "config.json").write_text(json.dumps({"in_features": inputs, "out_features": outputs, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}))
        modules.append(("Dense", head.name))
    modules.append(("Normalize", "9_Normalize"))
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"} for i, (kind, path) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({modes[case.pooling]: True, "include_prompt": True}))


def main():
    for name, build in oracle.cases().items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        case = build(name)
        if case.adapter:
            continue  # Only GGUF files of those are made.
        if name in ELSEWHERE:
            continue
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save(case, folder)
        print(f"{name}: {sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) // 1024} KB", flush=True)


if __name__ == "__main__":
    main()
