#!/usr/bin/env python3
"""Makes the tiny rerankers of testdata/rerankers and what their authors' own classes score with them.

    scripts/oracle/rerankers.sh [NAME ...]         # all, or some of them
    scripts/oracle/rerankers.sh --folders [NAME ...]  # testdata/rerankers/folders: those that `connote convert` is held to

Of each: NAME.gguf, the model as a converter writes it; NAME.json, pairs of texts with the ids, token types and outputs of the head.
Where sentence-transformers' CrossEncoder takes such a model, it must give the same outputs from the texts themselves.
"""
import json
import re
import sys
import tempfile

import numpy
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import processors
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, ModernBertConfig, ModernBertForSequenceClassification
from transformers import NomicBertConfig, NomicBertForSequenceClassification, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3ForSequenceClassification
from transformers import RobertaConfig, RobertaForSequenceClassification, XLMRobertaConfig, XLMRobertaForSequenceClassification

import described
import folders
import tokenizer_vocabularies as real
import vocabularies
from encoders import EMBEDDINGS, ROTARY, named
from model import by_table, fill, fuse
from pairs import CONTEXT, MODEL, OUT, USER_DEFINED, Reranker, parameters, scored, sizes, unmarked, write, write_pairs


def classifier(model):
    """What a class for sequences gives."""

    def outputs(ids, types):
        tensors = {"input_ids": torch.tensor([ids])}
        if any(types):
            tensors["token_type_ids"] = torch.tensor([types])
        return model(**tensors).logits[0]

    return outputs


def heads(table, rename, first=0):
    """Names of a head by a table, the rest by another way without the beginning of the class."""

    def renamed(name, values):
        stem, _, end = name.rpartition(".")
        if stem in table:
            return [(f"{table[stem]}.{end}", values)]
        name = name.split(".", 1)[1]
        return rename(name, values[first:] if "position_embeddings" in name else values)

    return renamed


POOLED = {"pooler.dense": "cls", "classifier": "cls.output"}


def bert(name, labels=None):
    """BERT's dense layer is the pooler's: a file that keeps it has it where RoBERTa's classifier has its own."""
    vocabulary = vocabularies.wordpiece()
    more = {"id2label": dict(enumerate(labels)), "label2id": {label: place for place, label in enumerate(labels)}} if labels else {"num_labels": 1}
    config = BertConfig(
        vocab_size=vocabulary.size, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        max_position_embeddings=CONTEXT, layer_norm_eps=1e-5, attn_implementation="eager", **more,
    )
    model = fill(name, BertForSequenceClassification(config))
    table = {"bert.pooler.dense": "cls", "classifier": "cls.output"}
    keys = sizes(config, **{"attention.layer_norm_epsilon": 1e-5, "attention.causal": False})
    return Reranker(name, "bert", vocabulary, model, keys, classifier(model), parameters(model, heads(table, by_table(MODEL.BERT, 2))), labels, types=True)


def roberta(name, config_class, model_class, vocabulary, fused=False):
    config = config_class(
        vocab_size=vocabulary.size, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, type_vocab_size=1, num_labels=1,
        max_position_embeddings=CONTEXT + 2, layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0, eos_token_id=2, attn_implementation="eager",
    )
    vocabulary.keys["add_sep_token"] = True
    model = fill(name, model_class(config))
    table = {"classifier.dense": "cls", "classifier.out_proj": "cls.output"}
    keys = sizes(config, **{"attention.layer_norm_epsilon": 1e-5, "attention.causal": False})
    tensors = parameters(model, heads(table, by_table(MODEL.BERT, 2), 2))
    return Reranker(name, "bert", vocabulary, model, keys, classifier(model), fuse(tensors) if fused else tensors)


def nomic(name):
    vocabulary = vocabularies.wordpiece()
    config = NomicBertConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, layer_norm_eps=1e-5, num_labels=1,
        max_position_embeddings=CONTEXT, rope_parameters={"rope_type": "default", "rope_theta": 1000.0}, attn_implementation="eager",
    )
    model = fill(name, NomicBertForSequenceClassification(config))
    table = {"nomic_bert.pooler.dense": "cls", "classifier": "cls.output"}
    keys = sizes(config, **{"attention.layer_norm_epsilon": 1e-5, "attention.causal": False, "rope.freq_base": 1000.0})
    tensors = fuse(parameters(model, heads(table, named(EMBEDDINGS, ROTARY))))
    return Reranker(name, "nomic-bert", vocabulary, model, keys, classifier(model), tensors, types=True)


