//! Randomness that is the same on every machine: SplitMix64, and only IEEE
//! basic arithmetic (library `ln`/`exp` may differ from one libm to another).

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Rng(u64);

/// A hash of two numbers: how attributes are derived without being stored.
pub fn mix(a: u64, b: u64) -> u64 {
    Rng(a ^ b.wrapping_mul(0xD6E8_FEB8_6659_FD93)).next()
}

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 for `n` = 0. (Bias below 2^-32 for every use here.)
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A number below `n` ms.
    pub fn ms(&mut self, n: i64) -> i64 {
        self.below(n.max(0) as u64) as i64
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Exponentially distributed, at most 37 times the mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -ln(1.0 - self.unit()) * mean
    }

    /// Between `low` and `high` (both > 0), every factor equally likely.
    pub fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        low / exp_neg(self.unit() * ln(high / low))
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> Option<&'t T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}

/// Natural logarithm of a positive, normal number, to about 1e-13.
pub fn ln(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7FF) as i64 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    // ln m = 2 atanh t, with t in [0, 1/3)
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let mut sum = 0.0;
    let mut term = 25.0;
    while term > 0.0 {
        sum = sum * t2 + 1.0 / term;
        term -= 2.0;
    }
    exponent as f64 * LN_2 + 2.0 * t * sum
}

/// e^-x for 0 ≤ x < 700, to about 1e-14.
pub fn exp_neg(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let halvings = (x / LN_2) as u64;
    let rest = x - halvings as f64 * LN_2;
    let mut sum = 1.0;
    let mut n = 18.0;
    while n > 0.0 {
        sum = 1.0 - rest / n * sum;
        n -= 1.0;
    }
    sum * f64::from_bits((1023u64.saturating_sub(halvings)) << 52)
}

/// A discrete distribution that is drawn from with one random number and one
/// memory access (Walker's alias method).
#[derive(Debug, Clone)]
pub struct Alias {
    cells: Vec<(u32, u32)>,
}

impl Alias {
    /// `weights` must not be empty; negative weights count as 0.
    pub fn new(weights: &[f64]) -> Self {
        let n = weights.len().max(1);
        let total: f64 = weights.iter().map(|w| w.max(0.0)).sum();
        let scale = if total > 0.0 { n as f64 / total } else { 0.0 };
        let mut share: Vec<f64> = weights.iter().map(|w| w.max(0.0) * scale).collect();
        share.resize(n, 0.0);
        let mut cells: Vec<(u32, u32)> = (0..n).map(|i| (u32::MAX, i as u32)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|&i| share.get(i).is_some_and(|s| *s < 1.0));
        while let (Some(&under), Some(&over)) = (small.last(), large.last()) {
            small.pop();
            let have = share.get(under).copied().unwrap_or(0.0);
            if let Some(cell) = cells.get_mut(under) {
                *cell = ((have * 4_294_967_296.0) as u32, over as u32);
            }
            if let Some(rest) = share.get_mut(over) {
                *rest -= 1.0 - have;
                if *rest < 1.0 {
                    large.pop();
                    small.push(over);
                }
            }
        }
        Alias { cells }
    }

    /// Weights 1/rank^s of `n` ranks.
    pub fn zipf(n: usize, s: f64) -> Self {
        let weights: Vec<f64> = (1..=n.max(1)).map(|i| exp_neg(s * ln(i as f64))).collect();
        Alias::new(&weights)
    }

    pub fn draw(&self, rng: &mut Rng) -> usize {
        let random = rng.next();
        let column = ((random >> 32) * self.cells.len() as u64) >> 32;
        match self.cells.get(column as usize) {
            Some(&(threshold, _)) if (random as u32) < threshold => column as usize,
            Some(&(_, other)) => other as usize,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_exponential_agree_with_the_library() {
        for x in [1e-9, 0.1, 0.999, 1.0, 1.5, 2.0, 3.0, 1e5, 4e17] {
            assert!((ln(x) - x.ln()).abs() < 1e-11, "{x}");
        }
        for x in [0.0, 0.1, 0.69, 0.7, 1.0, 14.2, 40.0] {
            assert!((exp_neg(x) / (-x).exp() - 1.0).abs() < 1e-11, "{x}");
        }
    }

    #[test]
    fn alias_draws_follow_the_weights() {
        let table = Alias::new(&[1.0, 0.0, 3.0, 4.0]);
        let mut rng = Rng::new(7);
        let mut seen = [0u32; 4];
        for _ in 0..80_000 {
            seen[table.draw(&mut rng)] += 1;
        }
        assert_eq!(seen[1], 0);
        for (got, want) in seen.iter().zip([10_000.0, 0.0, 30_000.0, 40_000.0]) {
            assert!((f64::from(*got) - want).abs() < 800.0, "{seen:?}");
        }
    }

    #[test]
    fn the_first_of_400_000_apps_has_a_tenth() {
        let apps = Alias::zipf(400_000, 1.1);
        let mut rng = Rng::new(1);
        let first = (0..100_000).filter(|_| apps.draw(&mut rng) == 0).count();
        assert!((11_000..15_000).contains(&first), "{first}");
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_for_ever() {
        let mut rng = Rng::new(20130624);
        assert_eq!(rng.next(), 11_675_284_164_927_833_287);
    }

    #[test]
    fn log_uniform_stays_in_its_range() {
        let mut rng = Rng::new(3);
        for _ in 0..1000 {
            let x = rng.log_uniform(0.05, 600.0);
            assert!((0.0499..600.01).contains(&x), "{x}");
        }
    }
}
