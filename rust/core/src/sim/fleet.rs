//! Devices: what each one is, derived from its number, never stored.

use super::ink::Ink;
use super::rng::{Alias, Rng, mix};
use super::settings::Settings;
use crate::report::Text;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Locale and time zone as Java prints them, most common first: also zones that
/// are only offsets, languages without a country and Java's old codes (in, iw).
const PLACES: &[(&str, &str)] = &[
    ("en_US", "America/New_York"),
    ("en_US", "America/Los_Angeles"),
    ("en_US", "America/Chicago"),
    ("en_GB", "Europe/London"),
    ("zh_CN", "Asia/Shanghai"),
    ("ja_JP", "Asia/Tokyo"),
    ("ko_KR", "Asia/Seoul"),
    ("de_DE", "Europe/Berlin"),
    ("fr_FR", "Europe/Paris"),
    ("es_ES", "Europe/Madrid"),
    ("pt_BR", "America/Sao_Paulo"),
    ("ru_RU", "Europe/Moscow"),
    ("it_IT", "Europe/Rome"),
    ("es_MX", "America/Mexico_City"),
    ("en_IN", "Asia/Kolkata"),
    ("tr_TR", "Europe/Istanbul"),
    ("nl_NL", "Europe/Amsterdam"),
    ("en_CA", "America/Toronto"),
    ("en_AU", "Australia/Sydney"),
    ("zh_TW", "Asia/Taipei"),
    ("sv_SE", "Europe/Stockholm"),
    ("pl_PL", "Europe/Warsaw"),
    ("in_ID", "Asia/Jakarta"),
    ("th_TH", "Asia/Bangkok"),
    ("ar_SA", "Asia/Riyadh"),
    ("iw_IL", "Asia/Jerusalem"),
    ("he_", "Asia/Jerusalem"),
    ("en_US", "GMT"),
    ("en_US", "GMT-05:00"),
    ("en_NP", "Asia/Kathmandu"),
    ("no_NO_NY", "Europe/Oslo"),
    ("en", "GMT+05:45"),
];
/// Model, brand, device, product.
const MODELS: &[(&str, &str, &str, &str)] = &[
    ("GT-I9300", "samsung", "m0", "m0xx"),
    ("Nexus 4", "google", "mako", "occam"),
    ("GT-I9100", "samsung", "GT-I9100", "GT-I9100"),
    ("HTC One", "htc", "m7", "m7"),
    ("GT-N7100", "samsung", "t03g", "t03gxx"),
    ("SCH-I535", "Verizon", "d2vzw", "d2vzw"),
    ("SGH-T999", "samsung", "d2tmo", "d2tmo"),
    ("LG-E970", "lge", "geeb", "geeb_att_us"),
    ("Xperia S", "Sony", "LT26i", "LT26i_1257"),
    ("DROID RAZR", "verizon", "cdma_spyder", "spyder"),
    ("Nexus 7", "google", "grouper", "nakasi"),
    ("GT-S5830", "samsung", "GT-S5830", "GT-S5830"),
    ("HTC Desire HD", "htc", "ace", "htc_ace"),
    ("MI 2", "Xiaomi", "aries", "aries"),
    ("Kindle Fire", "Amazon", "D01E", "D01E"),
    ("红米", "Xiaomi", "HM2013023", "HM2013023"),
];
/// Release and build id.
const SYSTEMS: &[(&str, &str)] = &[
    ("4.2.2", "JDQ39"),
    ("4.1.2", "JZO54K"),
    ("4.0.4", "IMM76D"),
    ("2.3.6", "GINGERBREAD"),
    ("4.1.1", "JRO03C"),
    ("2.3.5", "GRJ90"),
    ("4.0.3", "IML74K"),
    ("2.2.1", "FRG83"),
];
const DISTINCT_MODELS: usize = 400;

/// Distributions over devices.
pub struct Fleet {
    devices: u64,
    places: Alias,
    models: Alias,
    systems: Alias,
    protocols: Alias,
    protocol_numbers: Vec<u16>,
}

/// One device.
#[derive(Clone, Copy)]
pub struct Device {
    pub number: u64,
    pub hash: u64,
    /// What its clock shows minus the true time, ms.
    pub clock_error_ms: i64,
    pub locale: &'static [u8],
    pub time_zone: &'static [u8],
    model: usize,
    system: usize,
}

/// The agent inside an app as installed on a device.
#[derive(Clone, Copy)]
pub struct Agent {
    pub protocol: u16,
    pub version: u16,
}

impl Fleet {
    pub fn new(settings: &Settings) -> Self {
        let weights: Vec<f64> = settings
            .protocols
            .iter()
            .map(|(_, w)| f64::from(*w))
            .collect();
        Fleet {
            devices: settings.devices,
            places: Alias::zipf(PLACES.len(), 1.0),
            models: Alias::zipf(DISTINCT_MODELS, 0.9),
            systems: Alias::zipf(SYSTEMS.len(), 0.8),
            protocols: Alias::new(&weights),
            protocol_numbers: settings.protocols.iter().map(|(p, _)| *p).collect(),
        }
    }