def modern_bert(name, pooling):
    vocabulary = vocabularies.modern_bert()
    config = ModernBertConfig(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, max_position_embeddings=CONTEXT,
        norm_eps=1e-5, global_attn_every_n_layers=3, local_attention=16, pad_token_id=vocabulary.keys["padding_token_id"], bos_token_id=None,
        eos_token_id=None, cls_token_id=vocabulary.begin[0], sep_token_id=vocabulary.end[0], attn_implementation="eager", num_labels=1, classifier_pooling=pooling,
    )
    model = fill(name, ModernBertForSequenceClassification(config))
    table = {"head.dense": "cls", "head.norm": "cls.norm", "classifier": "cls.output"}
    keys = sizes(config, **{
        "attention.layer_norm_epsilon": 1e-5, "attention.causal": False, "attention.sliding_window": 16, "attention.sliding_window_pattern": 3,
        "rope.freq_base": 160000.0, "rope.freq_base_swa": 10000.0, "vocab_size": vocabulary.size, "classifier.pooling_type": {"mean": 1, "cls": 2}[pooling],
    })
    return Reranker(name, "modern-bert", vocabulary, model, keys, classifier(model), parameters(model, heads(table, by_table(MODEL.MODERN_BERT, 3))))


class WithHead(nn.Module):
    """A network of `described` with BERT's pooler and classifier, which is NeoBERT's head, too."""

    def __init__(self, network, dim):
        super().__init__()
        self.network, self.cls = network, nn.ModuleDict({"dense": nn.Linear(dim, dim), "output": nn.Linear(dim, 1)})

    def forward(self, *ids):
        return self.cls["output"](torch.tanh(self.cls["dense"](self.network(*ids)[0])))


def of_description(name, architecture, vocabulary, network, keys, types=False):
    model = fill(name, WithHead(network, 32))
    table = {"cls.dense": "cls", "cls.output": "cls.output"}
    tensors = parameters(model, heads(table, lambda name, values: [(name, values)]))
    outputs = lambda ids, kinds: model(torch.tensor(ids), torch.tensor(kinds)) if types else model(torch.tensor(ids))
    keys |= {"context_length": CONTEXT, "embedding_length": 32, "block_count": 2, "feed_forward_length": 48, "attention.head_count": 2}
    return Reranker(name, architecture, vocabulary, model, keys, outputs, tensors, proven_by="description", cross_encoder=False, types=types)


def jina(name, form="gated"):
    """`fused` is the form of jina-reranker-v1's folders. With BERT's vocabulary a document is of token type 1, as in BERT."""
    types = form == "plain"
    vocabulary = vocabularies.wordpiece(pre="jina-v2-en") if types else vocabularies.roberta("jina-v2-code")
    network = described.Jina(vocabulary.size, 32, 48, 2, 2, form)
    return of_description(name, "jina-bert-v2", vocabulary, network, {"attention.layer_norm_epsilon": 1e-5, "attention.causal": False}, types)


def neo(name):
    vocabulary = vocabularies.wordpiece()
    network = described.Neo(vocabulary.size, 32, 48, 2, 2)
    return of_description(name, "neo-bert", vocabulary, network, {"attention.layer_norm_rms_epsilon": 1e-5, "attention.causal": False, "rope.freq_base": 10000.0})


SYSTEM = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
TASK = "Given a web search query, retrieve relevant passages that answer the query"
ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def qwen(name, generative):
    """The authors tokenize three texts and join the ids: what stands before the pair and after it, with marks, and the pair."""
    small = vocabularies.qwen2()
    tokens, kinds = small.keys["tokens"] + ["<think>", "</think>"], small.keys["token_type"] + [USER_DEFINED] * 2
    words = sum(kind == real.NORMAL for kind in kinds)
    keys = small.keys | {"tokens": tokens, "token_type": kinds, "add_eos_token": False}
    vocabulary = vocabularies.Vocabulary(keys, real.byte_level(tokens, kinds, keys["merges"], "qwen2"), [], [])
    without_marks = real.byte_level(tokens[:words], kinds[:words], keys["merges"], "qwen2")
    context = 416
    config = Qwen3Config(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=48,
        max_position_embeddings=context, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, attn_implementation="eager",
        tie_word_embeddings=False, num_labels=1, pad_token_id=tokens.index("<|endoftext|>"),
    )
    ours = sizes(config, **{
        "context_length": context, "attention.layer_norm_rms_epsilon": 1e-6, "attention.head_count_kv": 2, "attention.key_length": 16, "attention.value_length": 16,
        "rope.freq_base": 1000000.0,
    })
    model = fill(name, (Qwen3ForCausalLM if generative else Qwen3ForSequenceClassification)(config))
    table = by_table(MODEL.QWEN3, 2)
    answers = [words - 40, words - 41]

    def rename(parameter, values):
        if parameter == "lm_head.weight":
            return [("cls.output.weight", values[answers])]
        if parameter == "score.weight":
            return [("cls.output.weight", values)]
        return table(parameter, values)

    def ids(query, document):
        marked = lambda text: vocabulary.tokenizer.encode(text, add_special_tokens=False).ids
        before, after = marked(SYSTEM), marked(ANSWER)
        body = without_marks.encode(f"<Instruct>: {TASK}\n<Query>: {query}\n<Document>: {document}", add_special_tokens=False).ids
        room = context - len(before) - len(after)
        found = before + body[:room] + after
        return found, [0] * len(found), len(body) > room

    def outputs(ids, types):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        return logits[-1, answers] if generative else logits

    template = f"{SYSTEM}<Instruct>: {TASK}\n<Query>: {{query}}\n<Document>: {{document}}{ANSWER}"
    labels = ["yes", "no"] if generative else None
    return Reranker(name, "qwen3", vocabulary, model, ours, outputs, parameters(model, rename), labels, ids=ids, template=template, cross_encoder=False)


