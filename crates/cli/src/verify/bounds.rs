//! Which cosines to a reference are enough.

use bulk::{Precision, Vectors};
use connote::gguf::TensorType;
use connote::{Model, cosine_similarity};
use serde::Serialize;

/// Cosines that are enough, and why these.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Bounds {
    pub(super) mean: f64,
    pub(super) least: f64,
    /// What they are the bounds of.
    pub(super) why: String,
}

/// What Q8_0 files of models that connote knows are held to: name, whether the file has dense heads (None: no matter), mean and least.
const KNOWN_Q8_0: [(&str, Option<bool>, f64, f64); 3] = [
    ("EmbeddingGemma 300M", Some(false), 0.999_90, 0.999_5),
    ("EmbeddingGemma 300M", Some(true), 0.999_80, 0.999_0),
    ("all-MiniLM-L6-v2", None, 0.999_76, 0.999_0),
];

/// What coarser files are held to: from so many bits a weight on, in their coarsest tensor, mean and least. These floors tell a model
/// from another, whose cosines lie about 0, and not a good file from a poor one: what was lost where it was measured
/// (docs/MODELS.md) is a third of what is allowed, or less.
const FLOORS: [(f64, f64, f64); 4] =
    [(6.5, 0.995, 0.98), (5.25, 0.97, 0.90), (4.0, 0.85, 0.60), (0.0, 0.50, 0.10)];

impl Bounds {
    /// What a file of this kind reaches: files of floats are bound by their format alone, Q8_0 by what it lost. Whole vectors of
    /// models that are known have rows of their own. Coarser types have a floor each.
    pub(super) fn of(model: &Model, dimensions: usize) -> Self {
        let floats = [TensorType::F32, TensorType::F16, TensorType::BF16];
        let only = |types: &[TensorType]| model.gguf().tensors().all(|tensor| types.contains(&tensor.ty()));
        if only(&floats) {
            return Self::new(0.999_999, 0.999_99, "files of F32, F16 and BF16".to_owned());
        }
        if !only(&[floats.as_slice(), &[TensorType::Q8_0]].concat()) {
            let bits = model.gguf().tensors().map(|tensor| bits(tensor.ty()));
            return Self::floor(bits.fold(f64::INFINITY, f64::min));
        }
        let heads = model.has_dense_heads();
        let row = model.known().filter(|_| dimensions == model.dimensions()).and_then(|known| {
            KNOWN_Q8_0
                .iter()
                .find(|(name, of_heads, ..)| *name == known.name && of_heads.is_none_or(|of| of == heads))
        });
        match row {
            Some((name, of_heads, mean, least)) => {
                let with = match of_heads {
                    Some(true) => " with dense heads",
                    Some(false) => " without dense heads",
                    None => "",
                };
                Self::new(*mean, *least, format!("{name}{with} in Q8_0"))
            }
            None => Self::new(0.999_7, 0.999_0, "any file of Q8_0".to_owned()),
        }
    }

    /// Of files whose coarsest tensor has so many bits a weight.
    fn floor(bits: f64) -> Self {
        let row = FLOORS.iter().copied().find(|(from, ..)| bits >= *from);
        let (_, mean, least) = row.unwrap_or(FLOORS[FLOORS.len() - 1]);
        Self::new(mean, least, format!("the floor of files with weights of {bits:.1} bits"))
    }

    fn new(mean: f64, least: f64, why: String) -> Self {
        Self { mean, least, why }
    }

    /// With what the command line says instead.
    pub(super) fn or_given(usual: Self, mean: Option<f64>, least: Option<f64>) -> Self {
        let why = match (mean, least) {
            (None, None) => return usual,
            (Some(_), Some(_)) => "--mean-cosine and --min-cosine".to_owned(),
            (given, _) => {
                let option = if given.is_some() { "--mean-cosine" } else { "--min-cosine" };
                format!("{option}, the other for {}", usual.why)
            }
        };
        Self { mean: mean.unwrap_or(usual.mean), least: least.unwrap_or(usual.least), why }
    }

    /// Lowered by what rounding to `precision` takes from the cosine of two vectors that are both rounded. `vectors` are this
    /// model's, whose own loss is measured; the reference's is about as large.
    pub(super) fn rounded(self, precision: Precision, vectors: &[Vec<f32>]) -> Self {
        let dimensions = vectors.first().map_or(1, Vec::len).max(1) as f64;
        let why = format!("{}, for values of {precision}", self.why);
        match precision {
            Precision::F32 | Precision::F16 => self,
            Precision::Int8 => {
                let loss = |vector: &Vec<f32>| {
                    1.0 - f64::from(cosine_similarity(vector, &rounded(vector, precision)))
                };
                let losses: Vec<f64> = vectors.iter().map(loss).collect();
                let mean = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
                let most = losses.iter().copied().fold(0.0, f64::max);
                // Two independent errors add their squares, and 1 - cos is half a square; the worst text has them in one direction.
                Self { mean: self.mean - 2.0 * mean, least: self.least - 4.0 * most, why }
            }
            Precision::Binary => {
                // Vectors at an angle differ in the angle's share of a half turn of their signs; that share scatters as of coins. More
                // differ where a few large values have the length and most values are nearer 0 than they would be else.
                let factor =
                    vectors.iter().map(|vector| crowding(vector)).sum::<f64>() / vectors.len().max(1) as f64;
                let share = |cosine: f64| factor * cosine.clamp(-1.0, 1.0).acos() / std::f64::consts::PI;
                let least = share(self.least).min(1.0);
                let scatter = 4.0 * (least * (1.0 - least) / dimensions).sqrt();
                let mean = 1.0 - 2.0 * share(self.mean);
                Self { mean, least: (1.0 - 2.0 * (least + scatter)).max(-1.0), why }
            }
        }
    }
}

