//! Nearest vectors: exact and quantised, saved on disk.
