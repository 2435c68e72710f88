//! Files of the shapes of models that connote knows, with weights of none of them.

use crate::architectures;
use crate::edit::Edit;
use crate::random::Random;

/// Values of a vector of nomic-embed-text.
pub const NOMIC_WIDTH: usize = 768;
const LAYERS: usize = 12;

/// A file of nomic-embed-text-v1.5's shape. Its branches give nothing, so that it is quick, and the last norm's bias moves
/// the mean of a vector away from 0.
///
/// # Panics
/// If the tiny model that it is made of is not there.
pub fn nomic(name: &str) -> Vec<u8> {
    let mut random = Random::seeded(15);
    let file = std::fs::read(architectures::path("nomic-bert.gguf")).expect("the tiny model");
    let tiny = Edit::of(&file);
    let vocabulary = tiny.values("token_embd.weight").len() / 32;
    let (width, inner) = (NOMIC_WIDTH as u64, 32);
    let mut edit = tiny
        .key("general.name", name)
        .key("nomic-bert.embedding_length", width as u32)
        .key("nomic-bert.block_count", LAYERS as u32)
        .key("nomic-bert.attention.head_count", 12u32)
        .key("nomic-bert.feed_forward_length", inner as u32)
        .tensor(
            "token_embd.weight",
            &[width, vocabulary as u64],
            &random.values(vocabulary * NOMIC_WIDTH, 1.0),
        )
        .tensor("token_types.weight", &[width, 2], &random.values(2 * NOMIC_WIDTH, 0.1));
    let (ones, none) = (vec![1.0; NOMIC_WIDTH], vec![0.0; NOMIC_WIDTH]);
    let bias: Vec<f32> = random.values(NOMIC_WIDTH, 0.2).iter().map(|value| value + 0.7).collect();
    edit = edit.tensor("token_embd_norm.weight", &[width], &ones).tensor(
        "token_embd_norm.bias",
        &[width],
        &none,
    );
    for layer in 0..LAYERS {
        let matrices = [
            ("attn_qkv", NOMIC_WIDTH, 3 * NOMIC_WIDTH),
            ("attn_output", NOMIC_WIDTH, NOMIC_WIDTH),
            ("ffn_up", NOMIC_WIDTH, inner),
            ("ffn_gate", NOMIC_WIDTH, inner),
            ("ffn_down", inner, NOMIC_WIDTH),
        ];
        for (matrix, inputs, outputs) in matrices {
            let name = format!("blk.{layer}.{matrix}.weight");
            edit = edit.tensor(&name, &[inputs as u64, outputs as u64], &vec![0.0; inputs * outputs]);
        }
        for norm in ["attn_output_norm", "layer_output_norm"] {
            let is_last = layer + 1 == LAYERS && norm == "layer_output_norm";
            let bias = if is_last { &bias } else { &none };
            edit = edit.tensor(&format!("blk.{layer}.{norm}.weight"), &[width], &ones).tensor(
                &format!("blk.{layer}.{norm}.bias"),
                &[width],
                bias,
            );
        }
    }
    edit.bytes()
}
