//! The encoder: a loaded model that turns batches into vectors.

use gguf::Gguf;
use kernels::{Kernels, Rows, RowsMut, linear};

use crate::arch;
use crate::batch::Batch;
use crate::block;
use crate::config::Config;
use crate::error::Error;
use crate::pooling::Pooling;
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
    /// Reads and packs the weights. The embedding table stays where it is and is decoded a row a token.
    ///
    /// # Errors
    /// If a key or tensor is missing, misshapen, or of a type that cannot be computed with.
    pub fn load(gguf: &Gguf, kernels: &'static Kernels) -> Result<Self, Error> {
        let config = arch::describe(gguf)?;
        let name = "token_embd.weight";
        let table =
            gguf.tensor(name).ok_or_else(|| Error::tensor(name, "is missing; the file holds no weights"))?;
        let vocabulary = Matrix::new(table, config.dim, None)?.rows();
        let embeddings = table.index();
        let (weights, unread) = Weights::load(gguf, &config)?;
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

    /// Runs a batch. The result has, sequence after sequence, `pooling.rows(tokens)` rows of
    /// [`output_dim`](Self::output_dim) values, not normalised.
    ///
    /// # Panics
    /// If an id is not in the vocabulary, or a sequence is longer than learned positions reach.
    pub fn forward(&self, batch: &Batch, pooling: Pooling, workspace: &mut Workspace) -> Vec<f32> {
        let longest = batch.sequences().map(|sequence| sequence.len()).max().unwrap_or(0);
        workspace.prepare(&self.config, batch.tokens(), longest);
        self.embed(batch, &mut workspace.residual);
        for (layer, weights) in self.config.layers.iter().zip(&self.weights.layers) {
            block::run(self.kernels, &self.config, layer, weights, batch, workspace);
        }
        let dim = self.config.dim;
        block::normalise(self.kernels, &self.weights.output_norm, &mut workspace.residual, dim);
        let mut pooled = Vec::with_capacity(batch.len() * dim);
        for sequence in batch.sequences() {
            pooling.pool(&workspace.residual[sequence.start * dim..sequence.end * dim], dim, &mut pooled);
        }
        self.project(pooled, workspace)
    }

    /// Embedding rows: token, position, type, scale, norm.
    fn embed(&self, batch: &Batch, rows: &mut [f32]) {
        let dim = self.config.dim;
        // The shape was checked at load, so this cannot fail any more.
        let Ok(table) = Matrix::new(self.gguf.tensor_at(self.embeddings), dim, Some(self.vocabulary)) else {
            unreachable!("the embedding table changed its shape")
        };
        for sequence in batch.sequences() {
            let ids = &batch.ids()[sequence.clone()];
            let rows = &mut rows[sequence.start * dim..sequence.end * dim];
            for (position, (&id, row)) in ids.iter().zip(rows.chunks_exact_mut(dim)).enumerate() {
                assert!((id as usize) < self.vocabulary, "token id {id} is not below {}", self.vocabulary);
                table.decode_row(id as usize, row);
                if self.config.embedding_scale != 1.0 {
                    (self.kernels.scale)(row, self.config.embedding_scale);
                }
                if !self.weights.token_type.is_empty() {
                    (self.kernels.add)(row, &self.weights.token_type);
                }
                if !self.weights.positions.is_empty() {
                    (self.kernels.add)(row, &self.weights.positions[position * dim..][..dim]);
                }
            }
            block::normalise(self.kernels, &self.weights.embedding_norm, rows, dim);
        }
    }

    /// The dense heads.
    fn project(&self, mut vectors: Vec<f32>, workspace: &mut Workspace) -> Vec<f32> {
        for head in &self.weights.heads {
            let count = vectors.len() / head.inputs();
            let mut out = vec![0.0; count * head.outputs()];
            let rows = Rows::new(&vectors, head.inputs());
            let mut out_rows = RowsMut::new(&mut out, head.outputs());
            linear(self.kernels, rows, head, &mut workspace.quantized, &mut out_rows);
            vectors = out;
        }
        vectors
    }
}
