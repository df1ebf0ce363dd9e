#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| highwater_corpus::run("group_log", input));
