#![no_main]

use flurry_fuzz::{archive, pace::watched};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| watched(bytes, archive::check));
