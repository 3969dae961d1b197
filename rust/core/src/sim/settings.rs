//! What a simulated fleet is made of, and the checks before it starts.

use std::fmt;

/// Every protocol that has been seen, with its weight in a mix that resembles 2013.
pub const PROTOCOLS_2013: &[(u16, u32)] = &[
    (8, 20),
    (15, 50),
    (22, 240),
    (24, 50),
    (25, 90),
    (26, 440),
    (27, 80),
    (29, 10),
    (30, 20),
];

/// Wednesday, 20 November 2013, 12:00 UTC: the clock of `Settings::default`.
pub const NOVEMBER_2013_MS: i64 = 1_384_948_800_000;

/// Everything that decides which bytes a fleet sends.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// Apps, Zipf-distributed with exponent 1.1: 1 to 400,000.
    pub apps: u32,
    /// Devices in the field when the run begins: 1 to 10 billion. New ones join.
    pub devices: u64,
    /// Virtual time of the first report, ms since the epoch.
    pub start_ms: i64,
    /// Virtual time advances by 1000/rate ms with each report: 1 to 10,000,000.
    pub rate: u32,
    /// (protocol, weight); only protocols of `PROTOCOLS_2013`.
    pub protocols: Vec<(u16, u32)>,
    /// Share of reports that cannot be read, or only after a repair: 0 to 1.
    pub malformed: f64,
    /// Share of readable or nearly readable reports that mean harm: 0 to 1.
    pub hostile: f64,
}

impl Default for Settings {
    /// The workload that `docs/simulator.md` describes, without damage.
    fn default() -> Self {
        Settings {
            seed: 1,
            apps: 400_000,
            devices: 10_000_000,
            start_ms: NOVEMBER_2013_MS,
            rate: 20_000,
            protocols: PROTOCOLS_2013.to_vec(),
            malformed: 0.0,
            hostile: 0.0,
        }
    }
}

/// A setting that cannot be used: its name and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    pub setting: &'static str,
    pub reason: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.reason)
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// # Errors
    /// The first setting that is out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let fail = |setting, reason: String| Err(SettingsError { setting, reason });
        if !(1..=400_000).contains(&self.apps) {
            return fail("apps", format!("{} is not between 1 and 400000", self.apps));
        }
        if !(1..=10_000_000_000).contains(&self.devices) {
            return fail(
                "devices",
                format!("{} is not between 1 and 10000000000", self.devices),
            );
        }
        if !(0..=4_102_444_800_000).contains(&self.start_ms) {
            return fail(
                "start",
                format!("{} ms is not between 1970 and 2100", self.start_ms),
            );
        }
        if !(1..=10_000_000).contains(&self.rate) {
            return fail(
                "rate",
                format!("{} is not between 1 and 10000000", self.rate),
            );
        }
        for (setting, share) in [("malformed", self.malformed), ("hostile", self.hostile)] {
            if !(0.0..=1.0).contains(&share) {
                return fail(setting, format!("{share} is not between 0 and 1"));
            }
        }
        if self.malformed + self.hostile > 1.0 {
            return fail(
                "hostile",
                "malformed and hostile together exceed 1".to_string(),
            );
        }
        for (protocol, _) in &self.protocols {
            if !PROTOCOLS_2013.iter().any(|(known, _)| known == protocol) {
                return fail(
                    "protocols",
                    format!("{protocol} is no protocol of a known agent"),
                );
            }
        }
        if self.protocols.iter().all(|(_, weight)| *weight == 0) {
            return fail("protocols", "no protocol has a weight above 0".to_string());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be() {
        assert_eq!(Settings::default().check(), Ok(()));
        let refused = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().setting
        };
        assert_eq!(refused(|s| s.apps = 0), "apps");
        assert_eq!(refused(|s| s.devices = 0), "devices");
        assert_eq!(refused(|s| s.start_ms = -1), "start");
        assert_eq!(refused(|s| s.rate = 0), "rate");
        assert_eq!(refused(|s| s.malformed = f64::NAN), "malformed");
        assert_eq!(refused(|s| s.hostile = 1.5), "hostile");
        assert_eq!(
            refused(|s| (s.malformed, s.hostile) = (0.6, 0.6)),
            "hostile"
        );
        assert_eq!(refused(|s| s.protocols = vec![(23, 1)]), "protocols");
        assert_eq!(refused(|s| s.protocols = vec![(26, 0)]), "protocols");
        assert_eq!(refused(|s| s.protocols = vec![]), "protocols");
    }
}
