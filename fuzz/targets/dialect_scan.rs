#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| narrows::fuzzing::dialect_scan(input));
