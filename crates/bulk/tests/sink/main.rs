//! Files of vectors: what is written is read back, and parts that are joined are the file that was never cut.

mod files;
mod joined;
mod lines;
mod refused;
mod round_trip;
