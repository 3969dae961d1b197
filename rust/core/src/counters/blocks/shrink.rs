//! Bodies that were put away long ago, made smaller: blocks of many apps hold the same
//! versions, locales and models, which a dictionary of some of them knows.

use zstd::bulk::{Compressor, Decompressor};

use crate::counters::arena::MAX_KEY;

/// Bodies are gathered up to so many bytes; then the dictionary is made of them.
pub(super) const SAMPLE_BYTES: usize = 160 << 10;
/// Of the dictionary: it stays in the processor's second cache. 64 KiB save 3 % more.
const DICTIONARY_BYTES: usize = 16 << 10;
/// 3 saves 4 % of the bytes and costs half as much time again.
const LEVEL: i32 = 1;
/// What is shorter has nothing to give.
const SHORTEST: usize = 40;

/// How bodies are written down.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    /// As they are, so far.
    Plain,
    /// As they are: compressed they are no smaller, or the dictionary is made of them.
    Tight,
    /// A frame of Zstandard, which says how long they are.
    Shrunk,
}

/// One for all bodies of an engine.
pub(super) struct Shrinker {
    sample_bytes: usize,
    samples: Vec<u8>,
    sizes: Vec<usize>,
    zstd: Option<(Compressor<'static>, Decompressor<'static>)>,
    shrunk: Vec<u8>,
    restored: Vec<u8>,
}

impl Shrinker {
    /// It begins to shrink after so many bytes.
    pub fn new(sample_bytes: usize) -> Self {
        Self {
            sample_bytes,
            samples: Vec::new(),
            sizes: Vec::new(),
            zstd: None,
            shrunk: Vec::new(),
            restored: Vec::new(),
        }
    }

    /// The body as it is kept.
    pub fn shrink<'s>(&'s mut self, body: &'s [u8]) -> (Form, &'s [u8]) {
        if body.len() < SHORTEST {
            return (Form::Tight, body);
        }
        let Some((zstd, _)) = &mut self.zstd else {
            self.learn(body);
            return (Form::Tight, body); // once: it is not learnt from again whenever memory is short
        };
        self.shrunk.clear();
        self.shrunk
            .reserve(zstd::zstd_safe::compress_bound(body.len()));
        let done = zstd.compress_to_buffer(body, &mut self.shrunk).is_ok();
        if done && self.shrunk.len() < body.len() {
            (Form::Shrunk, &self.shrunk)
        } else {
            (Form::Tight, body)
        }
    }

    /// The body again; `None` if the bytes are not what `shrink` made.
    pub fn restore<'s>(&'s mut self, form: u8, kept: &'s [u8]) -> Option<&'s [u8]> {
        if form != Form::Shrunk as u8 {
            return Some(kept);
        }
        let length = zstd::zstd_safe::get_frame_content_size(kept).ok()??;
        let length = usize::try_from(length).ok().filter(|n| *n <= MAX_KEY)?;
        self.restored.clear();
        self.restored.reserve(length);
        let (_, zstd) = self.zstd.as_mut()?;
        let found = zstd.decompress_to_buffer(kept, &mut self.restored);
        (found.ok()? == length).then_some(&self.restored)
    }

    fn learn(&mut self, body: &[u8]) {
        if self.sample_bytes == 0 {
            return; // it could not be made
        }
        self.samples.extend_from_slice(body);
        self.sizes.push(body.len());
        if self.samples.len() < self.sample_bytes {
            return;
        }
        let (samples, sizes) = (
            std::mem::take(&mut self.samples),
            std::mem::take(&mut self.sizes),
        );
        // Too few of them, or too much alike, are a dictionary themselves.
        let made = zstd::dict::from_continuous(&samples, &sizes, DICTIONARY_BYTES);
        let end = samples.len().min(DICTIONARY_BYTES);
        let dictionary = made.unwrap_or_else(|_| samples.get(..end).unwrap_or(&[]).to_vec());
        self.zstd = both(&dictionary).ok();
        self.sample_bytes = 0;
    }

    /// Bytes that it holds on to, but for what Zstandard has of its own: about half a mebibyte.
    pub fn bytes(&self) -> usize {
        self.samples.capacity() + 8 * self.sizes.capacity()
    }
}

fn both(dictionary: &[u8]) -> std::io::Result<(Compressor<'static>, Decompressor<'static>)> {
    let mut compressor = Compressor::with_dictionary(LEVEL, dictionary)?;
    // Four bytes of each that say which dictionary: there is one.
    compressor.set_parameter(zstd::zstd_safe::CParameter::DictIdFlag(false))?;
    Ok((compressor, Decompressor::with_dictionary(dictionary)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(number: usize) -> Vec<u8> {
        let versions = ["1.4.2", "1.5.0", "2.0.1"];
        let mut out = Vec::new();
        for place in 0..number % 7 + 2 {
            let version = versions[(number + place) % versions.len()];
            out.extend_from_slice(format!("{version} en_US iPhone5,{place} {number}").as_bytes());
        }
        out
    }

    fn check(sample_bytes: usize, bodies: usize) -> usize {
        let mut shrinker = Shrinker::new(sample_bytes);
        let mut shrunk = 0;
        for body in (0..bodies).map(body) {
            let (form, kept) = shrinker.shrink(&body);
            let (form, kept) = (form as u8, kept.to_vec());
            shrunk += usize::from(form == Form::Shrunk as u8);
            assert!(kept.len() <= body.len());
            assert_eq!(shrinker.restore(form, &kept), Some(body.as_slice()));
        }
        shrunk
    }

    #[test]
    fn bodies_come_back_whatever_was_learnt() {
        assert_eq!(check(usize::MAX, 300), 0);
        assert_eq!(check(0, 300), 0);
        for sample_bytes in [1, 200, 5_000, 20_000] {
            assert!(check(sample_bytes, 2_000) > 1_000, "{sample_bytes}");
        }
    }

    #[test]
    fn what_was_damaged_is_not_read() {
        let mut shrinker = Shrinker::new(5_000);
        let kept = loop {
            if let (Form::Shrunk, kept) = shrinker.shrink(&body(6)) {
                break kept.to_vec();
            }
        };
        let shrunk = Form::Shrunk as u8;
        assert_eq!(shrinker.restore(shrunk, &kept), Some(body(6).as_slice()));
        for end in 0..kept.len() {
            assert_eq!(shrinker.restore(shrunk, &kept[..end]), None);
        }
        // A frame with eight bytes for the size of its content, which are no size of a body.
        let mut huge = kept[..4].to_vec();
        huge.push(0xE0);
        huge.extend_from_slice(&(u64::MAX / 4).to_le_bytes());
        huge.extend_from_slice(&kept[5..]);
        assert_eq!(shrinker.restore(shrunk, &huge), None);
        assert_eq!(Shrinker::new(1).restore(shrunk, &kept), None);
    }
}
