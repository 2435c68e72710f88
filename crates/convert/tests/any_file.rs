//! The bound of any file: each architecture and variant of `testdata/architectures`, quantised by our own quantiser, gives the
//! vectors of exact arithmetic over the same decoded weights, at every CPU level; and the same bits alone and in any batch.
//!
//! The tiny models' rows have no blocks of 256, so what K-quants fall back to is stated here, and the same networks are made
//! wider (`testkit::widened`) for the K-quants themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use connote::encoder::{self, Batch, Encoder, Workspace};
use connote::kernels::{Kernels, Layout, decode};
use connote::threads::Team;
use connote::{Embedder, Level, Model};
use connote_convert::FileType;
use gguf::{Gguf, TensorType};
use libtest_mimic::{Arguments, Failed, Trial};
use testkit::architectures::{self, Golden};
use testkit::edit::Edit;
use testkit::{batches, oracle, widened};

/// Mean and minimum of the cosines to exact arithmetic (shared design, section 3).
const WHOLE_NUMBERS: (f64, f64) = (0.99998, 0.9998);
const BF16: (f64, f64) = (0.99995, 0.9995);

/// Not met: by bf16 these random networks leave that bound, which real ones keep (`crates/connote/tests/real_models.rs`). They
/// magnify what bf16 rounds: torch loses about as much when it rounds what goes into the products of its f32
/// (`scripts/oracle/bf16.py`; docs/MODELS.md has both beside each other); one router then takes another expert. Here they are held to
/// this instead.
const BEYOND_BF16: &[&str] = &[
    "jina-bert-v2",
    "jina-bert-v3.retrieval.query",
    "llama",
    "llama-linear",
    "llama-yarn",
    "modern-bert",
    "modern-bert-silu",
    "neo-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "qwen2",
    "qwen3",
    "qwen3-yarn",
];
const FLOOR_OF_BF16: (f64, f64) = (0.9997, 0.998);
/// Where a router takes another expert.
const FLOOR_WITH_EXPERTS: (f64, f64) = (0.9995, 0.98);
const WITH_EXPERTS: &str = "nomic-bert-moe";

/// Of each type of file: what rows of whole blocks of 256 become, then what rows of whole blocks of 32 do; most of the
/// matrices get the first of them. Other rows are F16. The others are those of values, of embeddings, and of the matrices of
/// networks of eight experts.
const TYPES: &[(FileType, &[TensorType], &[TensorType])] = {
    use TensorType as T;
    &[
        (FileType::Q8_0, &[T::Q8_0], &[T::Q8_0]),
        (FileType::Q4_0, &[T::Q4_0, T::Q6_K, T::Q8_0], &[T::Q4_0, T::Q8_0]),
        (FileType::Q4_K_M, &[T::Q4_K, T::Q5_K, T::Q6_K, T::Q8_0], &[T::Q5_0, T::Q5_1, T::Q8_0]),
        (FileType::Q5_K_M, &[T::Q5_K, T::Q6_K, T::Q8_0], &[T::Q5_1, T::Q8_0]),
        (FileType::Q6_K, &[T::Q6_K, T::Q8_0], &[T::Q8_0]),
    ]
};

/// Their rows of 36, 48 and 80 values are no whole blocks of any type: all F16, so that their arithmetic is that of floats. Made
/// wider they have blocks of 32.
const UNBLOCKED: &[&str] = &["bert-cls", "bert-mean", "jina-bert-v2-code", "jina-bert-v2-fused"];

