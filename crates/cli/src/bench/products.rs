//! Matrix products with a model's weights, as a forward pass runs them.

use connote::kernels::decode::{Affine, Float16, Grain};
use connote::kernels::{
    Activations, Ending, Kept, Kernels, Layout, Order, Part, RowsMut, Stored, Weights, linear,
};
use connote::threads::Team;
use serde::Serialize;

use super::timing::{Bounds, Figure, seconds};

/// A matrix of a real model. Its name says what it gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) model: &'static str,
    pub(crate) name: &'static str,
    inputs: usize,
    outputs: usize,
    ends: Ends,
}

/// What the model does with the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Write,
    GeluErf,
    GatedGeluTanh,
}

const GEMMA: &str = "EmbeddingGemma";
const MINILM: &str = "MiniLM";

const fn matrix(
    model: &'static str,
    name: &'static str,
    inputs: usize,
    outputs: usize,
    ends: Ends,
) -> Matrix {
    Matrix { model, name, inputs, outputs, ends }
}

/// EmbeddingGemma-300M and all-MiniLM-L6-v2.
pub(crate) const MATRICES: &[Matrix] = &[
    matrix(GEMMA, "q,k,v", 768, 1280, Ends::Write),
    matrix(GEMMA, "attention out", 768, 768, Ends::Write),
    matrix(GEMMA, "gate|up", 768, 2304, Ends::GatedGeluTanh),
    matrix(GEMMA, "down", 1152, 768, Ends::Write),
    matrix(MINILM, "q,k,v", 384, 1152, Ends::Write),
    matrix(MINILM, "up", 384, 1536, Ends::GeluErf),
    matrix(MINILM, "down", 1536, 384, Ends::Write),
];
/// What a quick look takes: one plain product and one with an ending that computes.
pub(crate) const QUICK_MATRICES: &[Matrix] = &[MATRICES[0], MATRICES[2]];

/// Copies of a matrix at least: the layers of EmbeddingGemma.
const LEAST_COPIES: usize = 24;
/// Bytes that all copies take at least: more than the last cache of a core, so that weights come from memory as
/// they do in a model.
const LEAST_BYTES: usize = 128 << 20;

/// Speed of one product.
#[derive(Debug, Serialize)]
pub(crate) struct Product {
    pub(crate) layout: &'static str,
    /// What the weights are in memory: the layout's values, the file's own bytes, with offsets or without, or its floats of 16 bits.
    pub(crate) kept_as: &'static str,
    pub(crate) model: &'static str,
    pub(crate) matrix: &'static str,
    pub(crate) inputs: usize,
    /// Of all parts: gate and up count both.
    pub(crate) outputs: usize,
    pub(crate) rows: usize,
    /// Distinct copies of the weights that calls read by turns.
    pub(crate) copies: usize,
    /// Billions of multiply-adds a second.
    pub(crate) gmacs: Figure,
    /// Of the layout's register peak, times the threads; best by best. Set when all peaks are known.
    pub(crate) fraction_of_peak: f64,
}

/// Copies of a matrix's weights, packed.
pub(crate) struct Copies {
    matrix: Matrix,
    weights: Vec<Weights>,
}

