#![no_main]

use flurry_fuzz::{decode, pace::watched, seal};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| watched(bytes, decode::check));

// One changed input in sixteen keeps its wrong checksum.
fuzz_mutator!(
    |bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
        match seed % 16 {
            0 => fuzzer_mutate(bytes, size, max_size),
            _ => seal::mutate(&mut bytes[..max_size], size, fuzzer_mutate),
        }
    }
);
