//! The `narrows` binary.

fn main() {}
