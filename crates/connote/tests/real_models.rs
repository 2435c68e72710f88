//! The real models against the authors' own stack: golden ids and vectors, STS, and a naive forward pass.
//!
//! A model that is not there makes its tests count as ignored in the summary, never as passed.

use std::path::Path;

use connote::encoder::{Batch, Encoder, Workspace};
use connote::gguf::Gguf;
use connote::kernels::{Kernels, Layout};
use connote::threads::Team;
use connote::{Embedder, Input, Level, Model, Options, Pooling, Request};
use libtest_mimic::{Arguments, Failed, Trial};
use testkit::golden::{self, Golden};
use testkit::{models, naive, oracle};

/// A model file, what it is compared with, and the cosines it must reach (shared design, section 3).
struct Case {
    file: &'static str,
    golden: &'static str,
    mean: f64,
    minimum: f64,
    /// Spearman on images, headlines, answers-students by the reference stack.
    sts: [f64; 3],
}

const MINILM_STS: [f64; 3] = [0.93035, 0.83944, 0.76761];
const GEMMA_WITHOUT_HEADS_STS: [f64; 3] = [0.92688, 0.88415, 0.83619];
const GEMMA_STS: [f64; 3] = [0.92591, 0.88790, 0.83572];

const CASES: &[Case] = &[
    Case {
        file: "all-MiniLM-L6-v2-F32.gguf",
        golden: "minilm",
        mean: 0.999999,
        minimum: 0.99999,
        sts: MINILM_STS,
    },
    Case {
        file: "all-MiniLM-L6-v2-F16.gguf",
        golden: "minilm",
        mean: 0.999999,
        minimum: 0.99999,
        sts: MINILM_STS,
    },
    Case {
        file: "all-MiniLM-L6-v2-Q8_0.gguf",
        golden: "minilm",
        mean: 0.99976,
        minimum: 0.9990,
        sts: MINILM_STS,
    },
    Case {
        file: "embeddinggemma-300m-Q8_0.gguf",
        golden: "embeddinggemma-nodense",
        mean: 0.99990,
        minimum: 0.9995,
        sts: GEMMA_WITHOUT_HEADS_STS,
    },
    Case {
        file: "embeddinggemma-300m-dense-Q8_0.gguf",
        golden: "embeddinggemma",
        mean: 0.99980,
        minimum: 0.9990,
        sts: GEMMA_STS,
    },
    Case {
        file: "embeddinggemma-300m-dense-F32.gguf",
        golden: "embeddinggemma",
        mean: 0.999999,
        minimum: 0.99999,
        sts: GEMMA_STS,
    },
];

