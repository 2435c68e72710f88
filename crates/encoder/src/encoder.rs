//! The encoder: a loaded model that turns batches into vectors.

use std::path::Path;

use gguf::Gguf;
use kernels::{Kernels, Layout, Shelf};
use threads::{Chunks, Team};

use crate::arch;
use crate::attention::Runs;
use crate::batch::Batch;
use crate::block::{self, Block};
use crate::compute::Compute;
use crate::config::{Config, Scoring};
use crate::error::Error;
use crate::pooling::Readout;
use crate::profile::Work;
use crate::scoring;
use crate::tensors::Matrix;
use crate::weights::Weights;
use crate::workspace::Workspace;

/// A model ready to run. All methods take `&self`; scratch is the caller's [`Workspace`].
pub struct Encoder {
    gguf: Gguf,
    config: Config,
    kernels: &'static Kernels,
    weights: Weights,
    embeddings: usize,
    vocabulary: usize,
    unread: Vec<String>,
}

impl Encoder {
    /// Reads and packs the weights, on the team. The embedding table stays where it is and is decoded a row a token; of a mapped
    /// file only what is read after this takes memory.
    ///
    /// # Errors
    /// If a key or tensor is missing, misshapen, or of a type that cannot be computed with.
    pub fn load(gguf: &Gguf, kernels: &'static Kernels, team: &Team) -> Result<Self, Error> {
        Self::load_from(gguf, Compute { kernels, team, shelf: None })
    }

