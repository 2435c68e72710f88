"""Networks that no package has the authors' class of: written anew, in torch, from what their authors' code computes.

What they prove is weaker: that two readings of the same description agree. Their parameters have the names of the GGUF file.
"""
import torch
from torch import nn
from torch.nn import functional

import vocabularies
from model import Case, fill

CONTEXT = 640
EPS = 1e-5


def rotate(heads, base, adjacent):
    """RoPE on `tokens x heads x head_dim`: pairs are neighbours, or halves apart."""
    count, _, dim = heads.shape
    frequencies = base ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    angles = torch.outer(torch.arange(count, dtype=torch.float32), frequencies)[:, None]
    cos, sin = angles.cos(), angles.sin()
    if adjacent:
        x, y = heads[..., 0::2], heads[..., 1::2]
        return torch.stack([x * cos - y * sin, x * sin + y * cos], -1).flatten(-2)
    x, y = heads.chunk(2, -1)
    return torch.cat([x * cos - y * sin, x * sin + y * cos], -1)


def attend(q, k, v, bias=0.0):
    """Every token to every one; `bias` is `heads x tokens x tokens`."""
    scores = torch.einsum("ihd,jhd->hij", q, k) / q.shape[-1] ** 0.5 + bias
    return torch.einsum("hij,jhd->ihd", scores.softmax(-1), v).flatten(1)


def alibi(heads, count):
    """The paper's slopes: powers of 2^(-8/n) for the n of a power of two, and between them those of 2n."""
    whole = 1
    while whole * 2 <= heads:
        whole *= 2
    slopes = [2 ** (-8 * (head + 1) / whole) for head in range(whole)]
    slopes += [2 ** (-4 * (2 * head + 1) / whole) for head in range(heads - whole)]
    places = torch.arange(count)
    distance = (places[:, None] - places[None]).abs()
    return -torch.tensor(slopes)[:, None, None] * distance


class JinaLayer(nn.Module):
    def __init__(self, dim, inner, heads, form):
        super().__init__()
        self.heads, self.form = heads, form
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear(dim, dim) for _ in range(4))
        if form == "code":
            self.attn_q_norm, self.attn_k_norm = nn.LayerNorm(dim, EPS), nn.LayerNorm(dim, EPS)
            self.attn_norm_2 = nn.LayerNorm(dim, EPS)
        self.attn_output_norm, self.layer_output_norm = nn.LayerNorm(dim, EPS), nn.LayerNorm(dim, EPS)
        if form == "plain":
            self.ffn_up = nn.Linear(dim, inner)
        elif form in ("code", "fused"):
            self.ffn_up = nn.Linear(dim, 2 * inner, bias=False)
        else:
            self.ffn_gate, self.ffn_up = nn.Linear(dim, inner, bias=False), nn.Linear(dim, inner, bias=False)
        self.ffn_down = nn.Linear(inner, dim)

    def forward(self, x):
        q, k, v = self.attn_q(x), self.attn_k(x), self.attn_v(x)
        if self.form == "code":
            q, k = self.attn_q_norm(q), self.attn_k_norm(k)
        q, k, v = (values.unflatten(-1, (self.heads, -1)) for values in (q, k, v))
        a = self.attn_output_norm(x + self.attn_output(attend(q, k, v, alibi(self.heads, len(x)))))
        if self.form == "code":
            a = self.attn_norm_2(x + a)
        if self.form == "plain":
            inner = functional.gelu(self.ffn_up(a))
        elif self.form in ("code", "fused"):
            # The code models' gate is the second half, the others' the first.
            gate, up = self.ffn_up(a).chunk(2, -1) if self.form == "fused" else reversed(self.ffn_up(a).chunk(2, -1))
            inner = functional.gelu(gate) * up
        else:
            inner = functional.gelu(self.ffn_gate(a)) * self.ffn_up(a)
        return self.layer_output_norm(a + self.ffn_down(inner))


class Jina(nn.Module):
    """jina-bert-v2: BERT without positions but for ALiBi. Its feed-forward block is gated by a matrix of its own (`gated`, as files were
    once converted), by half of one matrix (`fused`), by the other half (`code`: these models also have norms of queries and keys and a
    second norm after attention), or by nothing (`plain`)."""

    def __init__(self, vocabulary, dim, inner, heads, layers, form):
        super().__init__()
        self.token_embd, self.token_types = nn.Embedding(vocabulary, dim), nn.Embedding(2, dim)
        self.token_embd_norm = nn.LayerNorm(dim, EPS)
        self.blk = nn.ModuleList(JinaLayer(dim, inner, heads, form) for _ in range(layers))

    def forward(self, ids, types=0):
        x = self.token_embd_norm(self.token_embd(ids) + self.token_types.weight[types])
        for layer in self.blk:
            x = layer(x)
        return x


class NeoLayer(nn.Module):
    def __init__(self, dim, inner, heads):
        super().__init__()
        self.heads = heads
        self.attn_norm, self.ffn_norm = nn.RMSNorm(dim, EPS), nn.RMSNorm(dim, EPS)
        self.attn_qkv, self.attn_output = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.ffn_up, self.ffn_down = nn.Linear(dim, 2 * inner, bias=False), nn.Linear(inner, dim, bias=False)

    def forward(self, x):
        # Each head's query, key and value lie beside each other.
        q, k, v = self.attn_qkv(self.attn_norm(x)).unflatten(-1, (self.heads, -1)).chunk(3, -1)
        q, k = rotate(q, 10000.0, adjacent=True), rotate(k, 10000.0, adjacent=True)
        x = x + self.attn_output(attend(q, k, v))
        gate, up = self.ffn_up(self.ffn_norm(x)).chunk(2, -1)
        return x + self.ffn_down(functional.silu(gate) * up)


