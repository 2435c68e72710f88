//! Keeps what was measured of a machine and model.

use std::fs;
use std::path::Path;

use encoder::Encoder;
use kernels::Level;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use threads::{Topology, cpu_info};

use super::CostModel;
use crate::fingerprint::hex;

/// Goes up when the cost model means something else, so that what older versions kept is not believed.
const FOLDER: &str = "tuning-2";

/// Everything that what was measured holds for, in words: CPU, level, limits, model, version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

#[derive(Serialize, Deserialize)]
struct Entry {
    /// For people who look, and against a clash of names.
    of: String,
    cost: CostModel,
}

impl Key {
    /// `threads` is what the embedder was asked for, 0 for automatic. The model is known by its shape and size, not by
    /// its bytes: reading those would take longer than measuring, and other weights take as long.
    pub(crate) fn new(encoder: &Encoder, level: Level, topology: &Topology, threads: usize) -> Self {
        let config = encoder.config();
        let layouts: Vec<String> =
            encoder.layouts().iter().map(|(layout, macs)| format!("{layout:?} {macs}")).collect();
        Self(format!(
            "connote {}; {}; level {}; {}; threads {threads}; {} of {} layers, {} wide, {} bytes packed: {}",
            env!("CARGO_PKG_VERSION"),
            cpu(),
            level.name(),
            topology.to_string().lines().map(str::trim).collect::<Vec<_>>().join(", "),
            config.architecture,
            config.layers.len(),
            config.dim,
            encoder.packed_bytes(),
            layouts.join(", "),
        ))
    }

    fn file(&self) -> String {
        format!("{}.json", hex(&Sha256::digest(self.0.as_bytes())[..16]))
    }
}

/// The CPU's own name. Of ARM, Linux tells numbers only.
fn cpu() -> String {
    cpu_info("model name")
        .or_else(|| Some(format!("CPU {} {}", cpu_info("CPU implementer")?, cpu_info("CPU part")?)))
        .unwrap_or_else(|| format!("a CPU of {}", std::env::consts::ARCH))
}

/// What was kept; `None` if nothing was, or it is damaged.
pub(crate) fn load(cache: Option<&Path>, key: &Key) -> Option<CostModel> {
    let text = fs::read_to_string(cache?.join(FOLDER).join(key.file())).ok()?;
    let entry: Entry = serde_json::from_str(&text).ok()?;
    (entry.of == key.0 && entry.cost.is_sound()).then_some(entry.cost)
}

/// Keeps it, where that is possible, and whether it was: it only saves time.
pub(crate) fn store(cache: Option<&Path>, key: &Key, cost: &CostModel) -> bool {
    let Some(cache) = cache else { return false };
    let entry = Entry { of: key.0.clone(), cost: cost.clone() };
    let text = serde_json::to_string_pretty(&entry);
    text.is_ok_and(|text| files::cache(&cache.join(FOLDER).join(key.file()), text.as_bytes()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::tiny;
    use threads::Team;

    /// Digits of decimals that are read may differ in the last place.
    fn assert_kept(found: Option<CostModel>, cost: &CostModel) {
        let found = found.expect("kept");
        assert_eq!((&found.counts, found.length, found.measured), (&cost.counts, cost.length, cost.measured));
        let all = |cost: &CostModel| -> Vec<f64> {
            cost.alone.iter().chain(&cost.beside).chain(&cost.split).flatten().copied().collect()
        };
        assert_eq!(all(&found).len(), all(cost).len());
        for (found, kept) in all(&found).into_iter().zip(all(cost)) {
            assert!((found / kept - 1.0).abs() < 1e-12, "{found} for {kept}");
        }
        assert!((found.pair / cost.pair - 1.0).abs() < 1e-12);
    }

    fn key(seed: u64, threads: usize) -> Key {
        let gguf = gguf::Gguf::from_bytes(tiny::bert(seed)).expect("a valid file");
        let kernels = kernels::Kernels::of(Level::Scalar).expect("always there");
        let encoder = Encoder::load(&gguf, kernels, &Team::new(1)).expect("an encoder");
        Key::new(&encoder, Level::Scalar, &Topology::detect(), threads)
    }

    #[test]
    fn what_is_stored_is_loaded_for_its_key_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Some(folder.path());
        let cost = CostModel::unmeasured(6, 12_345_678, 6);
        assert_eq!(load(cache, &key(1, 0)), None);
        assert!(store(cache, &key(1, 0), &cost));
        assert_kept(load(cache, &key(1, 0)), &cost);
        // Other weights of the same shape are as fast.
        assert_kept(load(cache, &key(2, 0)), &cost);
        assert_eq!(load(cache, &key(1, 2)), None);
        assert_eq!(load(None, &key(1, 0)), None);
        let files: Vec<_> = fs::read_dir(folder.path().join(FOLDER)).expect("a folder").collect();
        assert_eq!(files.len(), 1, "nothing is left aside");
    }

    #[test]
    fn damage_is_ignored_and_mended_and_a_folder_that_cannot_be_written_costs_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (cache, key) = (Some(folder.path()), key(1, 0));
        let cost = CostModel::unmeasured(6, 12_345_678, 6);
        assert!(store(cache, &key, &cost));
        let file = folder.path().join(FOLDER).join(key.file());
        let good = fs::read_to_string(&file).expect("kept");
        let damaged = [
            String::new(),
            "{}".to_owned(),
            good[..good.len() / 2].to_owned(),
            good.replacen("\"counts\": [\n      1,", "\"counts\": [\n      2,", 1),
            good.replacen("tiny", "tidy", 1).replacen("connote ", "connate ", 1),
            good.replacen("\"length\": 64", "\"length\": 0", 1),
        ];
        for text in damaged {
            assert_ne!(text, good);
            fs::write(&file, &text).expect("written");
            assert_eq!(load(cache, &key), None, "{text}");
        }
        assert!(store(cache, &key, &cost));
        assert_kept(load(cache, &key), &cost);
        // A file where the folder should be.
        assert!(!store(Some(&file), &key, &cost));
        assert_eq!(load(Some(&file), &key), None);
    }
}