    /// A device that uses the app of this rank: popular apps have more of them.
    pub fn user_of(&self, app: u64, rng: &mut Rng) -> u64 {
        let users = (self.devices / (app + 1)).max(50).min(self.devices);
        mix(app, rng.below(users)) % self.devices
    }

    /// A device that nobody has seen before.
    pub fn newcomer(&self, random: u64) -> u64 {
        self.devices + (random >> 1)
    }

    pub fn device(&self, number: u64) -> Device {
        let mut rng = Rng::new(mix(number, 0xDE7));
        let place = PLACES
            .get(self.places.draw(&mut rng))
            .copied()
            .unwrap_or(("", ""));
        Device {
            number,
            hash: rng.next(),
            clock_error_ms: clock_error(&mut rng),
            locale: place.0.as_bytes(),
            time_zone: place.1.as_bytes(),
            model: self.models.draw(&mut rng),
            system: self.systems.draw(&mut rng),
        }
    }

    /// Which agent an app brings to a device.
    pub fn agent(&self, app: u64, device: &Device) -> Agent {
        let mut rng = Rng::new(mix(app, device.hash));
        let index = self.protocols.draw(&mut rng);
        let protocol = self.protocol_numbers.get(index).copied().unwrap_or(26);
        let second = rng.chance(0.4);
        let version = match protocol {
            8 => 30,
            15 if second => 117,
            15 => 121,
            22 => 122,
            24 if second => 131,
            24 => 136,
            25 => 140,
            26 => 148,
            27 => 155,
            29 => 200,
            _ => 216,
        };
        Agent { protocol, version }
    }
}

/// Most clocks are right to seconds; some are off by minutes or hours (wrong
/// zone, set by hand), a few by years (empty battery, tinkering).
fn clock_error(rng: &mut Rng) -> i64 {
    let size = match rng.below(1000) {
        0..=899 => return rng.ms(60_000) - 30_000,
        900..=944 => rng.ms(20 * 60_000),
        945..=984 => (1 + rng.ms(12)) * HOUR + rng.ms(120_000),
        985..=993 => rng.ms(40 * DAY),
        _ => YEAR + rng.ms(3 * YEAR),
    };
    if rng.chance(0.6) { -size } else { size }
}

impl Device {
    pub fn id(self, ink: Ink<'_>) -> Text<'_> {
        ink.hex(b"AND", mix(self.number, 0x1D))
    }

    /// SHA-1 of the IMEI, or what looks like it.
    pub fn imei_digest(self, ink: Ink<'_>) -> &[u8] {
        let mut rng = Rng::new(mix(self.number, 0x1E1));
        let mut digest = [0u8; 20];
        for byte in &mut digest {
            *byte = rng.next() as u8;
        }
        ink.copy(&digest)
    }

    pub fn advertising_id(self, ink: Ink<'_>) -> &[u8] {
        ink.hex(b"38400000-8cf0-11bd-b2", mix(self.number, 0xADD))
    }

    /// The six properties that agents send, most important first.
    pub fn properties<'a>(self, ink: Ink<'a>) -> [(Text<'a>, Text<'a>); 6] {
        let (release, build) = SYSTEMS.get(self.system).copied().unwrap_or(("", ""));
        let (model, brand, device, product): (Text<'a>, Text<'a>, Text<'a>, Text<'a>) =
            match MODELS.get(self.model) {
                Some((model, brand, device, product)) => (
                    model.as_bytes(),
                    brand.as_bytes(),
                    device.as_bytes(),
                    product.as_bytes(),
                ),
                None => {
                    let name = ink.join(&[b"GT-S", ink.decimal(5000 + 7 * self.model as u64)]);
                    (name, b"samsung", name, name)
                }
            };
        [
            (b"device.model", model),
            (b"build.brand", brand),
            (b"build.id", build.as_bytes()),
            (b"version.release", release.as_bytes()),
            (b"build.device", device),
            (b"build.product", product),
        ]
    }

    /// True time at which the device first ran the app, for installs that are
    /// not new: 1 to 300 days before the run.
    pub fn installed_ms(self, app: u64, run_start_ms: i64) -> i64 {
        let mut rng = Rng::new(mix(self.hash, app ^ 0x1257));
        run_start_ms - 6 * DAY - DAY * (1 + rng.ms(300)) - rng.ms(DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_mostly_right() {
        let fleet = Fleet::new(&Settings::default());
        let errors: Vec<i64> = (0..20_000)
            .map(|n| fleet.device(n).clock_error_ms)
            .collect();
        let wrong = errors.iter().filter(|e| e.abs() > 600_000).count();
        assert!((1_300..2_100).contains(&wrong), "{wrong}");
        assert!(errors.iter().any(|e| *e > YEAR) && errors.iter().any(|e| *e < -YEAR));
    }

    #[test]
    fn a_device_is_a_function_of_its_number() {
        let bump = bumpalo::Bump::new();
        let fleet = Fleet::new(&Settings::default());
        let (one, again) = (fleet.device(5), fleet.device(5));
        assert_eq!(one.properties(Ink(&bump)), again.properties(Ink(&bump)));
        assert_eq!(one.installed_ms(3, 0), again.installed_ms(3, 0));
        assert_ne!(one.id(Ink(&bump)), fleet.device(6).id(Ink(&bump)));
    }
}
