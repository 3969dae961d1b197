#![no_main]

use flurry_fuzz::{pace::watched, round_trip, seal};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| watched(bytes, round_trip::check));

fuzz_mutator!(
    |bytes: &mut [u8], size: usize, max_size: usize, _seed: u32| {
        seal::mutate(&mut bytes[..max_size], size, fuzzer_mutate)
    }
);
