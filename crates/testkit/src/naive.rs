//! A forward pass in f64, as plain as can be: the oracle of whole models.
//!
//! Written from the fact sheet (`gguf-embedding.md`, sections 3.3 to 3.6), one token row at a time, with no
//! packing, blocking or sharing of code with the engine.

use gguf::{Gguf, Metadata};

use crate::oracle::{gelu_erf, gelu_tanh, layer_norm, rms_norm, rope, softmax};

type Row = Vec<f64>;

struct Model<'a> {
    gguf: &'a Gguf,
    architecture: String,
}

impl Model<'_> {
    fn metadata(&self) -> &Metadata {
        self.gguf.metadata()
    }

    fn size(&self, key: &str) -> Option<usize> {
        self.metadata().usize(&format!("{}.{key}", self.architecture)).expect("a whole number")
    }

    fn float(&self, key: &str) -> Option<f64> {
        self.metadata().f32(&format!("{}.{key}", self.architecture)).expect("a number").map(f64::from)
    }

    /// Which layers see only their window: a flag a layer, or a period whose last layer sees everything
    /// (6 unless stated; 0: every layer is windowed).
    fn is_local(&self, layer: usize) -> bool {
        let key = format!("{}.attention.sliding_window_pattern", self.architecture);
        match self.metadata().get(&key) {
            Some(gguf::Value::Array(list)) => match list.bools() {
                Some(flags) => flags[layer],
                None => list.to_i64s().expect("flags or numbers")[layer] != 0,
            },
            _ => match self.size("attention.sliding_window_pattern").unwrap_or(6) {
                0 => true,
                period => layer % period < period - 1,
            },
        }
    }

    /// Positions of layers that see everything are divided by this.
    fn stretch(&self) -> f64 {
        let key = format!("{}.rope.scaling.type", self.architecture);
        match self.metadata().str(&key).expect("a string") {
            None | Some("linear") => {
                let factors = ["rope.scaling.factor", "rope.scale_linear"].map(|key| self.float(key));
                factors.into_iter().flatten().find(|&factor| factor != 0.0).unwrap_or(1.0)
            }
            Some("none") => 1.0,
            Some(other) => panic!("no naive RoPE scaled by {other}"),
        }
    }

    /// Rows `first..first + count` of a tensor.
    fn rows(&self, name: &str, first: usize, count: usize) -> Option<Vec<Row>> {
        let tensor = self.gguf.tensor(name)?;
        let width = tensor.dims()[0] as usize;
        let total = tensor.dims().get(1).copied().unwrap_or(1) as usize;
        let bytes = tensor.bytes().len() / total;
        let decode = kernels::decode::decoder(tensor.ty()).expect("a type with a decoder");
        let mut values = vec![0.0f32; width];
        let row = |index: usize| {
            decode(&tensor.bytes()[index * bytes..(index + 1) * bytes], &mut values);
            values.iter().map(|&value| f64::from(value)).collect()
        };
        Some((first..first + count).map(row).collect())
    }

    fn matrix(&self, name: &str) -> Option<Vec<Row>> {
        let rows = self.gguf.tensor(name)?.dims().get(1).copied().unwrap_or(1);
        self.rows(name, 0, rows as usize)
    }

    fn vector(&self, name: &str) -> Option<Row> {
        self.rows(name, 0, 1).map(|mut rows| rows.remove(0))
    }

    /// `W x + b`, the bias where the file has one.
    fn linear(&self, stem: &str, x: &[Row]) -> Vec<Row> {
        let weights = self.matrix(&format!("{stem}.weight")).unwrap_or_else(|| panic!("{stem}"));
        let bias = self.vector(&format!("{stem}.bias"));
        let dot = |w: &Row, x: &Row| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        let apply = |x: &Row| {
            let plus = |o: usize| bias.as_ref().map_or(0.0, |bias| bias[o]);
            weights.iter().enumerate().map(|(o, w)| dot(w, x) + plus(o)).collect()
        };
        x.iter().map(apply).collect()
    }

    fn layer_norm(&self, stem: &str, x: &mut [Row]) {
        let weight = self.vector(&format!("{stem}.weight")).unwrap_or_else(|| panic!("{stem}"));
        let bias = self.vector(&format!("{stem}.bias")).unwrap_or_default();
        let eps = self.float("attention.layer_norm_epsilon").expect("an epsilon");
        x.iter_mut().for_each(|row| *row = layer_norm(row, &weight, &bias, eps));
    }

    fn rms_norm(&self, stem: &str, x: &mut [Row]) {
        let weight = self.vector(&format!("{stem}.weight")).unwrap_or_else(|| panic!("{stem}"));
        let eps = self.float("attention.layer_norm_rms_epsilon").expect("an epsilon");
        for row in x {
            // Over heads, the weight is as long as one head.
            *row = row.chunks(weight.len()).flat_map(|head| rms_norm(head, &weight, eps)).collect();
        }
    }
}

