//! Reference arithmetic in f64, tiny random models and golden files for connote's tests
