//! Folders that are damaged or meant to harm: an error in one line or a file, never a panic, and no more memory than what
//! the folder holds asks for.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use connote_convert::{FileType, Folder, Model};
use gguf::{Gguf, TensorType, Writer};
use serde_json::{Value, json};
use testkit::allocations::{self, Counting};
use testkit::random::Random;
use testkit::{golden, hf_folder};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of all that reading one of these folders asks for; an honest one asks for some 3 MB.
const MOST: u64 = 24 << 20;

fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(golden::path("folders")).expect("the folder of folders");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Converts, and says whether it was done.
fn survives(folder: &Path, what: &str) -> bool {
    let (asked, model) =
        allocations::during(|| catch_unwind(AssertUnwindSafe(|| Folder::open(folder)?.model())));
    assert!(asked <= MOST, "{what}: {asked} bytes asked for");
    match model.unwrap_or_else(|_| panic!("{what}: a panic")) {
        Ok(model) => {
            let mut bytes = Vec::new();
            let written =
                catch_unwind(AssertUnwindSafe(|| model.write(FileType::Q4_K_M, &mut bytes, |_| true)));
            let done = written.unwrap_or_else(|_| panic!("{what}: a panic in writing")).is_ok();
            assert!(!done || Gguf::from_bytes(bytes).is_ok(), "{what}: what is written cannot be read");
            done
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{what}: one line: {error}");
            false
        }
    }
}

/// Numbers, kinds and sizes that nobody expects.
fn hostile(random: &mut Random) -> Value {
    let values = [
        json!(null),
        json!(0),
        json!(1),
        json!(3),
        json!(-1),
        json!(16_777_216),
        json!(16_777_215),
        json!(2_147_483_648u64),
        json!(4_294_967_295u64),
        json!(18_446_744_073_709_551_615u64),
        json!(0.0),
        json!(1e300),
        json!(1e-300),
        json!(""),
        json!("full_attention"),
        json!("\u{2581}"),
        json!(true),
        json!(false),
        json!([]),
        json!([16_777_216, "x", null]),
        json!({}),
        json!({"rope_type": "llama3", "factor": 1e-300}),
    ];
    values[random.below(values.len())].clone()
}

/// Replaces some value anywhere in a file, takes it away, or gives it another name.
fn bend(value: &mut Value, random: &mut Random) {
    let deeper = random.below(4) > 0;
    match value {
        Value::Object(object) if !object.is_empty() => {
            let name = object.keys().nth(random.below(object.len())).expect("one of them").clone();
            match random.below(12) {
                0 => drop(object.remove(&name)),
                1 => {
                    let moved = object.remove(&name).expect("a key that was listed");
                    object.insert(format!("{name}x"), moved);
                }
                _ if deeper => bend(&mut object[&name], random),
                _ => object[&name] = hostile(random),
            }
        }
        Value::Array(array) if !array.is_empty() => {
            let place = random.below(array.len());
            match random.below(12) {
                0 => drop(array.remove(place)),
                1 => array.push(array[place].clone()),
                _ if deeper => bend(&mut array[place], random),
                _ => array[place] = hostile(random),
            }
        }
        _ => *value = hostile(random),
    }
}

/// Writes a changed file, converts, and puts the file back.
fn with_changed(folder: &Path, file: &str, bytes: &[u8], what: &str) -> bool {
    let path = folder.join(file);
    let whole = fs::read(&path).expect("a file");
    fs::write(&path, bytes).expect("written");
    let done = survives(folder, what);
    fs::write(&path, whole).expect("put back");
    done
}

#[test]
fn bent_json_never_panics_nor_asks_for_much() {
    let mut random = Random::seeded(9);
    let (mut done, mut refused) = (0, 0);
    for source in folders() {
        let name = source.file_name().expect("a name").to_string_lossy().into_owned();
        let folder = tempfile::tempdir().expect("a folder");
        hf_folder::copy(&name, folder.path());
        assert!(survives(folder.path(), &name), "{name} is whole");
        for file in ["config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json"] {
            let whole: Value =
                serde_json::from_slice(&fs::read(folder.path().join(file)).expect("read")).expect("JSON");
            let times = if file == "config.json" { 24 } else { 6 };
            for round in 0..times {
                let mut bent = whole.clone();
                for _ in 0..=random.below(3) {
                    bend(&mut bent, &mut random);
                }
                let what = format!("{name}/{file}, round {round}");
                let converted = with_changed(folder.path(), file, bent.to_string().as_bytes(), &what);
                *if converted { &mut done } else { &mut refused } += 1;
            }
        }
    }
    assert!(done > 30 && refused > 250, "{done} converted, {refused} refused: the changes are no test");
}

