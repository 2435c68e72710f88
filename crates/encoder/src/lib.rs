//! Token ids to embedding rows: transformer architectures as declarations over one block