CASES = {
    "bert": bert,
    "bert-nli": lambda name: bert(name, ["contradiction", "entailment", "neutral"]),
    "roberta": lambda name: roberta(name, RobertaConfig, RobertaForSequenceClassification, vocabularies.roberta()),
    "xlm-roberta": lambda name: roberta(name, XLMRobertaConfig, XLMRobertaForSequenceClassification, vocabularies.xlm_roberta()),
    "jina-reranker-v2": lambda name: roberta(name, XLMRobertaConfig, XLMRobertaForSequenceClassification, vocabularies.xlm_roberta(), fused=True),
    "nomic-bert": nomic,
    "modern-bert-mean": lambda name: modern_bert(name, "mean"),
    "modern-bert-cls": lambda name: modern_bert(name, "cls"),
    "jina-bert-v2": jina,
    "jina-bert-v2-fused": lambda name: jina(name, "fused"),
    "jina-bert-v2-plain": lambda name: jina(name, "plain"),
    "neo-bert": neo,
    "qwen3-yes-no": lambda name: qwen(name, generative=True),
    "qwen3-linear": lambda name: qwen(name, generative=False),
}


# Models that have a class and a vocabulary as their authors' repositories have them.
FOLDERS = ["bert", "bert-nli", "roberta", "xlm-roberta", "jina-reranker-v2", "modern-bert-mean", "modern-bert-cls", "nomic-bert"]

# jina-reranker-v2 is XLM-R under the names of jina's own code, which is on no registry.
JINA = [
    (r"embeddings\.LayerNorm", "emb_ln"), (r"encoder\.layer\.", "encoder.layers."), (r"attention\.output\.dense", "mixer.out_proj"),
    (r"attention\.output\.LayerNorm", "norm1"), (r"intermediate\.dense", "mlp.fc1"), (r"(\d+)\.output\.dense", r"\1.mlp.fc2"), (r"(\d+)\.output\.LayerNorm", r"\1.norm2"),
]
JINA_CONFIG = {
    "auto_map": {
        "AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig",
        "AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification",
    },
    "emb_pooler": None, "matryoshka_dimensions": None, "truncate_dim": None, "use_flash_attn": True, "position_embedding_type": "absolute",
}

# Names and configuration of the authors' own classes, which are in their repositories at Hugging Face and in no package. What their
# classes for sequences add is BERT's pooler (dense and tanh of the first row) and one product.
HEAD = {"cls": "bert.pooler.dense", "cls.output": "classifier"}
LABEL = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
NOMIC_LAYERS = {"ffn_up": "mlp.fc11", "ffn_gate": "mlp.fc12", "ffn_down": "mlp.fc2"}
NOMIC_CONFIG = {
    "architectures": ["NomicBertForSequenceClassification"], "model_type": "nomic_bert", "activation_function": "swiglu", "attn_pdrop": 0.0, "bos_token_id": None,
    "causal": False, "dense_seq_output": True, "embd_pdrop": 0.0, "eos_token_id": None, "fused_bias_fc": True, "fused_dropout_add_ln": True, "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-5, "max_trained_positions": 2048, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "n_embd": 32, "n_head": 2, "n_inner": 48, "n_layer": 2,
    "n_positions": CONTEXT, "pad_vocab_size_multiple": 64, "parallel_block": False, "parallel_block_tied_norm": False, "prenorm": False, "qkv_proj_bias": False,
    "reorder_and_upcast_attn": False, "resid_pdrop": 0.0, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None, "scale_attn_by_inverse_layer_idx": False, "scale_attn_weights": True, "summary_activation": None, "summary_first_dropout": 0.0,
    "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True, "type_vocab_size": 2, "use_cache": True, "use_flash_attn": True,
    "use_rms_norm": False, "use_xentropy": True,
}
JINA_SIZES = {
    "architectures": ["JinaBertForSequenceClassification"], "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2,
    "layer_norm_eps": 1e-5, "max_position_embeddings": CONTEXT,
}
# The folder, what its model is called here, the names of its tensors, and its configuration.
AUTHORS = {
    "nomic-bert.authors": ("nomic-bert", folders.NOMIC | NOMIC_LAYERS, NOMIC_CONFIG),
    "jina-bert-v2-fused": ("jina-bert-v2-fused", *(given | more for given, more in zip(folders.AUTHORS["jina-bert-v2-fused"], ({}, JINA_SIZES)))),
    "jina-bert-v2-plain": ("jina-bert-v2-plain", *(given | more for given, more in zip(folders.AUTHORS["jina-bert-v2-plain"], ({}, JINA_SIZES)))),
}


