//! Everything there is to run: tests, conformance, benchmarks.

fn main() {}
