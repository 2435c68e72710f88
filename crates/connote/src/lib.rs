//! Text embeddings on ordinary CPUs: a GGUF file in, vectors out
