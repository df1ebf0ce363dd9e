#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| highwater_corpus::run("adopted_metadata", input));
