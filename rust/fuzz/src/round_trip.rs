//! From bytes to a report and back: nothing is lost, nothing is made up.

use flurry_core::report::Report;
use flurry_core::wire::{self, Limits};

/// A report that was read as it stands is written as it stood; a repaired one is
/// written so that it reads the same without repair.
pub fn check(bytes: &[u8]) {
    let limits = Limits::default();
    let mut report = Report::default();
    if wire::decode(bytes, &limits, &mut report).is_err() {
        return;
    }
    let mut written = Vec::new();
    wire::encode(&report, &mut written);
    if report.repaired_errors == 0 {
        assert_eq!(written, bytes);
        return;
    }
    assert_ne!(written, bytes);
    let mut again = Report::default();
    assert_eq!(wire::decode(&written, &limits, &mut again), Ok(()));
    report.repaired_errors = 0;
    assert_eq!(again, report);
}