class Neo(nn.Module):
    """NeoBERT."""

    def __init__(self, vocabulary, dim, inner, heads, layers):
        super().__init__()
        self.token_embd = nn.Embedding(vocabulary, dim)
        self.blk = nn.ModuleList(NeoLayer(dim, inner, heads) for _ in range(layers))
        self.enc = nn.ModuleDict({"output_norm": nn.RMSNorm(dim, EPS)})

    def forward(self, ids):
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x)
        return self.enc["output_norm"](x)


class Stack(nn.Module):
    """One matrix for each expert."""

    def __init__(self, experts, outputs, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs))


class NomicMoeLayer(nn.Module):
    def __init__(self, dim, inner, heads, experts):
        super().__init__()
        self.heads = heads
        self.attn_qkv, self.attn_output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.attn_output_norm, self.layer_output_norm = nn.LayerNorm(dim, EPS), nn.LayerNorm(dim, EPS)
        self.experts = experts
        if experts:
            self.ffn_gate_inp = nn.Linear(dim, experts, bias=False)
            self.ffn_up_exps, self.ffn_down_exps = Stack(experts, inner, dim), Stack(experts, dim, inner)
        else:
            self.ffn_up, self.ffn_down = nn.Linear(dim, inner), nn.Linear(inner, dim)

    def feed_forward(self, x):
        if not self.experts:
            return self.ffn_down(functional.gelu(self.ffn_up(x)))
        # The two likeliest of all, each by its share of all: the two shares are not made to sum to one.
        shares, chosen = self.ffn_gate_inp(x).softmax(-1).topk(2, -1)
        inner = functional.gelu(torch.einsum("td,tkfd->tkf", x, self.ffn_up_exps.weight[chosen]))
        return torch.einsum("tkf,tkdf,tk->td", inner, self.ffn_down_exps.weight[chosen], shares)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)) for part in self.attn_qkv(x).chunk(3, -1))
        q, k = rotate(q, 10000.0, adjacent=False), rotate(k, 10000.0, adjacent=False)
        x = self.attn_output_norm(x + self.attn_output(attend(q, k, v)))
        return self.layer_output_norm(x + self.feed_forward(x))


class NomicMoe(nn.Module):
    """nomic-embed-text-v2-moe: experts in every second layer."""

    def __init__(self, vocabulary, dim, inner, heads, layers):
        super().__init__()
        self.token_embd, self.token_types = nn.Embedding(vocabulary, dim), nn.Embedding(1, dim)
        self.token_embd_norm = nn.LayerNorm(dim, EPS)
        self.blk = nn.ModuleList(NomicMoeLayer(dim, inner, heads, 8 if place % 2 else 0) for place in range(layers))

    def forward(self, ids):
        x = self.token_embd_norm(self.token_embd(ids) + self.token_types.weight[0])
        for layer in self.blk:
            x = layer(x)
        return x


def case(name, architecture, vocabulary, model, keys, pooling):
    keys = {"context_length": CONTEXT, "block_count": len(model.blk), "attention.causal": False} | keys
    return Case(
        name, architecture, vocabulary, fill(name, model), keys, pooling, proven_by="its description, not the authors' code",
        rename=lambda key, values: [(key, values)], rows=lambda model, ids: model(torch.tensor(ids)),
    )


def jina(form, vocabulary, heads, pooling="mean"):
    def build(name):
        dim, inner = {2: 32, 3: 36, 4: 32, 6: 36}[heads], 48
        model = Jina(vocabulary().size, dim, inner, heads, 2, form)
        keys = {"embedding_length": dim, "feed_forward_length": inner, "attention.head_count": heads, "attention.layer_norm_epsilon": EPS}
        return case(name, "jina-bert-v2", vocabulary(), model, keys, pooling)

    return build


def code_vocabulary():
    found = vocabularies.roberta("jina-v2-code")
    found.keys["token_type_count"] = 2
    return found


def neo(name):
    vocabulary = vocabularies.wordpiece()
    keys = {
        "embedding_length": 32, "feed_forward_length": 48, "attention.head_count": 4, "attention.layer_norm_rms_epsilon": EPS,
        "rope.freq_base": 10000.0, "rope.scaling.type": "none",
    }
    return case(name, "neo-bert", vocabulary, Neo(vocabulary.size, 32, 48, 4, 3), keys, "cls")


def nomic_moe(name):
    vocabulary = vocabularies.xlm_roberta()
    keys = {
        "embedding_length": 32, "feed_forward_length": 40, "attention.head_count": 2, "attention.layer_norm_epsilon": EPS,
        "rope.freq_base": 10000.0, "moe_every_n_layers": 2, "expert_count": 8, "expert_used_count": 2,
    }
    return case(name, "nomic-bert-moe", vocabulary, NomicMoe(vocabulary.size, 32, 40, 2, 4), keys, "mean")


CASES = {
    "jina-bert-v2": jina("gated", lambda: vocabularies.wordpiece(pre="jina-v2-en"), heads=4),
    "jina-bert-v2-fused": jina("fused", lambda: vocabularies.wordpiece(pre="jina-v2-en"), heads=6),
    "jina-bert-v2-code": jina("code", code_vocabulary, heads=3),
    "jina-bert-v2-plain": jina("plain", lambda: vocabularies.wordpiece(pre="jina-v2-en"), heads=2, pooling="cls"),
    "neo-bert": neo,
    "nomic-bert-moe": nomic_moe,
}
