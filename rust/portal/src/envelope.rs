//! From a body to a record: its key and its headers.

use std::net::IpAddr;

use flurry_core::wire::{Limits, Peek, peek_checked, write_hash_key};

use crate::settings::{Address, Settings};

/// A record's parts beside its payload. `protocol` is `None` for bytes that
/// are no report, as far as CRC and envelope say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) key: Vec<u8>,
    pub(crate) headers: Vec<u8>,
    pub(crate) protocol: Option<u16>,
}

/// Who sent a body, where that can be read.
pub(crate) fn sender(body: &[u8]) -> Option<Peek<'_>> {
    peek_checked(body, &Limits::default()).ok()
}

impl Envelope {
    pub(crate) fn of(
        body: &[u8],
        sender: Option<&Peek<'_>>,
        from: IpAddr,
        settings: &Settings,
    ) -> Self {
        let mut envelope = Envelope::default();
        match sender {
            Some(peek) => {
                let shards = settings.spread.get(peek.api_key).copied().unwrap_or(1);
                peek.write_key(shards, &mut envelope.key);
                envelope.protocol = Some(peek.protocol);
            }
            None => write_hash_key(body, &mut envelope.key),
        }
        if settings.protocol_header
            && let Some(protocol) = envelope.protocol
        {
            write_header(
                b"protocol",
                protocol.to_string().as_bytes(),
                &mut envelope.headers,
            );
        }
        let address = shown(from, settings.address_header);
        if !address.is_empty() {
            write_header(b"address", address.as_bytes(), &mut envelope.headers);
        }
        envelope
    }
}

/// An address as far as it may be known.
pub(crate) fn shown(from: IpAddr, how: Address) -> String {
    match (how, from.to_canonical()) {
        (Address::None, _) => String::new(),
        (Address::Whole, address) => address.to_string(),
        (Address::Network, IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0")
        }
        (Address::Network, IpAddr::V6(address)) => {
            let [a, b, c, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
        }
    }
}

/// One header in the layout of csrc/batch.h.
fn write_header(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    // Both are ours and short.
    out.extend_from_slice(&(name.len() as u16).to_le_bytes());
    out.extend_from_slice(name);
    out.extend_from_slice(&(value.len() as i32).to_le_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_to_their_network() {
        let cut = |text: &str, how| shown(text.parse().unwrap(), how);
        assert_eq!(cut("192.0.2.77", Address::Network), "192.0.2.0");
        assert_eq!(cut("::ffff:192.0.2.77", Address::Network), "192.0.2.0");
        assert_eq!(
            cut("2001:db8:1:2:3:4:5:6", Address::Network),
            "2001:db8:1::"
        );
        assert_eq!(cut("2001:db8::6", Address::Whole), "2001:db8::6");
        assert_eq!(cut("192.0.2.77", Address::None), "");
    }

    #[test]
    fn headers_are_laid_out_as_csrc_reads_them() {
        let mut flat = Vec::new();
        write_header(b"protocol", b"26", &mut flat);
        assert_eq!(flat, b"\x08\x00protocol\x02\x00\x00\x0026");
    }
}
