//! What a fleet saw.

use std::time::Duration;

use crate::receipt::Receipt;

const SUB: u32 = 5; // bits: a bucket is 3 % wide
const BUCKETS: usize = 64 << SUB;

/// Counts of one fleet. Every report is stored, dropped or given up in the end.
#[derive(Debug)]
pub struct Tally {
    /// 200 was read.
    pub stored: u64,
    /// Another status was read by an agent that takes any for a delivery: lost.
    pub dropped: u64,
    /// Still on the device after its last try.
    pub given_up: u64,
    pub repeats: u64,
    pub resends: u64,
    /// Other statuses, read by agents that keep the report then.
    pub statuses: u64,
    pub unanswered: u64,
    pub timeouts: u64,
    pub no_connection: u64,
    /// Why the last connection was none.
    pub trouble: Option<String>,
    answered: Vec<(u64, Option<Receipt>)>,
    lost: Vec<u64>,
    micros: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            stored: 0,
            dropped: 0,
            given_up: 0,
            repeats: 0,
            resends: 0,
            statuses: 0,
            unanswered: 0,
            timeouts: 0,
            no_connection: 0,
            trouble: None,
            answered: Vec::new(),
            lost: Vec::new(),
            micros: vec![0; BUCKETS],
        }
    }
}

impl Tally {
    pub(super) fn stored(&mut self, number: u64, receipt: Option<Receipt>, after: Duration) {
        self.stored += 1;
        self.answered.push((number, receipt));
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.micros[bucket(micros)] += 1;
    }

    pub(super) fn dropped(&mut self, number: u64) {
        self.dropped += 1;
        self.lost.push(number);
    }

    pub(super) fn given_up(&mut self, number: u64) {
        self.given_up += 1;
        self.lost.push(number);
    }

    pub(super) fn no_connection(&mut self, why: &std::io::Error) {
        self.no_connection += 1;
        self.trouble = Some(why.to_string());
    }

    /// Numbers of the reports that were stored since the last call, and where
    /// the log has them, if the portal said so.
    pub fn take_stored(&mut self) -> Vec<(u64, Option<Receipt>)> {
        std::mem::take(&mut self.answered)
    }

    /// Numbers of those that were dropped or given up since the last call.
    pub fn take_lost(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.lost)
    }

    /// The time from connecting to 200 within which this share was answered,
    /// in seconds; 0 before any was.
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (share * self.stored as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.micros.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(index) as f64 / 1e6;
            }
        }
        0.0
    }
}

fn bucket(value: u64) -> usize {
    let width = 64 - value.leading_zeros();
    let shift = width.saturating_sub(SUB + 1);
    let index = (u64::from(shift) << SUB) + (value >> shift);
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

fn upper(index: usize) -> u64 {
    let shift = (index >> SUB).saturating_sub(1) as u32;
    let mantissa = (index - ((shift as usize) << SUB)) as u64;
    (mantissa + 1) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_values_and_is_narrow() {
        for value in (0..2000).chain([65_535, 1_000_000, 15_000_000]) {
            let above = upper(bucket(value));
            assert!(value < above, "{value} {above}");
            assert!(above as f64 <= (value + 1) as f64 * 1.04, "{value} {above}");
        }
    }

    #[test]
    fn quantiles() {
        let mut tally = Tally::default();
        for millis in 1..=1000 {
            tally.stored(millis, None, Duration::from_millis(millis));
        }
        for (share, seconds) in [(0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
            assert!((tally.quantile(share) / seconds - 1.0).abs() < 0.05);
        }
        assert_eq!(tally.take_stored().len(), 1000);
    }
}