/// `softmax(scale q k^T + mask) v`, `sees(query, key)` being the mask.
fn attention(
    q: &[Row],
    k: &[Row],
    v: &[Row],
    head_dim: usize,
    scale: f64,
    sees: impl Fn(usize, usize) -> bool,
) -> Vec<Row> {
    let heads = q[0].len() / head_dim;
    let kv_heads = k[0].len() / head_dim;
    let mut out = vec![vec![0.0; heads * head_dim]; q.len()];
    for head in 0..heads {
        let (at, kv_at) = (head * head_dim, head / (heads / kv_heads) * head_dim);
        for query in 0..q.len() {
            let keys: Vec<usize> = (0..k.len()).filter(|&key| sees(query, key)).collect();
            let score = |&key: &usize| {
                (0..head_dim).map(|i| q[query][at + i] * k[key][kv_at + i]).sum::<f64>() * scale
            };
            let weights = softmax(&keys.iter().map(score).collect::<Vec<_>>());
            for (&key, weight) in keys.iter().zip(weights) {
                for i in 0..head_dim {
                    out[query][at + i] += weight * v[key][kv_at + i];
                }
            }
        }
    }
    out
}

fn add(x: &mut [Row], y: &[Row]) {
    for (x, y) in x.iter_mut().zip(y) {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    }
}

/// The rows after the last norm, one a token.
///
/// # Panics
/// If the file is not a complete model of an architecture known here.
pub fn rows(gguf: &Gguf, ids: &[u32]) -> Vec<Vec<f64>> {
    let architecture =
        gguf.metadata().str("general.architecture").expect("a string").expect("a model").to_owned();
    let model = Model { gguf, architecture };
    let embed = |&id: &u32| model.rows("token_embd.weight", id as usize, 1).expect("embeddings").remove(0);
    let x: Vec<Row> = ids.iter().map(embed).collect();
    match model.architecture.as_str() {
        "bert" => bert(&model, x),
        "gemma-embedding" => gemma(&model, x, false),
        "gemma3" => gemma(&model, x, true),
        other => panic!("no naive forward pass for {other}"),
    }
}

fn bert(model: &Model<'_>, mut x: Vec<Row>) -> Vec<Row> {
    let tokens = x.len();
    add(&mut x, &model.rows("position_embd.weight", 0, tokens).expect("positions"));
    if let Some(kind) = model.rows("token_types.weight", 0, 1) {
        add(&mut x, &vec![kind[0].clone(); tokens]);
    }
    model.layer_norm("token_embd_norm", &mut x);
    let head_dim = x[0].len() / model.size("attention.head_count").expect("heads");
    let causal = model.metadata().bool("bert.attention.causal").expect("a flag").unwrap_or(false);
    let sees = |query: usize, key: usize| !causal || key <= query;
    for layer in 0..model.size("block_count").expect("layers") {
        let name = |stem: &str| format!("blk.{layer}.{stem}");
        let [q, k, v] = ["attn_q", "attn_k", "attn_v"].map(|stem| model.linear(&name(stem), &x));
        let attended = attention(&q, &k, &v, head_dim, 1.0 / (head_dim as f64).sqrt(), sees);
        add(&mut x, &model.linear(&name("attn_output"), &attended));
        model.layer_norm(&name("attn_output_norm"), &mut x);
        let mut inner = model.linear(&name("ffn_up"), &x);
        inner.iter_mut().flatten().for_each(|value| *value = gelu_erf(*value));
        add(&mut x, &model.linear(&name("ffn_down"), &inner));
        model.layer_norm(&name("layer_output_norm"), &mut x);
    }
    x
}

