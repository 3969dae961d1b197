//! Time as docs/counters.md defines it: what the device says, corrected by what
//! Kafka says, never by what this machine says.

/// Length of a bucket.
pub const HOUR_MS: i64 = 3_600_000;
/// The last millisecond that is counted as itself: the end of the year 9999.
pub const LAST_MS: i64 = 253_402_300_799_999;
/// No install is older: the first agent is of 2008.
const FIRST_INSTALL_MS: i64 = 1_199_145_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Protocols after it spool whole reports, so that an old creation time proves nothing.
const LAST_PROTOCOL_BUILT_AT_SEND: u16 = 26;

/// The `[time]` section of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRules {
    /// A device clock further off than this is corrected, in ms.
    pub max_skew_ms: i64,
    /// Older sessions count in their receive hour.
    pub max_age_ms: i64,
    /// Sessions further ahead count in their receive hour.
    pub max_ahead_ms: i64,
}

/// Where a session counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectiveTime {
    /// ms since the epoch, never negative.
    pub ms: i64,
    /// Whether the receive time had to stand in for an impossible start.
    pub suspect: bool,
}

/// Receive time of a Kafka timestamp: −1 ("none") and other nonsense is clamped.
pub fn receive_ms(kafka_timestamp_ms: i64) -> i64 {
    kafka_timestamp_ms.clamp(0, LAST_MS)
}

/// Hours since the epoch of a receive or effective time.
pub fn bucket(ms: i64) -> u32 {
    u32::try_from(ms.max(0) / HOUR_MS).unwrap_or(u32::MAX)
}

impl TimeRules {
    /// What to add to the device's times: minus the skew where the clock is
    /// plainly wrong.
    pub fn shift(&self, created_ms: i64, receive_ms: i64, protocol: u16) -> i64 {
        let skew = created_ms.saturating_sub(receive_ms);
        let ahead = skew > self.max_skew_ms;
        let behind = skew < -self.max_skew_ms && protocol <= LAST_PROTOCOL_BUILT_AT_SEND;
        if ahead || behind {
            skew.saturating_neg()
        } else {
            0
        }
    }

    /// The effective time of a session that began at `start_ms` by its device.
    pub fn effective(&self, start_ms: i64, shift: i64, receive_ms: i64) -> EffectiveTime {
        let corrected = start_ms.saturating_add(shift);
        let earliest = receive_ms.saturating_sub(self.max_age_ms).max(0);
        if corrected >= earliest && corrected <= self.latest(receive_ms) {
            EffectiveTime {
                ms: corrected,
                suspect: false,
            }
        } else {
            EffectiveTime {
                ms: receive_ms,
                suspect: true,
            }
        }
    }

    /// Day of the install as (year, month, day), where it can be true.
    pub fn install_day(
        &self,
        first_session_ms: i64,
        shift: i64,
        receive_ms: i64,
    ) -> Option<(i64, u32, u32)> {
        let ms = first_session_ms.saturating_add(shift);
        (FIRST_INSTALL_MS..=self.latest(receive_ms))
            .contains(&ms)
            .then(|| civil(ms))
    }

    fn latest(&self, receive_ms: i64) -> i64 {
        receive_ms.saturating_add(self.max_ahead_ms).min(LAST_MS)
    }
}

/// UTC date of a time since 1970, proleptic Gregorian.
pub fn civil(ms: i64) -> (i64, u32, u32) {
    // Days from 0000-03-01, so that the leap day is the last of its year.
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: TimeRules = TimeRules {
        max_skew_ms: 600_000,
        max_age_ms: 2_592_000_000,
        max_ahead_ms: 600_000,
    };
    const NOW: i64 = 1_384_387_200_000; // 2013-11-14T00:00Z

    #[test]
    fn receive_times_are_clamped() {
        assert_eq!(receive_ms(-1), 0);
        assert_eq!(receive_ms(i64::MIN), 0);
        assert_eq!(receive_ms(i64::MAX), LAST_MS);
        assert_eq!(bucket(NOW), 384_552);
        assert_eq!(bucket(NOW - 1), 384_551);
        assert_eq!(bucket(LAST_MS), 70_389_527);
    }

    #[test]
    fn a_clock_ahead_is_corrected_for_every_protocol() {
        for protocol in [8, 26, 27, 30] {
            assert_eq!(RULES.shift(NOW + 600_000, NOW, protocol), 0);
            assert_eq!(RULES.shift(NOW + 600_001, NOW, protocol), -600_001);
        }
    }

    #[test]
    fn a_clock_behind_is_corrected_up_to_protocol_26_only() {
        assert_eq!(RULES.shift(NOW - 600_000, NOW, 26), 0);
        assert_eq!(RULES.shift(NOW - 600_001, NOW, 26), 600_001);
        assert_eq!(RULES.shift(NOW - 600_001, NOW, 27), 0);
    }

    #[test]
    fn the_window_includes_both_ends() {
        let at = |start: i64| RULES.effective(start, 0, NOW);
        let own = |ms| EffectiveTime { ms, suspect: false };
        let received = EffectiveTime {
            ms: NOW,
            suspect: true,
        };
        assert_eq!(at(NOW + 600_000), own(NOW + 600_000));
        assert_eq!(at(NOW + 600_001), received);
        assert_eq!(at(NOW - 2_592_000_000), own(NOW - 2_592_000_000));
        assert_eq!(at(NOW - 2_592_000_001), received);
    }

    #[test]
    fn extremes_saturate() {
        let shift = RULES.shift(i64::MIN, NOW, 8);
        assert_eq!(shift, i64::MAX);
        assert!(RULES.effective(i64::MIN, shift, NOW).suspect);
        assert!(RULES.effective(i64::MAX, shift, NOW).suspect);
        assert_eq!(RULES.shift(i64::MAX, NOW, 8), NOW - i64::MAX);
        // No time before 1970, however old a session may be.
        assert!(RULES.effective(-1, 0, 1_000).suspect);
        assert!(!RULES.effective(0, 0, 1_000).suspect);
        assert!(RULES.effective(LAST_MS + 1, 0, LAST_MS).suspect);
    }

    #[test]
    fn install_days() {
        let day = |first| RULES.install_day(first, 0, NOW);
        assert_eq!(day(1_199_145_600_000), Some((2008, 1, 1)));
        assert_eq!(day(1_199_145_599_999), None);
        assert_eq!(day(NOW + 600_000), Some((2013, 11, 14)));
        assert_eq!(day(NOW + 600_001), None);
        assert_eq!(day(0), None);
        assert_eq!(RULES.install_day(NOW, -DAY_MS, NOW), Some((2013, 11, 13)));
    }

    #[test]
    fn dates_agree_with_chrono() {
        use chrono::{DateTime, Datelike};
        for day in (0..LAST_MS / DAY_MS).step_by(17) {
            let date = DateTime::from_timestamp_millis(day * DAY_MS).unwrap();
            assert_eq!(
                civil(day * DAY_MS + 1),
                (i64::from(date.year()), date.month(), date.day())
            );
        }
    }
}
