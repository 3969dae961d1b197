//! Local hour of a session: the time-zone id as the device sent it, against
//! the tz database that is compiled in. Never the host's: replays must agree.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Version of the compiled tz database. Part of every plan id.
pub const TZDATA_VERSION: &str = chrono_tz::IANA_TZDB_VERSION;

/// A zone that has a local time.
#[derive(Debug, Clone, Copy)]
pub enum Zone {
    /// Of the compiled database.
    Named(Tz),
    /// Seconds east of UTC.
    Fixed(i32),
}

impl Zone {
    /// The zone named `id`; `None` for a name that is neither an IANA id (exact
    /// spelling) nor `GMT` or `UTC` with an optional offset.
    pub fn named(id: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(id).ok()?;
        match text.parse() {
            Ok(zone) => Some(Self::Named(zone)),
            Err(_) => fixed_offset(id).map(Self::Fixed),
        }
    }

    /// Hour of day, 0 to 23, of `ms` (0 to the year 9999).
    pub fn hour(self, ms: i64) -> Option<u8> {
        let seconds = ms.div_euclid(1000);
        let offset = match self {
            Self::Named(zone) => zone_offset(zone, seconds)?,
            Self::Fixed(offset) => offset,
        };
        let local = seconds.checked_add(i64::from(offset))?;
        u8::try_from(local.rem_euclid(86_400) / 3_600).ok()
    }
}

fn zone_offset(zone: Tz, seconds: i64) -> Option<i32> {
    let utc = DateTime::from_timestamp(seconds, 0)?.naive_utc();
    Some(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

/// Seconds east of UTC of `GMT`, `GMT+h`, `GMT+hh`, `GMT+h:mm`, `GMT+hh:mm`
/// and the same with `UTC` or `-`: what Java's `TimeZone` calls a custom id.
fn fixed_offset(id: &[u8]) -> Option<i32> {
    let rest = id
        .strip_prefix(b"GMT")
        .or_else(|| id.strip_prefix(b"UTC"))?;
    let (sign, rest) = match rest {
        [] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [h] => (number(&[*h])?, 0),
        [h, i] => (number(&[*h, *i])?, 0),
        [h, b':', m, n] => (number(&[*h])?, number(&[*m, *n])?),
        [h, i, b':', m, n] => (number(&[*h, *i])?, number(&[*m, *n])?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local_hour(id: &str, ms: i64) -> Option<u8> {
        Zone::named(id.as_bytes())?.hour(ms)
    }

    const NOON: i64 = 1_384_430_400_000; // 2013-11-14T12:00Z

    #[test]
    fn fixed_offsets() {
        for (id, hour) in [
            ("GMT", 12),
            ("UTC", 12),
            ("GMT+3", 15),
            ("GMT+03", 15),
            ("GMT+3:30", 15),
            ("GMT+03:30", 15),
            ("UTC-05:00", 7),
            ("GMT-0:01", 11),
            ("GMT+23:59", 11),
            ("GMT+0", 12),
        ] {
            assert_eq!(local_hour(id, NOON), Some(hour), "{id}");
        }
        for id in [
            "",
            "gmt",
            "GMT+",
            "GMT+24",
            "GMT+1:60",
            "GMT+1:5",
            "GMT+001",
            "GMT+0530",
            "GMT 3",
            "GMT+3 ",
            "UTC+x",
            "+03:00",
            "europe/berlin",
            "Europe/Berlin ",
            "Nowhere/At_All",
        ] {
            assert_eq!(local_hour(id, NOON), None, "{id}");
        }
    }

    #[test]
    fn iana_ids_come_first() {
        // POSIX signs: Etc/GMT+5 is five hours *west*.
        assert_eq!(local_hour("Etc/GMT+5", NOON), Some(7));
        assert_eq!(local_hour("Asia/Kolkata", NOON), Some(17));
        assert_eq!(local_hour("US/Pacific", NOON), Some(4));
        assert_eq!(local_hour("EST5EDT", NOON), Some(7));
    }

    #[test]
    fn daylight_saving_edges() {
        // Berlin leaves summer time on 2013-10-27 at 01:00Z: 02:59:59 is
        // followed by 02:00:00.
        let edge = 1_382_835_600_000;
        assert_eq!(local_hour("Europe/Berlin", edge - 1), Some(2));
        assert_eq!(local_hour("Europe/Berlin", edge), Some(2));
        assert_eq!(local_hour("Europe/Berlin", edge - HOUR), Some(2));
        assert_eq!(local_hour("Europe/Berlin", edge - HOUR - 1), Some(1));
        assert_eq!(local_hour("Europe/Berlin", edge + HOUR), Some(3));
        // New York enters it on 2013-03-10 at 07:00Z: 01:59:59, then 03:00.
        let edge = 1_362_898_800_000;
        assert_eq!(local_hour("America/New_York", edge - 1), Some(1));
        assert_eq!(local_hour("America/New_York", edge), Some(3));
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn the_whole_range_of_times_has_an_hour() {
        for ms in [0, 999, crate::clock::LAST_MS] {
            assert!(local_hour("Africa/Monrovia", ms).is_some());
            assert!(local_hour("GMT-23:59", ms).is_some());
        }
        // Liberia was 44 minutes 30 seconds behind until 1972.
        assert_eq!(
            local_hour("Africa/Monrovia", 44 * 60_000 + 29_000),
            Some(23)
        );
        assert_eq!(local_hour("Africa/Monrovia", 44 * 60_000 + 30_000), Some(0));
    }
}
