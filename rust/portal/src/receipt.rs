//! Where the log has a report, as a client may be told that asks for it.

use std::fmt;

use hyper::header::HeaderName;

/// The header of a 200 that carries a receipt.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("portal-record");

/// Shown, sent and read as `partition/offset/timestamp ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub partition: i32,
    pub offset: i64,
    /// Since the epoch, as consumers of the log will see it.
    pub timestamp_ms: i64,
}

impl fmt::Display for Receipt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            offset,
            timestamp_ms,
        } = self;
        write!(out, "{partition}/{offset}/{timestamp_ms}")
    }
}

impl Receipt {
    /// `None` for anything that is not one.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split('/');
        let found = Self {
            partition: parts.next()?.parse().ok()?,
            offset: parts.next()?.parse().ok()?,
            timestamp_ms: parts.next()?.parse().ok()?,
        };
        (parts.next().is_none() && found.partition >= 0 && found.offset >= 0).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again_and_nothing_else_is() {
        let receipt = Receipt {
            partition: 2,
            offset: 1 << 40,
            timestamp_ms: 1_384_948_800_000,
        };
        assert_eq!(
            Receipt::parse(receipt.to_string().as_bytes()),
            Some(receipt)
        );
        let bad: [&[u8]; 8] = [
            b"",
            b"1",
            b"1/2",
            b"1/2/3/4",
            b"-1/2/3",
            b"1/-2/3",
            b"a/2/3",
            b"\xff/2/3",
        ];
        for text in bad {
            assert_eq!(Receipt::parse(text), None);
        }
    }
}
