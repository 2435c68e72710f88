//! A tiny model made wider, so that its rows are whole blocks of 256, which K-quants need: the same keys and layers, and
//! random weights that spread as far as those of the tiny one. No authors' class has computed with it: it serves where a file
//! is compared with itself.

use gguf::{Gguf, Value};

use crate::edit::Edit;
use crate::random::Random;

/// Keys that count values of a row, after `ARCHITECTURE.`.
const WIDTHS: &[&str] = &[
    "attention.key_length",
    "attention.value_length",
    "dense_2_feat_in",
    "dense_2_feat_out",
    "dense_3_feat_in",
    "dense_3_feat_out",
    "embedding_length",
    "feed_forward_length",
    "rope.dimension_count",
];

/// Tables of which rows are looked up: as many rows as before, and nothing is summed over a row.
const LOOKED_UP: &[&str] = &["token_embd.weight", "position_embd.weight", "token_types.weight"];

/// The file with rows of `factor` times as many values.
///
/// # Panics
/// If it is not a file of F32 tensors.
pub fn widened(bytes: &[u8], factor: usize) -> Vec<u8> {
    let gguf = Gguf::from_bytes(bytes.to_vec()).expect("a valid file");
    let architecture = gguf.metadata().str("general.architecture").expect("a string").expect("a model");
    let mut edit = Edit::of(bytes);
    let read = edit.clone();
    for name in WIDTHS {
        let key = format!("{architecture}.{name}");
        if let Some(Value::U32(width)) = gguf.metadata().get(&key) {
            edit = edit.key(&key, width * factor as u32);
        }
    }
    // Scores are divided by the root of a head's width, but where positions are a table of distances (T5).
    let undivided = gguf.tensors().any(|tensor| tensor.name().ends_with("attn_rel_b.weight"));
    let mut random = Random::seeded(factor as u64);
    // Distances are counted in heads and buckets, of which there are as many as before.
    for tensor in gguf.tensors().filter(|tensor| !tensor.name().ends_with("attn_rel_b.weight")) {
        let (name, old) = (tensor.name(), read.values(tensor.name()));
        let is_table = LOOKED_UP.contains(&name);
        let mut dims = tensor.dims().to_vec();
        dims[0] *= factor as u64;
        // A router's rows are the experts.
        if dims.len() > 1 && !is_table && !name.ends_with("ffn_gate_inp.weight") {
            dims[1] *= factor as u64;
        }
        let count = dims.iter().product::<u64>() as usize;
        let values = if dims.len() == 1 {
            old.iter().copied().cycle().take(count).collect()
        } else {
            let square = old.iter().map(|value| value * value).sum::<f32>() / old.len() as f32;
            let is_query = undivided && name.ends_with("attn_q.weight");
            let summed = if is_table { 1 } else { factor } * if is_query { factor } else { 1 };
            random.values(count, (3.0 * square / summed as f32).sqrt())
        };
        edit = edit.tensor(name, &dims, &values);
    }
    edit.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny;

    #[test]
    fn rows_are_wider_and_as_many() {
        let tiny = tiny::bert(1);
        let (old, new) = (Edit::of(&tiny), Edit::of(&widened(&tiny, 8)));
        let spread = |edit: &Edit, name: &str| {
            let values = edit.values(name);
            (values.len(), values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32)
        };
        for (name, more, less) in
            [("token_embd.weight", 8, 1.0), ("blk.0.ffn_up.weight", 64, 8.0), ("blk.0.ffn_up.bias", 8, 1.0)]
        {
            let ((count, square), (wide_count, wide_square)) = (spread(&old, name), spread(&new, name));
            assert_eq!(wide_count, count * more, "{name}");
            assert!((wide_square * less / square - 1.0).abs() < 0.1, "{name}: {wide_square} for {square}");
        }
        let gguf = Gguf::from_bytes(widened(&tiny, 8)).expect("a valid file");
        assert_eq!(gguf.metadata().u32("bert.embedding_length").expect("a number"), Some(8 * 24));
    }
}