/// A trial that is ignored where the model is not there.
fn trial(
    name: String,
    file: &'static str,
    test: impl Fn(&Path) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let committed = Some(models::builtin()).filter(|path| path.ends_with(file));
    match committed.or_else(|| models::find(file)) {
        Some(path) => Trial::test(name, move || test(&path)),
        None => Trial::test(name, || Ok(())).with_ignored_flag(true),
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for case in CASES {
        trials.push(trial(format!("golden ids of {}", case.file), case.file, |path| golden_ids(path, case)));
        for level in Level::available() {
            // Plain Rust would take minutes for a large model; it has the same code and a small one.
            if level == Level::Scalar && case.golden != "minilm" {
                continue;
            }
            let name = format!("golden vectors of {} at {level}", case.file);
            trials.push(trial(name, case.file, move |path| golden_vectors(path, case, level)));
        }
        if case.file.contains("Q8_0") {
            let name = format!("arithmetic of {} in every layout", case.file);
            trials.push(trial(name, case.file, |path| {
                arithmetic(path, case.golden, Pooling::Mean, Some(case))
            }));
        }
        trials.push(trial(format!("STS of {}", case.file), case.file, |path| sts(path, case)));
        trials.push(trial(format!("batches of {}", case.file), case.file, |path| batches(path, case)));
        if case.golden == "minilm" {
            let name = format!("late chunks of {}", case.file);
            trials.push(trial(name, case.file, |path| late_chunks(path, case)));
        }
    }
    let causal = "gemma-3-270m-Q4_K_M.gguf";
    trials.push(trial(format!("naive pass of {causal}"), causal, naive_pass));
    for pooling in [Pooling::Mean, Pooling::Last] {
        let name = format!("arithmetic of {causal} in every layout, {pooling} pooling");
        let texts = "embeddinggemma-nodense";
        trials.push(trial(name, causal, move |path| arithmetic(path, texts, pooling, None)));
    }
    trials.push(trial(format!("no pooling in {causal}"), causal, no_pooling));
    let published = "embeddinggemma-300m-Q8_0.gguf";
    trials.push(trial(format!("missing heads of {published}"), published, missing_heads));
    let dense = "embeddinggemma-300m-dense-Q8_0.gguf";
    trials.push(trial(format!("prompts of {dense}"), dense, prompts));
    libtest_mimic::run(&arguments, trials).exit();
}

/// An empty text is its special tokens; white space and NUL are what the authors' tokenizer makes of them.
fn blank_texts(embedder: &Embedder) -> Result<(), Failed> {
    for (text, ids) in
        [("", vec![2, 1]), ("   ", vec![2, 139, 1]), ("\n\n", vec![2, 108, 1]), ("\0", vec![2, 238, 1])]
    {
        let prepared = embedder.model().prepare(&Input::new(text), &Options::new())?;
        check(prepared.ids == ids, || format!("{text:?} is {:?}", prepared.ids))?;
        embedder.embed_one(text)?;
    }
    Ok(())
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// Chunks as sentence-transformers' rows give them (scripts/oracle/late_chunks.py).
fn late_chunks(path: &Path, case: &Case) -> Result<(), Failed> {
    let embedder = Embedder::open(path)?;
    let texts = golden::late_texts("minilm");
    let (mut vectors, mut empty) = (0, 0);
    for text in &texts {
        let options = Options::new().max_tokens(512);
        let prepared = embedder.model().prepare(&Input::new(text.text.as_str()), &options)?;
        check(prepared.ids == text.ids, || format!("{:?}: {:?}", text.text, prepared.ids))?;
        let ranges = text.chunks.iter().map(|chunk| chunk.bytes[0]..chunk.bytes[1]).collect();
        let request = Request::new([text.text.as_str()]).with(options);
        let chunks = embedder.embed_late_chunks(request, vec![ranges])?.remove(0)?;
        check(chunks.len() == text.chunks.len(), || format!("{:?}: {} chunks", text.text, chunks.len()))?;
        for (got, wanted) in chunks.iter().zip(&text.chunks) {
            match (&got.embedding, &wanted.embedding) {
                (Ok(got), Some(vector)) => {
                    check(got.tokens == wanted.tokens, || {
                        format!("{:?}: {} tokens instead of {}", wanted.bytes, got.tokens, wanted.tokens)
                    })?;
                    let cosine = oracle::cosine(&got.vector, vector);
                    check(cosine >= case.minimum, || format!("{:?}: cosine {cosine}", wanted.bytes))?;
                    vectors += 1;
                }
                (Err(_), None) => empty += 1,
                (got, _) => return Err(format!("{:?}: {got:?}", wanted.bytes).into()),
            }
        }
    }
    check(vectors >= 14 && empty >= 1, || format!("{vectors} golden chunks, {empty} empty"))
}

fn golden_ids(path: &Path, case: &Case) -> Result<(), Failed> {
    let model = Model::open(path)?;
    let texts = golden::texts(case.golden);
    check(texts.len() == 71, || format!("{} golden texts", texts.len()))?;
    for text in texts {
        let prepared = model.prepare(&Input::new(text.input()), &Options::new())?;
        check(prepared.ids == text.ids, || {
            format!("{:?}: {:?} instead of {:?}", text.text, prepared.ids, text.ids)
        })?;
    }
    Ok(())
}

fn golden_vectors(path: &Path, case: &Case, level: Level) -> Result<(), Failed> {
    let embedder = Embedder::builder().level(level).open(path)?;
    let texts = golden::texts(case.golden);
    let embeddings = embedder.embed(texts.iter().map(Golden::input))?;
    let cosines =
        texts.iter().zip(&embeddings).map(|(text, got)| oracle::cosine(&got.vector, &text.embedding));
    let what = format!("{} at {level}: cosines to the reference", case.file);
    within(&what, &cosines.collect::<Vec<_>>(), case.mean, case.minimum)
}

/// What the integers and bf16 cost: each layout against exact products over the same decoded weights, and
/// against the reference. bf16 is what AMX multiplies; where there is no AMX, its order of summation is
/// computed by other instructions.
fn arithmetic(path: &Path, golden: &str, pooling: Pooling, case: Option<&Case>) -> Result<(), Failed> {
    let gguf = Gguf::open(path)?;
    let team = Team::new(0);
    let best = Level::available().last().and_then(Kernels::of).ok_or("every machine has a level")?;
    let model = Model::open(path)?;
    let texts = golden::texts(golden);
    // Most are short; some hundred tokens together go other ways.
    let long = texts.chunks(6).map(|some| some.iter().map(|text| text.input() + "\n").collect());
    let inputs = texts.iter().map(|text| text.input()).chain(long);
    let prepared = inputs.map(|input| Ok(model.prepare(&Input::new(input), &Options::new())?.ids));
    let ids: Vec<Vec<u32>> = prepared.collect::<Result<_, Failed>>()?;
    let vectors = |layout: Layout| -> Result<Vec<Vec<f32>>, Failed> {
        let kernels = Box::leak(Box::new(best.quantised_as(layout)));
        let encoder = Encoder::load(&gguf, kernels, &team)?;
        let mut workspace = Workspace::new();
        let one = |ids: &Vec<u32>| {
            let batch: Batch = [ids.as_slice()].into_iter().collect();
            encoder.forward(&team, &batch, pooling, &mut workspace)
        };
        Ok(ids.iter().map(one).collect())
    };
    let exact = vectors(Layout::F32)?;
    for (layout, mean, minimum) in [(Layout::I16, 0.99998, 0.9998), (Layout::Bf16, 0.99995, 0.9995)] {
        let got = vectors(layout)?;
        let what = format!("{} by {}", path.display(), layout.name());
        let cosines: Vec<f64> =
            got.iter().zip(&exact).map(|(got, exact)| oracle::cosine(got, exact)).collect();
        let (golden, joined) = cosines.split_at(texts.len());
        within(&format!("{what}, to exact arithmetic"), golden, mean, minimum)?;
        within(&format!("{what}, to exact arithmetic, joined"), joined, mean, minimum)?;
        if let Some(case) = case {
            let pairs = got.iter().zip(&texts).map(|(got, text)| oracle::cosine(got, &text.embedding));
            within(
                &format!("{what}, to the reference"),
                &pairs.collect::<Vec<_>>(),
                case.mean,
                case.minimum,
            )?;
        }
    }
    Ok(())
}

/// Says the mean and the smallest of some cosines, and refuses those below what is asked for.
fn within(what: &str, cosines: &[f64], least_mean: f64, least: f64) -> Result<(), Failed> {
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let minimum = cosines.iter().copied().fold(1.0, f64::min);
    println!("{what}: mean {mean:.7}, minimum {minimum:.7}");
    check(mean >= least_mean && minimum >= least, || {
        format!("{what}: mean {mean:.7} (at least {least_mean}), minimum {minimum:.7} (at least {least})")
    })
}

fn sts(path: &Path, case: &Case) -> Result<(), Failed> {
    let embedder = Embedder::open(path)?;
    for (part, wanted) in golden::STS_PARTS.iter().zip(case.sts) {
        let pairs = golden::sts(part);
        let texts = pairs.iter().flat_map(|pair| [pair.first.as_str(), pair.second.as_str()]);
        let embeddings = embedder.embed(texts)?;
        let cosines: Vec<f64> =
            embeddings.chunks_exact(2).map(|pair| oracle::cosine(&pair[0].vector, &pair[1].vector)).collect();
        let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
        let spearman = oracle::spearman(&cosines, &scores);
        println!("{}: {part} {spearman:.5}, reference {wanted:.5}", case.file);
        check((spearman - wanted).abs() <= 0.002, || {
            format!("{part}: Spearman {spearman:.5}, reference {wanted:.5}")
        })?;
    }
    Ok(())
}

/// The same text alone, in any batch, in any order, under any number of threads: the same bits.
fn batches(path: &Path, case: &Case) -> Result<(), Failed> {
    let texts: Vec<String> =
        golden::texts(case.golden).iter().take(70).step_by(3).map(Golden::input).collect();
    let one = Embedder::builder().threads(1).open(path)?;
    let three = Embedder::builder().threads(3).open(path)?;
    let together = three.embed(&texts)?;
    let reversed = one.embed(texts.iter().rev())?;
    for (index, text) in texts.iter().enumerate() {
        let alone = one.embed_one(text)?;
        check(alone == together[index], || format!("{text:?} differs in a batch"))?;
        check(alone == reversed[texts.len() - 1 - index], || format!("{text:?} differs in another order"))?;
    }
    Ok(())
}

/// gemma3 with K-quants: no reference stack, so a naive forward pass in f64 over the decoded weights.
fn naive_pass(path: &Path) -> Result<(), Failed> {
    let gguf = Gguf::open(path)?;
    let texts =
        ["The quick brown fox jumps over the lazy dog.", "def f(x):\n    return x ** 2", "Привет, как дела?"];
    for pooling in [Pooling::Mean, Pooling::Last] {
        let embedder = Embedder::builder().pooling(pooling).open(path)?;
        for text in texts {
            let ids = embedder.model().prepare(&Input::new(text), &Options::new())?.ids;
            let wanted = match pooling {
                Pooling::Mean => naive::mean_pooled(&gguf, &ids),
                _ => naive::last_pooled(&gguf, &ids),
            };
            let cosine = oracle::cosine(&embedder.embed_one(text)?.vector, &wanted);
            println!("gemma-3-270m, {pooling}, {} tokens: cosine {cosine:.9}", ids.len());
            check(cosine >= 0.9999, || format!("{text:?}, {pooling}: cosine {cosine}"))?;
        }
    }
    Ok(())
}

fn no_pooling(path: &Path) -> Result<(), Failed> {
    match Embedder::open(path) {
        Ok(_) => Err("a file that states no pooling was opened without one".into()),
        Err(error) => check(error.to_string().contains("--pooling mean"), || error.to_string()),
    }
}

fn missing_heads(path: &Path) -> Result<(), Failed> {
    let warnings = Model::open(path)?.warnings().concat();
    check(warnings.contains("dense_2"), || format!("the warning is {warnings:?}"))
}

/// The prompts that the table gives are those of the golden texts.
fn prompts(path: &Path) -> Result<(), Failed> {
    let model = Model::open(path)?;
    let cases = [
        (Options::new().task("query".parse()?), None, "task: search result | query: "),
        (Options::new().task("document".parse()?), None, "title: none | text: "),
        (
            Options::new().task("document".parse()?),
            Some("Workshop manual"),
            "title: Workshop manual | text: ",
        ),
        (Options::new().task("document".parse()?), Some("  "), "title: none | text: "),
        (Options::new(), Some(""), ""),
        (Options::new().task("question-answering".parse()?), None, "task: question answering | query: "),
        (Options::new().task("fact-checking".parse()?), None, "task: fact checking | query: "),
        (Options::new().task("classification".parse()?), None, "task: classification | query: "),
        (Options::new().task("clustering".parse()?), None, "task: clustering | query: "),
        (Options::new().task("similarity".parse()?), None, "task: sentence similarity | query: "),
        (Options::new().task("code-retrieval".parse()?), None, "task: code retrieval | query: "),
        (Options::new().task("custom:legal advice".parse()?), None, "task: legal advice | query: "),
    ];
    for (options, title, prompt) in cases {
        let mut input = Input::new("some text");
        if let Some(title) = title {
            input = input.title(title);
        }
        let by_task = model.prepare(&input, &options)?;
        let by_hand = model.prepare(&Input::new(format!("{prompt}some text")), &Options::new())?;
        check(by_task == by_hand, || format!("{options:?} does not give {prompt:?}"))?;
    }
    let embedder = Embedder::open(path)?;
    // A title alone makes a document, of the same space as every document.
    let titled = Input::new("some text").title("Workshop manual");
    let document = Options::new().task("document".parse()?);
    check(model.prepare(&titled, &Options::new())? == model.prepare(&titled, &document)?, || {
        "title alone".to_owned()
    })?;
    let space = embedder.fingerprint_of(&titled, &Options::new())?;
    check(space == embedder.fingerprint(&document)?, || "a titled text has another space".to_owned())?;
    check(space != embedder.fingerprint(&Options::new())?, || "the prompt does not count".to_owned())?;
    let sizes = [Options::new(), Options::new().dimensions(256), Options::new().dimensions(128)];
    let names: Vec<_> =
        sizes.iter().map(|options| embedder.fingerprint(options)).collect::<Result<_, _>>()?;
    check(names[0] != names[1] && names[1] != names[2], || "the size does not count".to_owned())?;
    let whole = embedder.embed(Request::new(["cut me"]))?;
    let cut = embedder.embed(Request::new(["cut me"]).dimensions(256))?;
    check(cut[0].vector.len() == 256, || "not 256 values".to_owned())?;
    let likeness = oracle::cosine(&whole[0].vector[..256], &cut[0].vector);
    check((likeness - 1.0).abs() < 1e-6, || format!("the cut vector points elsewhere: {likeness}"))?;
    let norm = cut[0].vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    check((norm - 1.0).abs() < 1e-6, || format!("not of unit length: {norm}"))?;
    blank_texts(&embedder)
}