/// Texts up to this length are read by the wide models, which take a hundred times as long.
const LONGEST_OF_WIDE: usize = 120;

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("every architecture is quantised", complete)];
    for golden in architectures::all() {
        let golden: &'static Golden = Box::leak(Box::new(golden));
        for (file_type, ..) in TYPES {
            let name = |what: &str| format!("{what} of {}, {file_type}", golden.name);
            trials.push(Trial::test(name("vectors"), move || vectors(golden, *file_type)));
            trials.push(Trial::test(name("bits in a batch"), move || same_bits(golden, *file_type)));
            trials.push(Trial::test(name("wide vectors"), move || wide(golden, *file_type)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// The model as a file of floats, with its adapter where the reference is of one.
fn original(golden: &Golden) -> Result<Vec<u8>, Failed> {
    let path = architectures::path(&golden.file);
    Ok(match &golden.adapter {
        None => fs::read(path)?,
        Some(adapter) => Model::open(path)?.adapted_file(architectures::path(adapter))?,
    })
}

fn quantised(bytes: &[u8], file_type: FileType) -> Result<Vec<u8>, Failed> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), bytes)?;
    let mut written = Vec::new();
    connote_convert::Model::from_gguf(file.path())?.write(file_type, &mut written, |_| true)?;
    Ok(written)
}

/// The same values as F32: the engine computes with them in f32.
fn dequantised(bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let gguf = Gguf::from_bytes(bytes.to_vec())?;
    let mut edit = Edit::of(bytes);
    for tensor in gguf.tensors() {
        let values = decode::values(tensor.ty(), tensor.bytes()).ok_or("a type that is decoded")?;
        edit = edit.tensor(tensor.name(), tensor.dims(), &values);
    }
    Ok(edit.bytes())
}

/// A file made wider until its rows are whole blocks of 256, if 16 times do.
fn made_wider(golden: &Golden) -> Result<Vec<u8>, Failed> {
    let bytes = original(golden)?;
    let width = Model::from_bytes(bytes.clone())?.config().dim;
    let factor = if (width * 8).is_multiple_of(256) { 8 } else { 16 };
    Ok(widened::widened(&bytes, factor))
}

/// Every architecture that the engine has, each with rows that are whole blocks of 32 here, and wide ones of 256.
fn complete() -> Result<(), Failed> {
    let goldens = architectures::all();
    let with = |blocks: usize| -> Result<BTreeSet<String>, Failed> {
        let mut found = BTreeSet::new();
        for golden in &goldens {
            let bytes = if blocks == 256 { made_wider(golden)? } else { original(golden)? };
            let file = quantised(&bytes, FileType::Q4_K_M)?;
            let has = types(&file, FileType::Q4_K_M, golden)?.contains_key(&blocks);
            let unblocked = UNBLOCKED.contains(&golden.name.as_str());
            check(blocks == 256 || has != unblocked, || format!("{} is not as stated", golden.name))?;
            if has {
                found.insert(golden.architecture.clone());
            }
        }
        Ok(found)
    };
    let all: BTreeSet<String> = encoder::architectures().map(str::to_owned).collect();
    for blocks in [32, 256] {
        let missing: Vec<String> = all.difference(&with(blocks)?).cloned().collect();
        check(missing.is_empty(), || format!("no rows of whole blocks of {blocks}: {}", missing.join(", ")))?;
    }
    // No file of the folder stands aside: each is a model with its reference, or an adapter with one.
    let told: BTreeSet<&String> = goldens.iter().map(|golden| &golden.name).collect();
    let untold: Vec<String> =
        architectures::names("gguf").into_iter().filter(|name| !told.contains(name)).collect();
    check(untold.is_empty(), || format!("{untold:?} are quantised nowhere"))
}

/// How many tensors of which types a quantised file has, by the blocks that their rows are whole ones of.
fn types(
    file: &[u8],
    file_type: FileType,
    golden: &Golden,
) -> Result<BTreeMap<usize, BTreeMap<TensorType, usize>>, Failed> {
    let gguf = Gguf::from_bytes(file.to_vec())?;
    let stated = TYPES.iter().find(|(of, ..)| *of == file_type).ok_or("a type that is stated")?;
    let mut found: BTreeMap<usize, BTreeMap<TensorType, usize>> = BTreeMap::new();
    for tensor in gguf.tensors().filter(|tensor| tensor.ty() != TensorType::F32) {
        let width = tensor.dims()[0];
        let (blocks, stated): (usize, &[TensorType]) = match () {
            () if width.is_multiple_of(256) => (256, stated.1),
            () if width.is_multiple_of(32) => (32, stated.2),
            () => (1, &[TensorType::F16]),
        };
        let (name, ty) = (tensor.name(), tensor.ty());
        check(stated.contains(&ty), || {
            format!("{}: {name} with rows of {width} values is {ty} in a file of {file_type}", golden.name)
        })?;
        *found.entry(blocks).or_default().entry(ty).or_default() += 1;
    }
    for (blocks, counts) in &found {
        let first = if *blocks == 256 { stated.1[0] } else { stated.2[0] };
        check(*blocks == 1 || counts.contains_key(&first), || format!("no {first}: {counts:?}"))?;
    }
    Ok(found)
}

/// The vectors of some ids by an encoder, whose products of quantised weights are in one layout.
fn by_layout(
    file: &[u8],
    ids: &[&[u32]],
    level: Level,
    layout: Option<Layout>,
) -> Result<Vec<Vec<f32>>, Failed> {
    let kernels = Kernels::of(level).ok_or("a level that is available has kernels")?;
    let kernels = match layout {
        Some(layout) => Box::leak(Box::new(kernels.quantised_as(layout))),
        None => kernels,
    };
    let model = Model::from_bytes(file.to_vec())?;
    let team = Team::new(0);
    let encoder = Encoder::load(model.gguf(), kernels, &team)?;
    let pooling = model.pooling()?;
    let mut workspace = Workspace::new();
    let one = |ids: &&[u32]| {
        let batch: Batch = [*ids].into_iter().collect();
        encoder.forward(&team, &batch, pooling, &mut workspace)
    };
    Ok(ids.iter().map(one).collect())
}

fn within(
    what: &str,
    got: &[Vec<f32>],
    exact: &[Vec<f32>],
    (least_mean, least): (f64, f64),
) -> Result<(), Failed> {
    let cosines: Vec<f64> = got.iter().zip(exact).map(|(got, exact)| oracle::cosine(got, exact)).collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let minimum = cosines.iter().copied().fold(1.0, f64::min);
    println!("{what}: mean {mean:.7}, minimum {minimum:.7}");
    check(mean >= least_mean && minimum >= least, || {
        format!("{what}: mean {mean:.7} (at least {least_mean}), minimum {minimum:.7} (at least {least})")
    })
}

/// The bound of a layout.
fn bound(golden: &Golden, layout: Layout) -> (f64, f64) {
    match layout {
        Layout::Bf16 if golden.name == WITH_EXPERTS => FLOOR_WITH_EXPERTS,
        Layout::Bf16 if BEYOND_BF16.contains(&golden.name.as_str()) => FLOOR_OF_BF16,
        Layout::Bf16 => BF16,
        Layout::I16 | Layout::F32 => WHOLE_NUMBERS,
    }
}

fn vectors(golden: &Golden, file_type: FileType) -> Result<(), Failed> {
    let file = quantised(&original(golden)?, file_type)?;
    println!("{}, {file_type}: {:?}", golden.name, types(&file, file_type, golden)?);
    let ids: Vec<&[u32]> = golden.texts.iter().map(|text| text.ids.as_slice()).collect();
    let exact = by_layout(&dequantised(&file)?, &ids, Level::Scalar, None)?;
    let texts = || golden.texts.iter().map(|text| text.text.as_str());
    for level in Level::available() {
        // The whole way, from the texts.
        let embedder = Embedder::builder().level(level).load(Model::from_bytes(file.clone())?)?;
        let got: Vec<Vec<f32>> = embedder.embed(texts())?.into_iter().map(|one| one.vector).collect();
        let layout = Kernels::of(level).ok_or("a level that is available has kernels")?.quantised;
        let what = format!("{}, {file_type} at {level}", golden.name);
        within(&what, &got, &exact, bound(golden, layout))?;
    }
    // What AMX multiplies, also where there is none: the same bits at every level.
    let best = Level::available().last().ok_or("every machine has a level")?;
    let got = by_layout(&file, &ids, best, Some(Layout::Bf16))?;
    let what = format!("{}, {file_type} by bf16", golden.name);
    within(&what, &got, &exact, bound(golden, Layout::Bf16))
}

/// As `vectors`, with K-quants, in both layouts of quantised weights, whose bits are the same at every level.
fn wide(golden: &Golden, file_type: FileType) -> Result<(), Failed> {
    let file = quantised(&made_wider(golden)?, file_type)?;
    println!("{}, wide, {file_type}: {:?}", golden.name, types(&file, file_type, golden)?);
    let short = golden.texts.iter().map(|text| text.ids.as_slice());
    let ids: Vec<&[u32]> = short.filter(|ids| ids.len() <= LONGEST_OF_WIDE).collect();
    check(ids.len() > 10, || format!("{} texts are short", ids.len()))?;
    let best = Level::available().last().ok_or("every machine has a level")?;
    let exact = by_layout(&dequantised(&file)?, &ids, best, None)?;
    for layout in [Layout::I16, Layout::Bf16] {
        let got = by_layout(&file, &ids, best, Some(layout))?;
        let what = format!("{}, wide, {file_type} by {}", golden.name, layout.name());
        within(&what, &got, &exact, bound(golden, layout))?;
    }
    Ok(())
}

/// The same text alone, in any batch, in any order, under any number of threads: the same bits, at every level.
fn same_bits(golden: &Golden, file_type: FileType) -> Result<(), Failed> {
    let file = quantised(&original(golden)?, file_type)?;
    let texts: Vec<&str> = golden.texts.iter().map(|text| text.text.as_str()).collect();
    for level in Level::available() {
        let of = |threads: usize| -> Result<Embedder, Failed> {
            let builder = Embedder::builder().level(level).threads(threads);
            Ok(builder.load(Model::from_bytes(file.clone())?)?)
        };
        let (one, three) = (of(1)?, of(3)?);
        batches::same_bits(&texts, |texts| one.embed(texts), |texts| three.embed(texts))
            .map_err(|said| format!("{said} at {level}"))?;
    }
    Ok(())
}