fn gemma(model: &Model<'_>, mut x: Vec<Row>, causal: bool) -> Vec<Row> {
    let root = (x[0].len() as f64).sqrt();
    x.iter_mut().flatten().for_each(|value| *value *= root);
    let heads = model.size("attention.head_count").expect("heads");
    let layers = model.size("block_count").expect("layers");
    let head_dim = model.size("attention.key_length").unwrap_or(x[0].len() / heads);
    let turned = model.size("rope.dimension_count").unwrap_or(head_dim);
    let window = model.size("attention.sliding_window").unwrap_or(0);
    // The 27B model (62 layers) scales scores by the width per head of its rows, not by that of its heads.
    let score_width = if layers == 62 { x[0].len() / heads } else { head_dim };
    let score_scale = 1.0 / (score_width as f64).sqrt();
    for layer in 0..layers {
        let name = |stem: &str| format!("blk.{layer}.{stem}");
        let local = model.is_local(layer);
        let (base, scale) = match local {
            true => (model.float("rope.freq_base_swa").unwrap_or(10_000.0), 1.0),
            false => (model.float("rope.freq_base").unwrap_or(1_000_000.0), 1.0 / model.stretch()),
        };
        let mut h = x.clone();
        model.rms_norm(&name("attn_norm"), &mut h);
        let [mut q, mut k, v] = ["attn_q", "attn_k", "attn_v"].map(|stem| model.linear(&name(stem), &h));
        model.rms_norm(&name("attn_q_norm"), &mut q);
        model.rms_norm(&name("attn_k_norm"), &mut k);
        for rows in [&mut q, &mut k] {
            for (position, row) in rows.iter_mut().enumerate() {
                row.chunks_mut(head_dim).for_each(|head| rope(head, turned, position, base, scale));
            }
        }
        let sees = |query: usize, key: usize| match (causal, local && window > 0) {
            (false, false) => true,
            (false, true) => query.abs_diff(key) <= window / 2,
            (true, false) => key <= query,
            (true, true) => key <= query && query - key < window,
        };
        let attended = attention(&q, &k, &v, head_dim, score_scale, sees);
        let mut branch = model.linear(&name("attn_output"), &attended);
        model.rms_norm(&name("post_attention_norm"), &mut branch);
        add(&mut x, &branch);

        let mut h = x.clone();
        model.rms_norm(&name("ffn_norm"), &mut h);
        let gate = model.linear(&name("ffn_gate"), &h);
        let mut inner = model.linear(&name("ffn_up"), &h);
        for (inner, gate) in inner.iter_mut().flatten().zip(gate.iter().flatten()) {
            *inner *= gelu_tanh(*gate);
        }
        let mut branch = model.linear(&name("ffn_down"), &inner);
        model.rms_norm(&name("post_ffw_norm"), &mut branch);
        add(&mut x, &branch);
    }
    model.rms_norm("output_norm", &mut x);
    x
}

/// The mean of the rows through the dense heads, as far as the file has them; not normalised.
pub fn mean_pooled(gguf: &Gguf, ids: &[u32]) -> Vec<f32> {
    project(gguf, mean(&rows(gguf, ids)))
}

/// The last row through the dense heads; not normalised.
pub fn last_pooled(gguf: &Gguf, ids: &[u32]) -> Vec<f32> {
    project(gguf, rows(gguf, ids).pop().expect("a token"))
}

/// The mean of rows.
pub fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let count = rows.len() as f64;
    (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / count).collect()
}

/// A row, or a mean of rows, through the dense heads as far as the file has them; not normalised.
pub fn project(gguf: &Gguf, mut vector: Vec<f64>) -> Vec<f32> {
    let model = Model { gguf, architecture: String::new() };
    for head in ["dense_2", "dense_3"] {
        if gguf.tensor(&format!("{head}.weight")).is_some() {
            vector = model.linear(head, &[vector]).remove(0);
        }
    }
    vector.into_iter().map(|value| value as f32).collect()
}
