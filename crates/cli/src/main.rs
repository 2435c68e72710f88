//! The connote command.
fn main() {}
