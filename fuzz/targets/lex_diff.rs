#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| narrows::fuzzing::lex_diff(input));
