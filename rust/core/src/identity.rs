//! The identity of a session in 64 bits: what the archive's column shows and
//! what deduplication across reports remembers.
//!
//! **Collisions.** Two sessions of one partition that are not the same agree
//! with a chance of 2^-64: a session that meets n remembered ones is taken for
//! a repetition with a chance below n × 2^-64, 1e-13 for the two million that
//! the default plan remembers at most: one session wrongly dropped in 10^13.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// Keyed by one secret of the installation, so that no device can aim at
/// another's fingerprint. The secret is not part of any plan.
#[derive(Clone, Copy)]
pub struct Fingerprints {
    keyed: SipHasher24,
}

impl Fingerprints {
    pub fn new(secret: &[u8; 16]) -> Self {
        Self {
            keyed: SipHasher24::new_with_key(secret),
        }
    }

    /// Of every session of one device: hash what its sessions share only once.
    pub fn device(&self, api_key: &[u8], device_id: &[u8]) -> DeviceFingerprints {
        let mut hasher = self.keyed;
        // Lengths first, or ("ab", "c") would meet ("a", "bc").
        hasher.write(&(api_key.len() as u64).to_be_bytes());
        hasher.write(api_key);
        hasher.write(&(device_id.len() as u64).to_be_bytes());
        hasher.write(device_id);
        DeviceFingerprints { hasher }
    }
}

impl std::fmt::Debug for Fingerprints {
    /// Says nothing: the state is the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprints")
    }
}

/// The fingerprints of one (API key, device id).
#[derive(Clone, Copy)]
pub struct DeviceFingerprints {
    hasher: SipHasher24,
}

impl DeviceFingerprints {
    /// SipHash-2-4 over u64 length · API key · u64 length · device id · i64
    /// session start, all big-endian, as the signed column holds it.
    pub fn session(&self, start_ms: i64) -> i64 {
        let mut hasher = self.hasher;
        hasher.write(&start_ms.to_be_bytes());
        hasher.finish() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_siphash_of_the_documented_bytes() {
        let secret: [u8; 16] = std::array::from_fn(|i| i as u8);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&3_u64.to_be_bytes());
        bytes.extend_from_slice(b"KEY");
        bytes.extend_from_slice(&6_u64.to_be_bytes());
        bytes.extend_from_slice(b"DEVICE");
        bytes.extend_from_slice(&(-5_i64).to_be_bytes());
        let expected = SipHasher24::new_with_key(&secret).hash(&bytes) as i64;
        let prints = Fingerprints::new(&secret);
        assert_eq!(prints.device(b"KEY", b"DEVICE").session(-5), expected);
        assert_ne!(prints.device(b"KEYD", b"EVICE").session(-5), expected);
        assert_ne!(
            Fingerprints::new(&[0; 16])
                .device(b"KEY", b"DEVICE")
                .session(-5),
            expected
        );
    }

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", Fingerprints::new(&[7; 16])), "Fingerprints");
    }
}
