//! Rotary positions: which pairs turn, and how fast.

/// One kind of rotation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Dimensions of a head that turn; the others pass through.
    pub dims: usize,
    /// Which dimensions are a pair.
    pub pairs: Pairs,
    /// Base of the frequencies.
    pub base: f64,
    /// What positions are multiplied by (1 unless the context was stretched).
    pub scale: f64,
    /// How only the slow pairs are stretched; `None`: all are alike.
    pub yarn: Option<Yarn>,
    /// Tensor of what each pair's frequency is divided by, without `.weight`: Llama 3's way to stretch.
    pub factors: Option<&'static str>,
}

/// Which dimensions of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// `i` and `i + dims / 2`: GGUF's "neox".
    Halves,
    /// `2i` and `2i + 1`: GGUF's "norm". The rows of Q and K are put in the order of [`Pairs::Halves`] at load, in
    /// which scores are the same.
    Adjacent,
}

/// Stretching by frequency (Peng et al. 2023): pairs that turn often over the old context keep their frequency,
/// those that do not turn once are stretched whole, and those between in part.
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// Positions before the context was stretched.
    pub original_context: usize,
    /// Turns over the old context from which on a pair is not stretched.
    pub beta_fast: f64,
    /// Turns up to which it is stretched whole.
    pub beta_slow: f64,
    /// What queries and keys grow by.
    pub magnitude: f64,
}

/// A rotation as numbers: radians a position for each pair, and what queries and keys grow by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotation {
    pub(crate) frequencies: Vec<f64>,
    pub(crate) magnitude: f64,
}

impl Rope {
    /// `factors` are those that [`Rope::factors`] names, `dims / 2` of them, or none.
    pub(crate) fn rotation(&self, factors: &[f32]) -> Rotation {
        let plain = kernels::frequencies(self.dims, self.base);
        let mut frequencies: Vec<f64> = match &self.yarn {
            None => plain.map(|frequency| self.scale * frequency).collect(),
            Some(yarn) => {
                let (low, high) = yarn.stretched_in_part(self.dims, self.base);
                let share = |pair: usize| ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
                let mix = |(pair, frequency): (usize, f64)| {
                    frequency * (1.0 - share(pair)) + frequency * self.scale * share(pair)
                };
                plain.enumerate().map(mix).collect()
            }
        };
        for (frequency, &factor) in frequencies.iter_mut().zip(factors) {
            *frequency /= f64::from(factor);
        }
        Rotation { frequencies, magnitude: self.yarn.as_ref().map_or(1.0, |yarn| yarn.magnitude) }
    }
}

impl Yarn {
    /// The first pair that is stretched at all, and the first that is stretched whole.
    fn stretched_in_part(&self, dims: usize, base: f64) -> (f64, f64) {
        let pair_that_turns = |turns: f64| {
            let positions_a_radian = self.original_context as f64 / (turns * std::f64::consts::TAU);
            dims as f64 * positions_a_radian.ln() / (2.0 * base.ln())
        };
        let last = dims.saturating_sub(1) as f64;
        let low = pair_that_turns(self.beta_fast).floor().max(0.0);
        (low, pair_that_turns(self.beta_slow).ceil().min(last))
    }
}

impl Pairs {
    /// The row of a head, as the file has it, that stands at `row`. `dims` of the head turn.
    pub(crate) fn source(self, row: usize, dims: usize) -> usize {
        let half = dims / 2;
        match self {
            Pairs::Adjacent if row < half => 2 * row,
            Pairs::Adjacent if row < dims => 2 * (row - half) + 1,
            _ => row,
        }
    }
}
