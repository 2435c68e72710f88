#!/usr/bin/env python3
"""Makes the tiny language model that judges as mxbai-rerank v2 does, and what its authors' own class scores with it.

    scripts/oracle/judges.sh

testdata/rerankers/folders/mxbai-rerank: the folder, as transformers saves it. mxbai-rerank.gguf: the model as a converter writes it.
mxbai-rerank.json: pairs of texts with ids and the logits of the two answers. Ids and scores are those of `MxbaiRerankV2` of the
package mxbai-rerank, but for texts that look like marks, of which its tokenizer makes marks: there the same class's parts are
tokenized by a tokenizer without marks. The class needs transformers 4 (`prepare_for_model`), hence an environment of its own.
"""
import shutil

import gguf
import torch
import transformers
from importlib.metadata import version
from mxbai_rerank import MxbaiRerankV2
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

import vocabularies
import tokenizer_vocabularies as real
from model import by_table, fill
from pairs import DOCUMENTS, OUT, QUERIES, Reranker, parameters, scored, sizes, write, write_pairs

NAME = "mxbai-rerank"
CONTEXT = 640
# Blanks at the seams of the parts: they would run together with the line ends between.
BLANK_QUERIES = [" how far? \n"]
BLANK_DOCUMENTS = ["\n two lines\r\n \n"]


def with_line_ends(name, trained=vocabularies.trained):
    """Two line ends are one token, as in Qwen's vocabulary: without it no blanks at a seam would run together."""
    small = trained(name)
    return small | {"tokens": small["tokens"] + ["ĊĊ"], "token_type": small["token_type"] + [real.NORMAL], "merges": small["merges"] + ["Ċ Ċ"]}


def tokenizers():
    """Qwen's: one that finds marks, and one that has none."""
    vocabularies.trained = with_line_ends
    vocabulary = vocabularies.qwen2()
    keys = vocabulary.keys
    words = sum(kind == real.NORMAL for kind in keys["token_type"])
    return vocabulary, real.byte_level(keys["tokens"][:words], keys["token_type"][:words], keys["merges"], "qwen2")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    vocabulary, plain = tokenizers()
    vocabulary.keys |= {"add_eos_token": False}
    tokens = vocabulary.keys["tokens"]
    config = Qwen2Config(
        vocab_size=vocabulary.size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48,
        max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, rope_theta=1000000.0, attn_implementation="eager", tie_word_embeddings=True,
        pad_token_id=tokens.index("<|endoftext|>"), eos_token_id=tokens.index("<|im_end|>"),
    )
    model = fill(NAME, Qwen2ForCausalLM(config))
    folder = OUT / "folders" / NAME
    shutil.rmtree(folder, ignore_errors=True)
    model.bfloat16().save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=vocabulary.tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=CONTEXT)
    wrapped.save_pretrained(folder)

    authors = MxbaiRerankV2(str(folder), device="cpu", torch_dtype=torch.float32, attn_implementation="eager")
    answers = [authors.yes_loc, authors.no_loc]
    assert [tokens[answer] for answer in answers] == ["1", "0"]

    def theirs(query, document):
        inputs = authors.prepare_inputs([query], [document])
        ids = inputs["input_ids"][0][inputs["attention_mask"][0] == 1].tolist()
        return ids, float(authors.predict([query], [document])[0])

    def ids(query, document):
        of = lambda text: plain.encode(text, add_special_tokens=False).ids
        before = authors.chat_template_prefix_inputs + of(authors.query_prompt.format(query=query)) + authors.sep_inputs
        after = authors.sep_inputs + authors.task_prompt_inputs + authors.chat_template_suffix_inputs
        body = of("document: " + document)
        room = CONTEXT - len(before) - len(after)
        found = before + body[:room] + after
        return found, [0] * len(found), len(body) > room

    def outputs(ids, types):
        return authors.model(input_ids=torch.tensor([ids])).logits[0, -1, answers]

    table = by_table(gguf.MODEL_ARCH.QWEN2, 2)
    output = model.float().get_input_embeddings().weight.detach().numpy()[answers]
    tensors = parameters(model, table) + [("cls.output.weight", output)]
    keys = sizes(config, **{
        "context_length": CONTEXT, "attention.layer_norm_rms_epsilon": 1e-6, "attention.head_count_kv": 2, "attention.key_length": 8, "attention.value_length": 8,
        "rope.freq_base": 1000000.0,
    })
    template = authors.chat_template
    parts = [template["prefix"], authors.query_prompt, authors.sep, authors.doc_prompt, authors.sep, authors.task_prompt, template["suffix"]]
    proven_by = f"MxbaiRerankV2 of mxbai-rerank {version('mxbai-rerank')}, transformers {transformers.__version__}"
    case = Reranker(
        NAME, "qwen2", vocabulary, model, keys, outputs, tensors, ["yes", "no"], ids=ids, proven_by=proven_by, template="".join(parts), parts=parts, cross_encoder=False,
    )
    vocabulary.tokenizer.encode_special_tokens = False
    write(OUT / f"{NAME}.gguf", case)
    pairs = scored(case, QUERIES + BLANK_QUERIES, DOCUMENTS + BLANK_DOCUMENTS)
    has_marks = lambda text: wrapped.encode(text, add_special_tokens=False) != plain.encode(text, add_special_tokens=False).ids
    compared, apart = 0, 0.0
    for pair in pairs:
        if has_marks(pair["query"]) or has_marks(pair["document"]):
            continue
        found, score = theirs(pair["query"], pair["document"])
        assert found == pair["ids"], (pair["query"], pair["document"], found, pair["ids"])
        apart = max(apart, abs(score - (pair["outputs"][0] - pair["outputs"][1])))
        compared += 1
    assert apart < 2e-5, apart
    write_pairs(case, pairs, f"; the authors' class within {apart:.1e} on {compared} of {len(pairs)} pairs, their ids the same")


if __name__ == "__main__":
    main()
