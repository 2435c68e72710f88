//! Text to token ids as the model authors do it, from the tables in a GGUF file
