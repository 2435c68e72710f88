//! Tensors beside the configuration: each has the shape that the keys give it, before a file says both.

use super::{Family, Keys};
use crate::error::Error;
use crate::model::Tensor;

/// The numbers of a network that shapes are made of.
struct Sizes {
    width: u64,
    inner: u64,
    head_dim: u64,
    /// Of all heads of queries; of keys, or values.
    queries: u64,
    values: u64,
}

/// Refuses a tensor whose shape is not what the keys say, length of a row first.
pub(super) fn check(family: &Family, tensors: &[Tensor], keys: &Keys) -> Result<(), Error> {
    let size = |key: &str| keys.size(key).unwrap_or(0);
    let width = size("embedding_length");
    let heads = keys.heads as u64;
    let head_dim = match keys.size("attention.key_length") {
        Some(head_dim) => head_dim,
        None if heads == 0 || !width.is_multiple_of(heads) => {
            return Err(Error::mismatch(format!(
                "config.json: {heads} heads do not divide a width of {width}"
            )));
        }
        None => width / heads,
    };
    let (queries, values) = (heads * head_dim, keys.kv_heads as u64 * head_dim);
    let sizes = Sizes { width, inner: size("feed_forward_length"), head_dim, queries, values };
    for tensor in tensors {
        let wanted = wanted(family, keys, &sizes, tensor);
        if !wanted.is_empty() && !wanted.contains(&tensor.dims) {
            let shown = |dims: &[u64]| format!("{:?}", dims.iter().rev().collect::<Vec<_>>());
            let wanted: Vec<String> = wanted.iter().map(|dims| shown(dims)).collect();
            let (name, found, wanted) = (&tensor.name, shown(&tensor.dims), wanted.join(" or "));
            return Err(Error::mismatch(format!(
                "tensor {name} is {found}, and config.json makes it {wanted}; they do not belong together"
            )));
        }
    }
    Ok(())
}

/// The shapes that a tensor may have; none where nothing is known of it.
fn wanted(family: &Family, keys: &Keys, sizes: &Sizes, tensor: &Tensor) -> Vec<Vec<u64>> {
    let &Sizes { width, inner, head_dim, queries, values } = sizes;
    let size = |key: &str| keys.size(key).unwrap_or(0);
    let (stem, end) = tensor.name.rsplit_once('.').unwrap_or((&tensor.name, ""));
    // `blk.7.attn_q`, `enc.blk.7.attn_q` and `enc.output_norm` are all known by what is behind.
    let stem =
        stem.rsplit_once("blk.").and_then(|(_, rest)| rest.split_once('.')).map_or(stem, |(_, part)| part);
    let stem = stem.strip_prefix("enc.").unwrap_or(stem);
    let experts = keys.experts as u64;
    let weight = match stem {
        "token_embd" => vec![vec![width, tensor.shape().1 as u64]],
        "position_embd" => vec![vec![width, size("context_length")]],
        "token_types" => vec![vec![width, tensor.shape().1 as u64]],
        "attn_q" => vec![vec![width, queries]],
        "attn_k" | "attn_v" => vec![vec![width, values]],
        "attn_qkv" => vec![vec![width, queries + 2 * values]],
        "attn_output" | "attn_o" => vec![vec![queries, width]],
        "attn_q_norm" => vec![vec![head_dim], vec![queries]],
        "attn_k_norm" => vec![vec![head_dim], vec![values]],
        "attn_rel_b" => vec![vec![keys.heads as u64, size("attention.relative_buckets_count")]],
        "ffn_up" => family.up_and_gate.iter().map(|times| vec![width, times * inner]).collect(),
        "ffn_gate" => vec![vec![width, inner]],
        "ffn_down" => vec![vec![inner, width]],
        "ffn_gate_inp" => vec![vec![width, experts]],
        "ffn_up_exps" => vec![vec![width, inner, experts]],
        "ffn_down_exps" => vec![vec![inner, width, experts]],
        norm if norm.ends_with("norm") || norm == "attn_norm_2" => vec![vec![width]],
        _ => Vec::new(),
    };
    match end {
        "weight" => weight,
        // A value for each row; of a norm, for each of its own.
        _ => weight.into_iter().map(|dims| vec![dims[dims.len() - 1]]).collect(),
    }
}
