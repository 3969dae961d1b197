#![no_main]

use flurry_fuzz::{engine, pace::watched};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| watched(bytes, engine::check));
