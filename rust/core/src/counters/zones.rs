//! Zones by the fingerprint of their names: devices have few, and looking a
//! name up costs more than everything else about a local hour.

use crate::zone::Zone;

/// Names that are remembered. A power of two; the world has about 600.
const NAMES: usize = 1 << 10;

/// What was looked up last, at the place that its fingerprint chooses.
#[derive(Default)]
pub(super) struct Zones {
    known: Vec<(u128, Option<Zone>)>,
}

impl Zones {
    /// The zone of a name, given with its fingerprint.
    #[inline]
    pub fn get(&mut self, print: u128, name: &[u8]) -> Option<Zone> {
        let place = (print >> 64) as usize % NAMES;
        match self.known.get(place) {
            // Nothing that was looked up has 0, but for one name in 2^94.
            Some((known, zone)) if *known == print && print != 0 => *zone,
            _ => self.look_up(place, print, name),
        }
    }

    #[cold]
    fn look_up(&mut self, place: usize, print: u128, name: &[u8]) -> Option<Zone> {
        let zone = Zone::named(name);
        self.known.resize(NAMES, (0, None));
        if let Some(known) = self.known.get_mut(place) {
            *known = (print, zone);
        }
        zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_384_430_400_000; // 2013-11-14T12:00Z

    #[test]
    fn names_that_share_a_place_take_turns() {
        let mut zones = Zones::default();
        let mut hour = |print, name: &str| {
            let zone = zones.get(print, name.as_bytes());
            zone.and_then(|zone| zone.hour(NOON))
        };
        for _ in 0..3 {
            assert_eq!(hour(7, "Europe/Berlin"), Some(13));
            assert_eq!(hour(7 | 1 << 127, "GMT+2"), Some(14));
            assert_eq!(hour(9, "Nowhere/At_All"), None);
            assert_eq!(hour(0, "UTC"), Some(12));
            assert_eq!(hour(8 << 64, "America/New_York"), Some(7));
        }
    }

    #[test]
    fn what_is_known_is_not_looked_up_again() {
        let mut zones = Zones::default();
        assert!(zones.get(7, b"UTC").is_some());
        assert!(
            zones
                .get(7, b"another name of the same fingerprint")
                .is_some()
        );
        assert!(zones.get(0, b"UTC").is_some());
        assert!(zones.get(0, b"never for 0").is_none());
    }
}
