//! A model's weights, packed once.

use gguf::Gguf;
use kernels::Order;

use crate::compute::Compute;
use crate::config::{Config, Positions};
use crate::distance_bias::DistanceBias;
use crate::error::Error;
use crate::layer_weights::LayerWeights;
use crate::norm_weights::NormWeights;
use crate::rope::{Rope, Rotation};
use crate::scoring::ScoringWeights;
use crate::tensors::{Matrix, Outputs, Tensors};

/// Everything the forward pass reads.
pub(crate) struct Weights {
    /// Token type 0, added to every embedding row; empty if the model has none.
    pub(crate) token_type: Vec<f32>,
    /// Token type 1, of the second of two texts; empty if the model scores no pairs or has one type.
    pub(crate) second_type: Vec<f32>,
    /// Learned positions, a row each; empty if positions enter otherwise.
    pub(crate) positions: Vec<f32>,
    /// One a kind of rotation.
    pub(crate) rotations: Vec<Rotation>,
    /// What distances add to scores; [`LayerWeights::bias`] indexes this list.
    pub(crate) biases: Vec<DistanceBias>,
    pub(crate) embedding_norm: Option<NormWeights>,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) output_norm: Option<NormWeights>,
    pub(crate) heads: Vec<kernels::Weights>,
    pub(crate) scoring: Option<ScoringWeights>,
}

impl Weights {
    /// Reads and packs; also gives the names of tensors that nothing read.
    pub(crate) fn load(gguf: &Gguf, config: &Config, on: Compute<'_>) -> Result<(Self, Vec<String>), Error> {
        let tensors = Tensors::new(gguf, config.feed_forward.experts.is_some());
        let (t, dim) = (&tensors, config.dim);
        for name in config.ignored {
            t.ignore(name);
        }
        t.ignore("token_embd.weight"); // read row by row as tokens come
        let norm =
            |stem: Option<&str>| stem.map(|stem| NormWeights::load(t, config.norm, stem, dim)).transpose();
        let (mut token_type, mut second_type) = (Vec::new(), Vec::new());
        if let Some(tensor) = config.token_types.then(|| t.optional("token_types.weight")).flatten() {
            let types = Matrix::new(tensor, dim, None)?;
            token_type.resize(dim, 0.0);
            types.decode_row(0, &mut token_type);
            if config.scoring.is_some() && types.rows() > 1 {
                second_type.resize(dim, 0.0);
                types.decode_row(1, &mut second_type);
            }
        }
        let mut layers = Vec::with_capacity(config.layers.len());
        let mut biases = Vec::new();
        for layer in 0..config.layers.len() {
            let bias = load_bias(t, config, layer, &mut biases)?;
            layers.push(LayerWeights::load(t, config, layer, bias, on)?);
        }
        let weights = Self {
            token_type,
            second_type,
            positions: match config.positions {
                Positions::Learned => t.table("position_embd.weight", dim, config.context_length)?,
                _ => Vec::new(),
            },
            rotations: load_rotations(t, config)?,
            biases,
            embedding_norm: norm(config.norms.embedding)?,
            layers,
            output_norm: norm(config.norms.output)?,
            heads: load_heads(t, config, on)?,
            scoring: scoring(t, config, on)?,
        };
        Ok((weights, tensors.unread()))
    }

    /// Bytes of packed matrices.
    pub(crate) fn bytes(&self) -> usize {
        self.matrices().map(kernels::Weights::bytes).sum()
    }

    /// All packed matrices, in the order they are loaded in.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &kernels::Weights> {
        self.layers
            .iter()
            .flat_map(LayerWeights::matrices)
            .chain(&self.heads)
            .chain(self.scoring.iter().flat_map(ScoringWeights::matrices))
    }
}

/// The head that scores, where there is one.
fn scoring(tensors: &Tensors<'_>, config: &Config, on: Compute<'_>) -> Result<Option<ScoringWeights>, Error> {
    let load = |scoring| ScoringWeights::load(tensors, config, scoring, on);
    config.scoring.as_ref().map(load).transpose()
}

/// The numbers of every rotation.
fn load_rotations(tensors: &Tensors<'_>, config: &Config) -> Result<Vec<Rotation>, Error> {
    let Positions::Rope(ropes) = &config.positions else { return Ok(Vec::new()) };
    let load = |rope: &Rope| {
        let Some(stem) = rope.factors else { return Ok(rope.rotation(&[])) };
        let name = format!("{stem}.weight");
        let factors = tensors.vector(&name, rope.dims / 2)?;
        match factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
            Some(wrong) => Err(Error::tensor(
                &name,
                format!("holds {wrong}; a frequency is divided by a positive number"),
            )),
            None => Ok(rope.rotation(&factors)),
        }
    };
    ropes.iter().map(load).collect()
}

/// What distances add to a layer's scores, as an index into `biases`, where it is put if it is new.
fn load_bias(
    tensors: &Tensors<'_>,
    config: &Config,
    layer: usize,
    biases: &mut Vec<DistanceBias>,
) -> Result<Option<usize>, Error> {
    let bias = match config.positions {
        Positions::Learned | Positions::Rope(_) => return Ok(None),
        Positions::Alibi { max_bias } => DistanceBias::alibi(config.heads, max_bias),
        Positions::RelativeBuckets { buckets, max_distance, name } => {
            let name = format!("{}.weight", config.names.tensor(layer, name));
            if layer > 0 && tensors.optional(&name).is_none() {
                return Ok(Some(0));
            }
            // The file has a row a bucket.
            let rows = tensors.table(&name, config.heads, buckets)?;
            let value = |head: usize, bucket: usize| rows[bucket * config.heads + head];
            let of_head = |head| (0..buckets).map(move |bucket| value(head, bucket));
            DistanceBias::Buckets {
                values: (0..config.heads).flat_map(of_head).collect(),
                buckets,
                max_distance,
            }
        }
    };
    let at = biases.iter().position(|known| *known == bias).unwrap_or(biases.len());
    if at == biases.len() {
        biases.push(bias);
    }
    Ok(Some(at))
}

/// All dense heads, or none. Each reads what the one before gives.
fn load_heads(
    tensors: &Tensors<'_>,
    config: &Config,
    on: Compute<'_>,
) -> Result<Vec<kernels::Weights>, Error> {
    let names = config.dense_heads.names;
    let weight = |name: &str| format!("{name}.weight");
    let there = names.iter().filter(|name| tensors.optional(&weight(name)).is_some()).count();
    if there == 0 {
        return Ok(Vec::new());
    }
    let mut heads = Vec::with_capacity(names.len());
    let mut width = config.dim;
    for name in names {
        let outputs = match tensors.required(&weight(name))?.dims() {
            &[_, outputs] if outputs > 0 && outputs <= 1 << 24 => outputs as usize,
            dims => {
                return Err(Error::tensor(
                    &weight(name),
                    format!("has the shape {dims:?}; a dense head is a matrix"),
                ));
            }
        };
        heads.push(tensors.panels(on, Order::Joined, width, &[Outputs::all((*name).to_owned(), outputs)])?);
        width = outputs;
    }
    Ok(heads)
}
