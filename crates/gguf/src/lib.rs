//! Reading and writing GGUF model files, with every byte checked