/// Bits a weight, scales included.
fn bits(ty: TensorType) -> f64 {
    8.0 * ty.block_bytes() as f64 / ty.block_elements() as f64
}

/// How much nearer to 0 than those of a normal distribution of this length the values of a vector lie; 1 for such a distribution.
fn crowding(vector: &[f32]) -> f64 {
    /// Half of a normal distribution's values lie within so many standard deviations.
    const MEDIAN: f64 = 0.674_489_75;
    let mut sizes: Vec<f64> = vector.iter().map(|value| f64::from(value.abs())).collect();
    sizes.sort_by(f64::total_cmp);
    let root_mean_square =
        (sizes.iter().map(|size| size * size).sum::<f64>() / sizes.len().max(1) as f64).sqrt();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    if median > 0.0 { (MEDIAN * root_mean_square / median).max(1.0) } else { 1.0 }
}

/// A vector as a file of this precision has it.
pub(super) fn rounded(vector: &[f32], precision: Precision) -> Vec<f32> {
    match Vectors::of(vector, precision) {
        Ok(stored) => stored.to_f32(vector.len()),
        // What half precision cannot hold is not in such a file.
        Err(_) => vector.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_models_have_the_bounds_of_the_design() {
        for (name, ..) in KNOWN_Q8_0 {
            assert!(connote::known_models().iter().any(|known| known.name == name), "{name}");
        }
        let model = Model::open(testkit::models::builtin()).expect("it opens");
        let bounds = Bounds::of(&model, 384);
        assert_eq!(
            (bounds.mean, bounds.least, &*bounds.why),
            (0.999_76, 0.999_0, "all-MiniLM-L6-v2 in Q8_0")
        );
        let cut = Bounds::of(&model, 128);
        assert_eq!((cut.mean, cut.least, &*cut.why), (0.999_7, 0.999_0, "any file of Q8_0"));
        let tiny = Model::from_bytes(testkit::tiny::bert(7)).expect("it opens");
        assert_eq!(Bounds::of(&tiny, tiny.dimensions()).mean, 0.999_999);
    }

    /// What connote's own files of a type reached (docs/MODELS.md) passes, and what no model shares with another does not.
    #[test]
    fn every_coarse_type_has_a_floor_between_its_own_loss_and_another_model() {
        use TensorType::*;
        for (ty, mean, least) in [
            (Q6_K, 0.998_565, 0.995_508),
            (Q5_K, 0.993_681, 0.979_696),
            (Q4_K, 0.983_815, 0.930_000),
            (Q4_0, 0.959_961, 0.888_436),
        ] {
            let floor = Bounds::floor(bits(ty));
            assert!(floor.mean < mean && floor.least < least, "{ty:?} {floor:?}");
        }
        let coarse = [Q6_K, Q5_1, Q5_0, Q5_K, Q4_1, Q4_0, Q4_K, IQ4_NL, IQ4_XS, Q3_K, Q2_K, IQ1_S];
        let floors = coarse.map(|ty| Bounds::floor(bits(ty)));
        // Of random directions the cosine is one of a normal distribution of 1/sqrt(d): of the smallest models', 384 values, 10 times
        // 1/sqrt(384) is 0.51.
        assert!(floors.iter().all(|floor| floor.mean >= 0.5 && floor.least > 0.0), "{floors:?}");
        assert!(floors.is_sorted_by(|a, b| a.mean >= b.mean && a.least >= b.least), "{floors:?}");
    }

    #[test]
    fn what_is_given_takes_the_place_of_what_is_usual() {
        let usual = Bounds::new(0.9, 0.8, "x".to_owned());
        let given = Bounds::or_given(usual.clone(), None, Some(0.5));
        assert_eq!((given.mean, given.least, &*given.why), (0.9, 0.5, "--min-cosine, the other for x"));
        assert_eq!(Bounds::or_given(usual, None, None).why, "x");
    }

    #[test]
    fn rounding_lowers_bounds_by_what_it_takes() {
        let vector: Vec<f32> = (0..384).map(|index| (index as f32 * 0.7).sin() / 13.9).collect();
        let usual = Bounds::new(0.9998, 0.999, "x".to_owned());
        let int8 = usual.clone().rounded(Precision::Int8, std::slice::from_ref(&vector));
        assert!(int8.mean < 0.9998 && int8.mean > 0.9996 && int8.least > 0.998, "{int8:?}");
        let bits = usual.clone().rounded(Precision::Binary, std::slice::from_ref(&vector));
        // acos(0.9998) is 0.02 of the 3.14 of a half turn; of a sine's values fewer are near 0 than of a normal distribution's.
        assert!((bits.mean - (1.0 - 2.0 * 0.02 / std::f64::consts::PI)).abs() < 1e-5, "{bits:?}");
        assert!(bits.least < bits.mean && bits.least > 0.9, "{bits:?}");
        assert_eq!(usual.clone().rounded(Precision::F16, &[vector]).mean, usual.mean);
    }
}
