# What is done often. `just` lists it.

default:
    @just --list

# Everything CI checks, but the clean clone
check: fmt lint doc test

fmt:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

test:
    cargo test --profile ci --workspace --all-features

licenses:
    cargo deny check licenses bans sources

# The real models (about 1.7 GB of downloads) into ~/.cache/embed-models
models:
    python3 ../shared/tools/make_models.py

# Fuzz one target: just fuzz gguf_reader 600
fuzz target seconds="60":
    cargo run --release --package connote-testkit --example fuzz_seeds -- fuzz/corpus
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}} -rss_limit_mb=4096

# Model-check the thread team
loom:
    RUSTFLAGS="--cfg loom" cargo test --release --manifest-path crates/threads/loom/Cargo.toml

# Spearman on STS 2015 with one model file
sts model:
    cargo run --release -p connote --example sts -- {{model}}

# Speed of one model file, where its time goes, and its memory
speed model:
    cargo run --release -p connote-cli -- bench model --model {{model}}

# Each kernel at each CPU level, beside the machine's register peak
kernels *options:
    cargo run --release -p connote-cli -- bench kernels {{options}}
