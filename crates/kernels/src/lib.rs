//! Arithmetic on slices for text embedding, one row of functions per CPU level