def as_jina(folder):
    """A folder of XLM-R's class as jina's repository has it."""
    tensors = load_file(folder / "model.safetensors")
    renamed = {}
    for name, values in tensors.items():
        for theirs, jinas in JINA:
            name = re.sub(theirs, jinas, name)
        renamed[name] = values
    for name in [name for name in renamed if "attention.self.query" in name]:
        parts = [renamed.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        renamed[name.replace("attention.self.query", "mixer.Wqkv")] = torch.cat(parts)
    assert not any("attention" in name for name in renamed)
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | JINA_CONFIG
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def save_as_authors(case, folder, names, config):
    """The model with the authors' own names."""
    found = {}
    for name, values in case.tensors:
        stem, end = name.rsplit(".", 1)
        layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
        theirs = HEAD.get(stem) or "bert." + (f"{names['blk']}.{layer[1]}.{names[layer[2]]}" if layer else names[stem])
        found[f"{theirs}.{end}"] = torch.from_numpy(numpy.ascontiguousarray(values)).bfloat16()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    config = LABEL | config | {"vocab_size": case.vocabulary.size, "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    tokenizer(case).save_pretrained(folder)


def save(case, folder):
    """The model as a folder of Hugging Face's."""
    case.model.save_pretrained(folder)
    tokenizer(case).save_pretrained(folder)


def tokenizer(case):
    """With the form of its pairs."""
    tokens, vocabulary = case.vocabulary.keys["tokens"], case.vocabulary
    plain = vocabulary.tokenizer
    first, last = tokens[vocabulary.begin[0]], tokens[vocabulary.end[0]]
    between = " ".join([last] * len(case.between()))
    kind = int(case.types)
    plain.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", pair=f"{first} $A {between} $B:{kind} {last}:{kind}", special_tokens=[(first, vocabulary.begin[0]), (last, vocabulary.end[0])],
    )
    inputs = ["input_ids", "attention_mask"] + (["token_type_ids"] if case.types else [])
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, model_max_length=CONTEXT, cls_token=first, sep_token=last, pad_token=tokens[vocabulary.keys["padding_token_id"]],
        model_input_names=inputs, split_special_tokens=True,
    )


def cross_encoder(case, pairs):
    """What sentence-transformers makes of the texts themselves. Marks in texts are text to it, too, as it is told."""
    from sentence_transformers import CrossEncoder

    with tempfile.TemporaryDirectory() as folder:
        save(case, folder)
        encoder = CrossEncoder(folder, device="cpu", max_length=CONTEXT)
        scores = encoder.predict([(pair["query"], pair["document"]) for pair in pairs], activation_fn=nn.Identity(), batch_size=4)
    return numpy.reshape(scores, (len(pairs), -1))


def make(name, build):
    case = build(name)
    write(OUT / f"{name}.gguf", case)
    pairs = scored(case)
    told = ""
    if case.cross_encoder:
        import sentence_transformers

        same = unmarked(case, pairs)
        theirs = cross_encoder(case, same)
        ours = numpy.array([pair["outputs"] for pair in same])
        apart = float(numpy.abs(theirs - ours).max())
        assert apart < 1e-5, f"{name}: CrossEncoder is {apart} apart"
        case.proven_by += f", and CrossEncoder of sentence-transformers {sentence_transformers.__version__}"
        told = f"; CrossEncoder within {apart:.1e} on {len(same)} of {len(pairs)} pairs"
    write_pairs(case, pairs, told)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    if sys.argv[1:2] == ["--folders"]:
        # For `connote convert`. Values are exact in bf16, which halves the folders.
        for name in sys.argv[2:] or FOLDERS:
            case = CASES[name](name)
            case.model.bfloat16()
            save(case, OUT / "folders" / name)
            if name == "jina-reranker-v2":
                as_jina(OUT / "folders" / name)
        for name, (of, names, config) in AUTHORS.items():
            save_as_authors(CASES[of](of), OUT / "folders" / name, names, config)
        return
    for name in sys.argv[1:] or CASES:
        make(name, CASES[name])


if __name__ == "__main__":
    main()
