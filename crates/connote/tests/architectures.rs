//! Every architecture against its authors' own classes, on tiny random models (`scripts/oracle`).
//!
//! A file in the folder that cannot be run fails, and so does an architecture without a file.

use std::collections::BTreeSet;
use std::fs;

use connote::encoder::{self, Batch, Encoder, Workspace};
use connote::gguf::{Gguf, OwnedValue, Value};
use connote::kernels::Kernels;
use connote::threads::Team;
use connote::{Embedder, Input, Level, Model, Options, Pooling};
use libtest_mimic::{Arguments, Failed, Trial};
use testkit::architectures::{self, Golden};
use testkit::edit::Edit;
use testkit::{batches, oracle};

/// What the issue asks for.
const LEAST_COSINE: f64 = 0.999999;

/// A stricter bound on each value of a unit vector: the tanh form of GELU in place of the exact one moves values by
/// some 1e-4 and a cosine by less than the bound above.
const LARGEST_DIFFERENCE: f32 = 5e-6;

/// The same for a single token's row: no mean over a text's rows evens out what f32 rounds.
const LARGEST_DIFFERENCE_OF_A_ROW: f32 = 2e-5;

/// Keys that say again what tensors' shapes say, or how long a text may be.
const IDLE_KEYS: &[&str] = &[
    ".context_length",
    ".dense_2_feat_in",
    ".dense_2_feat_out",
    ".dense_3_feat_in",
    ".dense_3_feat_out",
    ".vocab_size",
];

