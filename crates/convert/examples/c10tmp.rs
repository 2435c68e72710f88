use connote_convert::{Folder, Model};
use std::{env, fs::File, path::Path};
fn main() {
    let a: Vec<String> = env::args().collect();
    let model = if a[1] == "convert" {
        Folder::open(Path::new(&a[2])).unwrap().model().unwrap()
    } else {
        Model::from_gguf(Path::new(&a[2])).unwrap()
    };
    for n in model.notes() {
        eprintln!("{n}");
    }
    model.write(a[4].parse().unwrap(), &mut File::create(&a[3]).unwrap(), |_| true).unwrap();
}