    /// As [`load`](Self::load), with the packed matrices in a file that all processes share: the one at `path` if it was written
    /// under this key, else it is written. Where that fails, the matrices are this process's own.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_shared(
        gguf: &Gguf,
        kernels: &'static Kernels,
        team: &Team,
        path: &Path,
        key: &[u8; 32],
    ) -> Result<Self, Error> {
        let take = || {
            let shelf = Shelf::open(path, key)?;
            let loaded = Self::load_from(gguf, Compute { kernels, team, shelf: Some(&shelf) });
            Some(loaded.map(|encoder| (encoder, shelf.is_empty())))
        };
        match take() {
            Some(Ok((encoder, true))) => return Ok(encoder),
            Some(Err(error)) => return Err(error),
            // None, or not packed as it is now: out of the way of the new one.
            Some(Ok((_, false))) | None => drop(std::fs::remove_file(path)),
        }
        let own = Self::load(gguf, kernels, team)?;
        match Shelf::write(path, key, own.weights.matrices()).ok().and_then(|()| take()) {
            Some(Ok((shared, true))) => Ok(shared),
            _ => Ok(own),
        }
    }

    fn load_from(gguf: &Gguf, on: Compute<'_>) -> Result<Self, Error> {
        let kernels = on.kernels;
        let config = arch::describe(gguf)?;
        let name = "token_embd.weight";
        let table =
            gguf.tensor(name).ok_or_else(|| Error::tensor(name, "is missing; the file holds no weights"))?;
        let vocabulary = Matrix::new(table, config.dim, None)?.rows();
        let embeddings = table.index();
        let (weights, unread) = Weights::load(gguf, &config, on)?;
        // What was packed is not read again; it would count as this process's memory as long as it lives.
        gguf.give_back_pages();
        Ok(Self { gguf: gguf.clone(), config, kernels, weights, embeddings, vocabulary, unread })
    }

    /// The network's description.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Rows of the embedding table: ids must be below.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Values of a vector, after the dense heads.
    pub fn output_dim(&self) -> usize {
        self.weights.heads.last().map_or(self.config.dim, kernels::Weights::outputs)
    }

    /// Values a row: of a vector, or of a text's scores.
    ///
    /// # Panics
    /// For scores, if the model has no head for them ([`Config::scoring`]).
    pub fn width(&self, readout: Readout) -> usize {
        match readout {
            Readout::Vectors(_) => self.output_dim(),
            Readout::Scores { .. } => self.scoring().outputs,
        }
    }

    fn scoring(&self) -> &Scoring {
        self.config.scoring.as_ref().expect("scores are asked of models that have a head for them")
    }

    /// Whether the second of two texts can be of a token type of its own.
    pub fn has_second_type(&self) -> bool {
        !self.weights.second_type.is_empty()
    }

    /// Whether the file had the dense heads that the architecture can have.
    pub fn has_dense_heads(&self) -> bool {
        !self.weights.heads.is_empty()
    }

    /// Names of the file's tensors that the encoder does not use: a sign of a model that is not what its
    /// architecture says.
    pub fn unread_tensors(&self) -> &[String] {
        &self.unread
    }

    /// Bytes of memory that the packed weights take.
    pub fn packed_bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Multiply-adds of the layers' weights for one token; attention comes on top.
    pub fn macs_a_token(&self) -> u64 {
        let experts = self.config.feed_forward.experts;
        self.weights.layers.iter().map(|layer| layer.macs(experts)).sum()
    }

    /// The layouts that the layers' weights are in, each with its share of [`macs_a_token`](Self::macs_a_token);
    /// the largest first.
    pub fn layouts(&self) -> Vec<(Layout, u64)> {
        let mut layouts: Vec<(Layout, u64)> = Vec::new();
        for matrix in self.weights.layers.iter().flat_map(crate::layer_weights::LayerWeights::matrices) {
            match layouts.iter_mut().find(|(layout, _)| *layout == matrix.layout()) {
                Some((_, macs)) => *macs += matrix.macs(),
                None => layouts.push((matrix.layout(), matrix.macs())),
            }
        }
        layouts.sort_by_key(|&(_, macs)| std::cmp::Reverse(macs));
        layouts
    }

    /// The functions that it computes with, and so the CPU level.
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Runs a batch, on the team. The result has, sequence after sequence, `pooling.rows(tokens)` rows of
    /// [`output_dim`](Self::output_dim) values, not normalised, or a row of scores; the same bits with any team.
    ///
    /// # Panics
    /// If an id is not in the vocabulary, a sequence is longer than learned positions reach, or the model has no head for
    /// the scores that are asked for.
    pub fn forward(
        &self,
        team: &Team,
        batch: &Batch,
        readout: impl Into<Readout>,
        workspace: &mut Workspace,
    ) -> Vec<f32> {
        match self.forward_while(team, batch, readout, workspace, &mut || true) {
            Some(vectors) => vectors,
            None => unreachable!("a pass ended that nobody ended"),
        }
    }

    /// As [`forward`](Self::forward), asking before each half of a layer whether to go on; `None` once that says no.
    /// The caller may take its time to answer: nothing runs meanwhile, and the team is free.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_while(
        &self,
        team: &Team,
        batch: &Batch,
        readout: impl Into<Readout>,
        workspace: &mut Workspace,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<Vec<f32>> {
        let (pooling, separator) = match readout.into() {
            Readout::Vectors(pooling) => (pooling, None),
            Readout::Scores { separator } => (self.scoring().pooling, Some(separator)),
        };
        let _awake = (team.threads() > 1).then(|| team.pass());
        let on = Compute { kernels: self.kernels, team, shelf: None };
        let dim = self.config.dim;
        workspace.profile.begin();
        workspace.prepare(&self.config, &self.weights, batch);
        self.embed(on, batch, separator.flatten(), workspace);
        workspace.profile.lap(Work::Embedding);

        let runs = Runs::all(batch.sequences(), team.threads());
        let mut rows = batch.tokens();
        let layers = &self.weights.layers;
        if let Some(first) = layers.first() {
            block::turn(on, None, &first.attention_norms, first.qkv.layout(), dim, 0..rows, workspace);
        }
        for (index, (layer, weights)) in self.config.layers.iter().zip(layers).enumerate() {
            let block = Block { on, config: &self.config, layer, weights };
            let next = layers.get(index + 1);
            if !go_on() {
                return None;
            }
            match pooling.only_row().filter(|_| next.is_none()) {
                None => block.attention(&runs, workspace),
                Some(row) => {
                    block.attention_of_one_each(&Runs::one_each(batch.sequences(), row), workspace);
                    rows = batch.len();
                }
            }
            if !go_on() {
                return None;
            }
            block.feed_forward(rows, workspace);
            let leaving = &weights.feed_forward_norms;
            match next {
                Some(next) => {
                    let (entering, layout) = (&next.attention_norms, next.qkv.layout());
                    block::turn(on, Some(leaving), entering, layout, dim, 0..rows, workspace);
                }
                None => block::turn_out(on, leaving, dim, rows, workspace),
            }
        }

        let residual = &mut workspace.residual[..rows * dim];
        block::normalise(on, &self.weights.output_norm, residual);
        let mut pooled = Vec::with_capacity(batch.len() * dim);
        if pooling.only_row().is_some() && !layers.is_empty() {
            // The rows that pooling takes are the only ones left.
            pooled.extend_from_slice(residual);
        } else {
            for sequence in batch.sequences() {
                pooling.pool(&residual[sequence.start * dim..sequence.end * dim], dim, &mut pooled);
            }
        }
        let vectors = match (&self.weights.scoring, separator) {
            (Some(head), Some(_)) => head.apply(on, pooled, workspace),
            _ => self.project(on, pooled, workspace),
        };
        workspace.profile.lap(Work::Pooling);
        Some(vectors)
    }

    /// Embedding rows: token, position, type, scale, norm.
    fn embed(&self, on: Compute<'_>, batch: &Batch, separator: Option<u32>, workspace: &mut Workspace) {
        let dim = self.config.dim;
        // The shape was checked at load, so this cannot fail any more.
        let Ok(table) = Matrix::new(self.gguf.tensor_at(self.embeddings), dim, Some(self.vocabulary)) else {
            unreachable!("the embedding table changed its shape")
        };
        let (ids, positions) = (batch.ids(), &workspace.positions);
        let is_second = separator.map_or(Vec::new(), |separator| second_texts(batch, separator));
        let each = on.team.rows_a_part(ids.len());
        on.team.for_each(Chunks::new(&mut workspace.residual, each * dim), |part, rows| {
            let tokens = ids.iter().zip(positions).enumerate().skip(part * each);
            for ((token, (&id, &position)), row) in tokens.zip(rows.chunks_exact_mut(dim)) {
                assert!((id as usize) < self.vocabulary, "token id {id} is not below {}", self.vocabulary);
                table.decode_row(id as usize, row);
                if self.config.embedding_scale != 1.0 {
                    (self.kernels.scale)(row, self.config.embedding_scale);
                }
                if !self.weights.token_type.is_empty() {
                    let second = is_second.get(token) == Some(&true) && self.has_second_type();
                    let types = if second { &self.weights.second_type } else { &self.weights.token_type };
                    (self.kernels.add)(row, types);
                }
                if !self.weights.positions.is_empty() {
                    (self.kernels.add)(row, &self.weights.positions[position * dim..][..dim]);
                }
            }
            block::normalise(on, &self.weights.embedding_norm, rows);
        });
    }

    /// The dense heads.
    fn project(&self, on: Compute<'_>, mut vectors: Vec<f32>, workspace: &mut Workspace) -> Vec<f32> {
        for head in &self.weights.heads {
            vectors = scoring::product(on, head, &vectors, workspace);
        }
        vectors
    }
}

/// Which tokens of a batch stand after the first separator of their sequence.
fn second_texts(batch: &Batch, separator: u32) -> Vec<bool> {
    let mut is_second = vec![false; batch.tokens()];
    for sequence in batch.sequences() {
        let first = batch.ids()[sequence.clone()].iter().position(|&id| id == separator);
        if let Some(first) = first {
            is_second[sequence.start + first + 1..sequence.end].fill(true);
        }
    }
    is_second
}
