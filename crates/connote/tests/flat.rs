//! Memory of an embedder that has reserved it. Alone in its binary, because other tests' memory would be counted too.
#![cfg(target_os = "linux")]

use connote::{Embedder, Policy, Shape, Tuning};
use testkit::models;

/// KiB of this process that no file backs.
fn anonymous() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("the kernel says it");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn the_longest_texts_take_no_more_memory_once_it_is_reserved() {
    let grown = |reserves: bool| {
        let embedder = Embedder::open(models::builtin()).expect("the committed model opens");
        embedder.set_tuning(Tuning::new().policy(Policy::Fixed(Shape::new(2, 1))));
        embedder.embed_one("a cat").expect("a vector");
        if reserves {
            embedder.reserve();
        }
        let before = anonymous();
        let texts: Vec<String> = (0..64).map(|text| format!("{text} cats and mats ").repeat(100)).collect();
        embedder.embed(&texts).expect("vectors");
        anonymous().saturating_sub(before)
    };
    // The second time the allocator has what the first gave back, so the one that should need it goes first.
    let (without, with) = (grown(false), grown(true));
    assert!(without > 8 << 10, "{without} KiB: two workers with 16 texts of 256 tokens each take more");
    assert!(with < 5 << 10, "{with} KiB more");
}
