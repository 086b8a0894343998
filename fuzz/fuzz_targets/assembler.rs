#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgspool::fuzzing::run("assembler", bytes));
