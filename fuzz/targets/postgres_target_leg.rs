#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| narrows::fuzzing::postgres_target_leg(input));
