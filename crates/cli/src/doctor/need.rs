//! What a model needs of memory, known before it is opened and packed: too little of it ends a process without a word.

use std::fs;
use std::path::Path;

use connote::gguf::Gguf;
use connote::kernels::{Kernels, Weights};
use indicatif::HumanBytes;

use super::findings::Finding;
use super::system::System;
use crate::memory;

/// Bytes for batches, threads and the allocator's own use.
const WORK: u64 = 96 << 20;

/// Bytes of addresses for a thread.
const THREAD: u64 = 32 << 20;

/// Bytes for the allocator's own use while a file is opened.
const MARGIN: u64 = 16 << 20;

/// Bytes for an entry of the vocabulary, as opening uses them.
const WORD: u64 = 200;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// The file, which is mapped: addresses, and memory that the system takes back where it must.
    file: u64,
    /// The tokenizer.
    words: u64,
    /// The packed weights.
    packed: u64,
}

/// Why a need is not known.
#[derive(Debug)]
pub(crate) enum NotKnown {
    /// There are too few addresses to look.
    TooLarge(String),
    NoModel(String),
}

impl Need {
    /// Of the model in a file, which is mapped for it and let go again.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub(crate) fn of_file(path: &Path, kernels: Option<&Kernels>) -> Result<Self, NotKnown> {
        let bytes = fs::metadata(path).map_or(0, |about| about.len());
        match memory::addresses_left() {
            Some(left) if left < bytes + MARGIN => Err(NotKnown::TooLarge(too_few_addresses(bytes, left))),
            _ => match Gguf::open(path) {
                Ok(gguf) => Ok(Self::of(&gguf, kernels)),
                Err(error) => Err(NotKnown::NoModel(error.to_string())),
            },
        }
    }

    /// Of a model that is mapped; without a CPU level, of opening alone.
    pub(crate) fn of(gguf: &Gguf, kernels: Option<&Kernels>) -> Self {
        let packed = |kernels: &Kernels| {
            let matrices = gguf.tensors().filter(|tensor| {
                // Rows of the embedding tables are read from the file.
                tensor.dims().len() > 1 && !tensor.name().ends_with("_embd.weight")
            });
            // Those of experts are one after the other.
            let has_experts = gguf.tensors().any(|tensor| tensor.dims().len() > 2);
            let bytes = |ty, weights| Weights::bytes_of(kernels, ty, weights, !has_experts);
            matrices.map(|tensor| bytes(tensor.ty(), tensor.elements())).sum()
        };
        let words =
            gguf.metadata().array("tokenizer.ggml.tokens").ok().flatten().map_or(0, |words| words.len());
        // What is built in was mapped with the program.
        let files = gguf.shards().filter(|shard| shard.path().is_some());
        Self {
            file: files.map(|shard| shard.len() as u64).sum(),
            words: words as u64 * WORD,
            packed: kernels.map_or(0, packed),
        }
    }

    /// Memory that nobody can take back.
    fn memory(self) -> u64 {
        self.words + self.packed + WORK
    }

    /// Threads have stacks, and the allocator sets addresses aside for each; for many it does with fewer.
    fn addresses(self, system: &System) -> u64 {
        self.file + self.memory() + system.cpus.min(8) as u64 * THREAD
    }

    /// Why it had better not be opened: an allocation that fails would end the process.
    pub(crate) fn is_too_much_to_open(self, left: u64) -> Option<String> {
        let Self { file, words, .. } = self;
        (file + words + MARGIN > left).then(|| too_few_addresses(file + words + MARGIN, left))
    }

    /// What is wrong, or could be better.
    pub(crate) fn findings(self, system: &System) -> Vec<Finding> {
        let mut findings = Vec::new();
        let needed = self.addresses(system);
        if let Some(left) = system.addresses_left().filter(|left| *left < needed) {
            findings.push(Finding::problem(format!(
                "the model needs about {} of addresses, and the limit on them (`ulimit -v`) leaves {}; raise it, or take a smaller model",
                HumanBytes(needed),
                HumanBytes(left)
            )));
        }
        let Some(free) = system.memory_free() else { return findings };
        let (needed, whole) = (HumanBytes(self.memory()), HumanBytes(self.file + self.memory()));
        let swap = match system.swap_free {
            Some(swap) if swap > 0 => format!(" (and {} of swap, which makes it slow)", HumanBytes(swap)),
            _ => String::new(),
        };
        if free < self.memory() {
            findings.push(Finding::problem(format!(
                "the model needs about {needed} of memory and {} are free{swap}; free some, or take a smaller model",
                HumanBytes(free)
            )));
        } else if free < self.file + self.memory() {
            findings.push(Finding::advice(format!(
                "the model and its file take {whole} and {} are free{swap}; parts of the file may have to be read again and again",
                HumanBytes(free)
            )));
        }
        findings
    }
}

fn too_few_addresses(needed: u64, left: u64) -> String {
    format!(
        "it takes about {} of addresses to open it, and the limit on them (`ulimit -v`) leaves {}; raise it",
        HumanBytes(needed),
        HumanBytes(left)
    )
}

#[cfg(test)]
mod tests {
    use super::super::system::tests::healthy;
    use super::*;

    #[test]
    fn it_is_about_what_packing_takes() {
        let embedder = connote::Embedder::open(testkit::models::builtin()).expect("it packs");
        let gguf = embedder.model().gguf();
        let need = Need::of(gguf, Some(embedder.encoder().kernels()));
        let ratio = need.packed as f64 / embedder.packed_bytes() as f64;
        assert!((0.9..=1.1).contains(&ratio), "{need:?}, {}", embedder.packed_bytes());
        assert!(need.words > 0 && need.file > 20 << 20, "{need:?}");
        assert_eq!(Need::of(gguf, None).packed, 0);
    }

    #[test]
    fn what_is_too_little_is_told_by_its_name() {
        let need = Need { file: 300 << 20, words: 50 << 20, packed: 200 << 20 };
        assert_eq!(need.findings(&healthy()), []);
        assert_eq!(need.is_too_much_to_open(400 << 20), None);
        assert!(need.is_too_much_to_open(360 << 20).is_some_and(|why| why.contains("ulimit -v")));
        let seen = |change: fn(&mut System)| {
            let mut system = healthy();
            change(&mut system);
            need.findings(&system)
        };
        let found = seen(|it| it.address_limit = Some(400 << 20));
        assert!(found[0].problem && found[0].what.contains("ulimit -v"), "{found:?}");
        // The group allows more than is needed, and others in it use it.
        let found = seen(|it| {
            it.memory_limit = Some(4 << 30);
            it.memory_left = Some(100 << 20);
            it.swap_free = Some(1 << 30);
        });
        assert!(
            found[0].problem && found[0].what.contains("100.00 MiB are free (and 1.00 GiB of swap"),
            "{found:?}"
        );
        let found = seen(|it| it.memory_available = Some(500 << 20));
        assert!(!found[0].problem && found[0].what.contains("read again"), "{found:?}");
    }
}