/// As those, where models also have the epsilon of the other norm.
const IDLE_EPSILON: &str = ".attention.layer_norm_epsilon";

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("every architecture has a file, every file a reference", complete)];
    for golden in architectures::all() {
        let golden: &'static Golden = Box::leak(Box::new(golden));
        let mut add = |what: &str, test: fn(&Golden) -> Result<(), Failed>| {
            trials.push(Trial::test(format!("{what} of {}", golden.name), move || test(golden)));
        };
        add("ids", ids);
        add("vectors", vectors);
        add("rows", rows);
        add("bits in a batch", same_bits);
        add("nothing idle in what is", nothing_idle);
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

fn complete() -> Result<(), Failed> {
    let goldens = architectures::all();
    let proven: BTreeSet<&str> = goldens.iter().map(|golden| golden.architecture.as_str()).collect();
    let without: Vec<&str> = encoder::architectures().filter(|name| !proven.contains(name)).collect();
    check(without.is_empty(), || format!("no file of {}: add one to scripts/oracle", without.join(", ")))?;
    let told: BTreeSet<&str> = goldens.iter().map(|golden| golden.name.as_str()).collect();
    for name in architectures::names("gguf") {
        check(told.contains(name.as_str()), || format!("{name}.gguf has no reference beside it"))?;
    }
    for golden in &goldens {
        check(golden.texts.len() == 30, || format!("{} texts of {}", golden.texts.len(), golden.name))?;
        let longest = golden.texts.iter().map(|text| text.ids.len()).max();
        check(longest >= Some(599), || format!("{}: the longest text has {longest:?} tokens", golden.name))?;
    }
    Ok(())
}

/// The model, with its adapter where the reference is of one.
fn open(golden: &Golden) -> Result<Model, Failed> {
    let model = Model::open(architectures::path(&golden.file))?;
    let Some(adapter) = &golden.adapter else { return Ok(model) };
    let adapted = model.with_adapter(architectures::path(adapter))?;
    check(adapted.adapter() == golden.task.as_deref(), || format!("the task is {:?}", adapted.adapter()))?;
    Ok(adapted)
}

fn ids(golden: &Golden) -> Result<(), Failed> {
    let model = open(golden)?;
    for text in &golden.texts {
        // An adapter's words come before it by themselves.
        let got = model.prepare(&Input::new(text.text.as_str()), &Options::new())?.ids;
        check(got == text.ids, || format!("{:?}: {got:?} instead of {:?}", text.text, text.ids))?;
    }
    Ok(())
}

/// Holds what came out against the reference, which need not be of unit length.
fn compare(what: &str, got: &[f32], wanted: &[f32], largest: f32) -> Result<(f64, f32), Failed> {
    let unit = |vector: &[f32]| {
        let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        vector.iter().map(|&value| (f64::from(value) / length) as f32).collect::<Vec<_>>()
    };
    let cosine = oracle::cosine(got, wanted);
    let pairs = unit(got).into_iter().zip(unit(wanted));
    let difference = pairs.map(|(got, wanted)| (got - wanted).abs()).fold(0.0, f32::max);
    check(cosine >= LEAST_COSINE && difference <= largest, || {
        format!("{what}: cosine {cosine:.9}, values differ by {difference:e}")
    })?;
    Ok((cosine, difference))
}

fn vectors(golden: &Golden) -> Result<(), Failed> {
    for level in Level::available() {
        let embedder = Embedder::builder().level(level).load(open(golden)?)?;
        let texts = golden.texts.iter().map(|text| text.text.as_str());
        let (mut least, mut largest) = (1.0f64, 0.0f32);
        for (text, got) in golden.texts.iter().zip(embedder.embed(texts)?) {
            let what = format!("{:?} ({} tokens) at {level}", text.text, text.ids.len());
            let (cosine, difference) = compare(&what, &got.vector, &text.vector, LARGEST_DIFFERENCE)?;
            (least, largest) = (least.min(cosine), largest.max(difference));
        }
        println!("{} at {level}: cosine at least {least:.9}, values within {largest:e}", golden.name);
    }
    Ok(())
}

/// Each token's row of the last layer.
fn rows(golden: &Golden) -> Result<(), Failed> {
    let model = open(golden)?;
    let team = Team::new(0);
    for level in Level::available() {
        let kernels = Kernels::of(level).ok_or("a level that is available has kernels")?;
        let encoder = Encoder::load(model.gguf(), kernels, &team)?;
        let mut compared = 0;
        for text in golden.texts.iter().filter(|text| !text.rows.is_empty()) {
            let batch: Batch = [text.ids.as_slice()].into_iter().collect();
            let got = encoder.forward(&team, &batch, Pooling::None, &mut Workspace::new());
            let got: Vec<&[f32]> = got.chunks_exact(encoder.output_dim()).collect();
            check(got.len() == text.ids.len(), || format!("{} rows of {:?}", got.len(), text.text))?;
            for (place, wanted) in &text.rows {
                compare(
                    &format!("{:?}, row {place} at {level}", text.text),
                    got[*place],
                    wanted,
                    LARGEST_DIFFERENCE_OF_A_ROW,
                )?;
                compared += 1;
            }
        }
        check(compared > 50, || format!("{compared} rows"))?;
    }
    Ok(())
}

/// The same text alone, in any batch, in any order, under any number of threads: the same bits, at every level.
fn same_bits(golden: &Golden) -> Result<(), Failed> {
    let texts: Vec<&str> = golden.texts.iter().map(|text| text.text.as_str()).collect();
    for level in Level::available() {
        let of = |threads| Embedder::builder().level(level).threads(threads);
        let one = of(1).load(open(golden)?)?;
        let three = of(3).load(open(golden)?)?;
        batches::same_bits(&texts, |texts| one.embed(texts), |texts| three.embed(texts))
            .map_err(|said| format!("{said} at {level}"))?;
    }
    Ok(())
}

/// Nothing in the file is idle: with any tensor bent, or any number of its network's changed, the vectors leave the
/// bound, or the file is refused. So a tensor that was read wrongly, or a key that was not read, would have been seen.
fn nothing_idle(golden: &Golden) -> Result<(), Failed> {
    let bytes = fs::read(architectures::path(golden.adapter.as_ref().unwrap_or(&golden.file)))?;
    // An adapter's own keys; the network's are its base's.
    let group = if golden.adapter.is_some() { "adapter" } else { &golden.architecture };
    let gguf = Gguf::from_bytes(bytes.clone())?;
    let edit = Edit::of(&bytes);
    let mut idle = Vec::new();
    for tensor in gguf.tensors() {
        let mut values = edit.values(tensor.name());
        for (place, value) in values.iter_mut().enumerate() {
            *value = *value * [1.1, 0.95, 0.9][place % 3] + [0.02, 0.0, -0.02][place % 3];
        }
        let bent = edit.clone().tensor(tensor.name(), tensor.dims(), &values).bytes();
        if !leaves_the_bound(golden, bent) {
            idle.push(tensor.name().to_owned());
        }
    }
    for (key, value) in gguf.metadata().iter() {
        let ours = key.starts_with(&format!("{group}."));
        let changed: OwnedValue = match value {
            // Between whole pairs of frequencies a context of another length changes nothing.
            Value::U32(number) if ours && key.ends_with("original_context_length") => (number * 4).into(),
            // Two more, since half of a window counts.
            Value::U32(number) if ours => (number + 2).into(),
            Value::F32(number) if ours => (if number < 0.01 { 1e-3 } else { number * 1.02 }).into(),
            Value::Bool(flag) if ours => (!flag).into(),
            _ => continue,
        };
        if !leaves_the_bound(golden, edit.clone().key(key, changed).bytes()) {
            idle.push(key.strip_prefix(&golden.architecture).unwrap_or(key).to_owned());
        }
    }
    let rotates = gguf.metadata().get(&format!("{}.rope.freq_base", golden.architecture)).is_some();
    let rms = format!("{}.attention.layer_norm_rms_epsilon", golden.architecture);
    let has_rms_epsilon = gguf.metadata().get(&rms).is_some();
    let expected = |name: &str| {
        // Without RoPE a key's bias adds the same to every score of a query, which softmax takes away.
        let cancels = !rotates && name.contains("attn_k") && name.ends_with("bias");
        let other_norm = name == IDLE_EPSILON && has_rms_epsilon;
        cancels || other_norm || IDLE_KEYS.contains(&name)
    };
    let unexpected: Vec<&String> = idle.iter().filter(|name| !expected(name)).collect();
    check(unexpected.is_empty(), || format!("{unexpected:?} could be anything"))
}

/// Whether a changed file is refused, or gives other vectors of the texts whose rows are kept.
fn leaves_the_bound(golden: &Golden, file: Vec<u8>) -> bool {
    let opened = match &golden.adapter {
        None => Embedder::from_bytes(file),
        Some(_) => Model::open(architectures::path(&golden.file)).and_then(|base| {
            let adapter = tempfile::NamedTempFile::new().expect("a temporary file");
            fs::write(adapter.path(), file).expect("a temporary file");
            Embedder::builder().load(base.with_adapter(adapter.path())?)
        }),
    };
    let Ok(embedder) = opened else { return true };
    let texts = golden.texts.iter().filter(|text| !text.rows.is_empty());
    texts.into_iter().any(|text| {
        let got = embedder.embed_one(text.text.as_str());
        got.map_or(true, |got| compare("", &got.vector, &text.vector, LARGEST_DIFFERENCE).is_err())
    })
}