impl Copies {
    /// As a level packs weights of f32, or of what a file has in fewer bits.
    pub(crate) fn pack(
        kernels: &Kernels,
        team: &Team,
        layout: Layout,
        kept: Option<Kept>,
        matrix: Matrix,
    ) -> Self {
        let gated = matrix.ends == Ends::GatedGeluTanh;
        let (order, parts) = if gated { (Order::Alternating, 2) } else { (Order::Joined, 1) };
        let outputs = matrix.outputs / parts;
        let mut weights: Vec<Weights> = Vec::new();
        let enough = |weights: &[Weights]| {
            weights.len() >= LEAST_COPIES && weights.iter().map(Weights::bytes).sum::<usize>() >= LEAST_BYTES
        };
        while !enough(&weights) {
            let copy = weights.len();
            let decode = |output: usize, row: &mut [f32]| fill(copy * matrix.outputs + output, row);
            let integers = |output: usize, integers: &mut [i8], of_runs: &mut [Affine]| {
                fill_integers(copy * matrix.outputs + output, integers);
                of_runs.fill(Affine::scale(0.1 / 127.0));
            };
            let bits = |output: usize, bits: &mut [u16]| fill_bits(copy * matrix.outputs + output, bits);
            let stored = kept.map(|kept| match kept {
                Kept::Bytes(grain) => Stored::Integers(grain, &integers),
                Kept::Float16(kind) => Stored::Float16(kind, &bits),
            });
            let part = || Part { outputs, decode: &decode, stored, bias: &[] };
            let parts: Vec<Part<'_>> = (0..parts).map(|_| part()).collect();
            weights.push(Weights::pack(kernels, team, layout, order, matrix.inputs, &parts));
        }
        Self { matrix, weights }
    }

    /// Times the product for `rows` rows, on the team; each call reads the next copy.
    pub(crate) fn measure(&self, kernels: &Kernels, team: &Team, rows: usize, bounds: Bounds) -> Product {
        let Matrix { model, name, inputs, outputs, ends } = self.matrix;
        let first = &self.weights[0];
        let mut x = vec![0.0; rows * inputs];
        x.chunks_exact_mut(inputs).enumerate().for_each(|(index, row)| fill(index, row));
        let mut activations = Activations::default();
        activations.fill_from(kernels, team, first.layout(), &x, inputs);
        let mut out = vec![0.0; rows * first.outputs()];
        let ending = match ends {
            Ends::Write => Ending::Write,
            Ends::GeluErf => Ending::Activate(kernels.gelu_erf),
            Ends::GatedGeluTanh => Ending::Gate(kernels.gated_gelu_tanh),
        };
        // As in a forward pass: members wait for the next product awake.
        let _awake = (team.threads() > 1).then(|| team.pass());
        let mut copies = self.weights.iter().cycle();
        let time = seconds(bounds, || {
            let weights = copies.next().unwrap_or(first);
            linear(
                kernels,
                team,
                &activations,
                weights,
                ending,
                &mut RowsMut::new(&mut out, first.outputs()),
            );
        });
        Product {
            layout: first.layout().name(),
            kept_as: match first.kept() {
                Some(Kept::Bytes(Grain::Coarse)) => "bytes",
                Some(Kept::Bytes(Grain::Fine)) => "bytes and offsets",
                Some(Kept::Float16(Float16::F16)) => "f16",
                Some(Kept::Float16(Float16::Bf16)) => "bf16",
                None => first.layout().name(),
            },
            model,
            matrix: name,
            inputs,
            outputs,
            rows,
            copies: self.weights.len(),
            gmacs: time.giga_per_second(first.macs() * rows as u64),
            fraction_of_peak: 0.0,
        }
    }
}

/// Values like those of weights, from a cheap generator (xorshift, Marsaglia 2003).
fn fill(seed: usize, row: &mut [f32]) {
    for (value, number) in row.iter_mut().zip(numbers(seed)) {
        *value = number as f32 * (0.1 / i32::MAX as f32);
    }
}

/// As [`fill`], as a file of bytes has them.
fn fill_integers(seed: usize, row: &mut [i8]) {
    for (value, number) in row.iter_mut().zip(numbers(seed)) {
        *value = (number >> 24) as i8;
    }
}

/// As [`fill`], as floats of 16 bits: small ones of either kind.
fn fill_bits(seed: usize, row: &mut [u16]) {
    for (bits, number) in row.iter_mut().zip(numbers(seed)) {
        *bits = (number >> 16) as u16 & 0xa7ff | 0x2000;
    }
}

fn numbers(seed: usize) -> impl Iterator<Item = i32> {
    let mut state = (seed as u32).wrapping_mul(0x9E37_79B9) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as i32
    })
}
