//! Who may post how much: the registry of API keys, and token buckets.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Instant;

use crate::settings::{Rate, Settings, Unknown};
use crate::stats::Outcome;

/// Most buckets of one kind; whoever comes then shares one with all others
/// that do, so that made-up keys and addresses cost no memory.
const MOST: usize = 65_536;

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Bucket {
            tokens: rate.burst,
            at: now,
        }
    }

    fn level(&self, rate: Rate, now: Instant) -> f64 {
        let earned = now.duration_since(self.at).as_secs_f64() * rate.per_second;
        (self.tokens + earned).min(rate.burst)
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.tokens = self.level(rate, now);
        self.at = now;
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}

struct Buckets<K> {
    each: HashMap<K, Bucket>,
    others: Option<Bucket>,
    most: usize,
    swept: Option<Instant>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(most: usize) -> Self {
        Self {
            each: HashMap::new(),
            others: None,
            most,
            swept: None,
        }
    }

    /// `key` is only built where a bucket is made.
    fn take<Q>(&mut self, key: &Q, own: impl FnOnce() -> K, rate: Rate, now: Instant) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(bucket) = self.each.get_mut(key) {
            return bucket.take(rate, now);
        }
        if self.each.len() >= self.most {
            self.sweep(rate, now);
        }
        if self.each.len() >= self.most {
            return self
                .others
                .get_or_insert_with(|| Bucket::full(rate, now))
                .take(rate, now);
        }
        let mut bucket = Bucket::full(rate, now);
        let may = bucket.take(rate, now);
        self.each.insert(own(), bucket);
        may
    }

    /// Forgets those that are full again: they are as good as new. Once a
    /// second at most, for it looks at all of them.
    fn sweep(&mut self, rate: Rate, now: Instant) {
        if self
            .swept
            .is_some_and(|at| now.duration_since(at).as_secs() == 0)
        {
            return;
        }
        self.swept = Some(now);
        self.each
            .retain(|_, bucket| bucket.level(rate, now) < rate.burst);
    }
}

pub(crate) struct Gate {
    apps: RefCell<Buckets<Box<[u8]>>>,
    addresses: RefCell<Buckets<IpAddr>>,
    unknown: RefCell<HashSet<Box<[u8]>>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            apps: RefCell::new(Buckets::new(MOST)),
            addresses: RefCell::new(Buckets::new(MOST)),
            unknown: RefCell::default(),
        }
    }

    /// Before a body is read. IPv6 addresses count by their first 64 bits.
    pub(crate) fn address(
        &self,
        from: IpAddr,
        settings: &Settings,
        now: Instant,
    ) -> Result<(), Outcome> {
        let Some(rate) = settings.address_rate else {
            return Ok(());
        };
        let who = match from.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            v4 => v4,
        };
        let may = self.addresses.borrow_mut().take(&who, || who, rate, now);
        if may { Ok(()) } else { Err(Outcome::Limited) }
    }

    /// Before a readable report is sent.
    pub(crate) fn app(&self, key: &[u8], settings: &Settings, now: Instant) -> Result<(), Outcome> {
        let registered = settings.apps.get(key);
        if registered.is_none() {
            self.stranger(key, settings.unknown)?;
        }
        let Some(rate) = registered.and_then(|app| app.rate).or(settings.key_rate) else {
            return Ok(());
        };
        let may = self.apps.borrow_mut().take(key, || key.into(), rate, now);
        if may { Ok(()) } else { Err(Outcome::Limited) }
    }

    fn stranger(&self, key: &[u8], unknown: Unknown) -> Result<(), Outcome> {
        let most = match unknown {
            Unknown::Accept => return Ok(()),
            Unknown::Refuse => return Err(Outcome::UnknownKey),
            Unknown::Cap(most) => most,
        };
        let mut known = self.unknown.borrow_mut();
        if known.contains(key) {
            return Ok(());
        }
        if known.len() >= most {
            return Err(Outcome::UnknownKey);
        }
        known.insert(key.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 2.0,
        burst: 3.0,
    };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut buckets: Buckets<u32> = Buckets::new(10);
        let mut given = |at: Duration| {
            (0..10)
                .filter(|_| buckets.take(&1, || 1, RATE, start + at))
                .count()
        };
        assert_eq!(given(Duration::ZERO), 3);
        assert_eq!(given(Duration::from_millis(1100)), 2);
        assert_eq!(given(Duration::from_secs(3600)), 3);
    }

    #[test]
    fn made_up_keys_share_one_bucket_and_full_ones_are_forgotten() {
        let start = Instant::now();
        let mut buckets: Buckets<u32> = Buckets::new(4);
        let passed = (0..100)
            .filter(|key| buckets.take(key, || *key, RATE, start))
            .count();
        assert_eq!(passed, 4 + 3);
        assert_eq!(buckets.each.len(), 4);
        let later = start + Duration::from_secs(60);
        assert!(buckets.take(&1000, || 1000, RATE, later));
        assert_eq!(buckets.each.len(), 1);
    }

    #[test]
    fn strangers_are_capped_in_number() {
        let gate = Gate::new();
        let passed = (0..10u8)
            .filter(|n| gate.stranger(&[*n], Unknown::Cap(3)).is_ok())
            .count();
        assert_eq!(passed, 3);
        assert_eq!(gate.stranger(&[0], Unknown::Cap(3)), Ok(()));
        assert_eq!(
            gate.stranger(&[9], Unknown::Refuse),
            Err(Outcome::UnknownKey)
        );
    }
}
