//! throwaway
use connote::encoder::{Batch, Encoder, Pooling, Work, Workspace};
use connote::kernels::{Kernels, Level};
use connote::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let which = std::env::args().nth(2).unwrap_or("long".into());
    let n: usize = std::env::args().nth(3).map_or(1, |a| a.parse().unwrap());
    let model = Model::open(&path).unwrap();
    let kernels = Kernels::of(Level::chosen().unwrap()).unwrap();
    let team = threads::Team::new(n);
    let encoder = Encoder::load(model.gguf(), kernels, &team).unwrap();
    let base = "Machine learning is a field of study concerned with algorithms that improve from data. It includes supervised methods, where examples carry labels, and unsupervised methods, which look for structure without them. Deep networks learn layered representations of text, images and sound from raw input.";
    let (text, count, per) = match which.as_str() {
        "long" => (base.to_string(), 27, 9),
        "short" => ("Machine learning is a subset of artificial intelligence".into(), 96, 46),
        "xlong" => (format!("{base} ").repeat(8), 2, 1),
        "one" => ("Machine learning is a subset of artificial intelligence".into(), 20, 1),
        "onelong" => (base.to_string(), 20, 1),
        _ => panic!(),
    };
    let mut ws = Workspace::new();
    let texts: Vec<Vec<u32>> = (0..count)
        .map(|i| model.prepare(&Input::new(format!("{i} {text}")), &Options::new()).unwrap().ids)
        .collect();
    for round in 0..4 {
        ws.profile().start();
        let t = std::time::Instant::now();
        let mut tokens = 0;
        for chunk in texts.chunks(per) {
            let b: Batch = chunk.iter().map(|v| v.as_slice()).collect();
            tokens += b.tokens();
            encoder.forward(&team, &b, Pooling::Mean, &mut ws);
        }
        let total = t.elapsed().as_secs_f64();
        if round == 0 {
            continue;
        }
        print!(
            "{:.1} ms, {:.0} tok/s, GMAC/s in products {:.1} | ",
            total * 1e3,
            tokens as f64 / total,
            ws.profile().macs() as f64 / ws.profile().spent(Work::Products).as_secs_f64() / 1e9
        );
        for w in Work::ALL {
            print!("{} {:.1}%  ", w.name(), 100.0 * ws.profile().spent(w).as_secs_f64() / total);
        }
        println!();
    }
}
