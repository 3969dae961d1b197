#![no_main]

use flurry_fuzz::{pace::watched, plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| watched(bytes, plan::check));