#[test]
fn bent_weights_never_panic_nor_ask_for_much() {
    let mut random = Random::seeded(10);
    for source in folders().into_iter().step_by(3) {
        let name = source.file_name().expect("a name").to_string_lossy().into_owned();
        let folder = tempfile::tempdir().expect("a folder");
        hf_folder::copy(&name, folder.path());
        let whole = fs::read(folder.path().join("model.safetensors")).expect("read");
        let length = u64::from_le_bytes(whole[..8].try_into().expect("eight")) as usize;
        let header: Value = serde_json::from_slice(&whole[8..8 + length]).expect("a header");
        for round in 0..40 {
            let what = format!("{name}/model.safetensors, round {round}");
            let bytes = match round % 3 {
                // A header of other names, shapes and places.
                0 => {
                    let mut bent = header.clone();
                    bend(&mut bent, &mut random);
                    let bent = bent.to_string();
                    [&(bent.len() as u64).to_le_bytes(), bent.as_bytes(), &whole[8 + length..]].concat()
                }
                1 => whole[..random.below(whole.len())].to_vec(),
                _ => {
                    let mut bytes = whole.clone();
                    for _ in 0..=random.below(8) {
                        let place = random.below(length + 8);
                        bytes[place] = random.bits() as u8;
                    }
                    bytes
                }
            };
            with_changed(folder.path(), "model.safetensors", &bytes, &what);
        }
    }
}

/// Many layers' kinds and far ids: what takes long or much by a few bytes of JSON.
#[test]
fn short_files_that_ask_for_much_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::copy("gemma-embedding", folder.path());
    let read = |file: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.path().join(file)).expect("read")).expect("JSON")
    };
    let mut config = read("config.json");
    config["layer_types"] = json!(vec!["sliding_attention"; 100_000]);
    assert!(!with_changed(folder.path(), "config.json", config.to_string().as_bytes(), "layer_types"));
    let mut tokenizer = read("tokenizer.json");
    let far =
        |step: u64| json!({"id": 900 + step * 1_000_000, "content": format!("<{step}>"), "special": true});
    let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
    added.extend((1..200).map(far));
    // Tokens without an embedding are no tokens of the model.
    assert!(with_changed(folder.path(), "tokenizer.json", tokenizer.to_string().as_bytes(), "added_tokens"));
    let mut tokenizer = read("tokenizer.json");
    tokenizer["model"]["vocab"]["far"] = json!(16_000_000);
    assert!(!with_changed(folder.path(), "tokenizer.json", tokenizer.to_string().as_bytes(), "vocab"));
}

#[test]
fn tensors_without_values_are_written_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("empty.gguf");
    let bytes = Writer::new()
        .metadata("general.architecture", "bert")
        .tensor("blk.0.attn_q.weight", TensorType::F32, &[0, 4], Vec::new())
        .tensor("blk.0.attn_k.weight", TensorType::F32, &[256, 0], Vec::new())
        .tensor("blk.0.attn_v.weight", TensorType::F32, &[256, 2], [1f32.to_le_bytes(); 512].concat())
        .to_bytes()
        .expect("a file");
    fs::write(&path, bytes).expect("written");
    for ty in [FileType::Q4_K_M, FileType::Q8_0, FileType::F16] {
        let mut bytes = Vec::new();
        Model::from_gguf(&path).expect("opened").write(ty, &mut bytes, |_| true).expect("written");
        let file = Gguf::from_bytes(bytes).expect("read back");
        let dims: Vec<_> = file.tensors().map(|tensor| tensor.dims().to_vec()).collect();
        assert_eq!(dims, [vec![0, 4], vec![256, 0], vec![256, 2]]);
    }
}
