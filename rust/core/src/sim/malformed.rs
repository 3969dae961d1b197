//! Reports that cannot be read, or only after a repair: one way of damage for
//! each reason, done to the bytes of an otherwise ordinary report.

use super::rng::Rng;
use crate::crc::crc32;
use crate::report::Report;
use crate::wire;

/// A way to damage a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The connection broke: some bytes from the end are missing.
    Cut,
    /// As `Cut`, but with a trailer that fits (an agent that lost its place).
    CutAndSealed,
    /// No bytes at all.
    Empty,
    /// A byte changed on the way.
    Flipped,
    /// A protocol that nobody has seen an agent speak.
    Protocol,
    /// A text that is not modified UTF-8.
    Text,
    /// Bytes after the last field.
    Trailing,
    /// A bool that is neither 0 nor 1.
    Bool,
    /// 200,001 records announced in a few bytes.
    Budget,
    /// The agent counted error records that it then failed to write: readable
    /// after a repair (protocols from 24; an ordinary report before).
    ErrorCount,
}

impl Damage {
    /// How often which: heavier ones are rarer, as in the field.
    pub const MIX: &'static [Damage] = &[
        Damage::Cut,
        Damage::Cut,
        Damage::CutAndSealed,
        Damage::Empty,
        Damage::Flipped,
        Damage::Flipped,
        Damage::Protocol,
        Damage::Text,
        Damage::Trailing,
        Damage::Bool,
        Damage::Budget,
        Damage::ErrorCount,
        Damage::ErrorCount,
    ];
}

/// Marks the place of a session's error fields while its report is encoded.
const MARK: i32 = 0x4D61_726B;

/// Appends the damaged bytes of `report` to `out`.
pub fn encode(report: &mut Report<'_>, damage: Damage, rng: &mut Rng, out: &mut Vec<u8>) {
    let start = out.len();
    if damage == Damage::Budget {
        return encode_over_budget(report, out);
    }
    let extra = match damage {
        Damage::ErrorCount if report.protocol >= 24 => 1 + rng.below(3) as u16,
        _ => 0,
    };
    let mark = encode_marked(report, extra, rng, out);
    let sealed = report.protocol >= 22;
    let body_end = if sealed { out.len() - 4 } else { out.len() };
    let length = (body_end - start) as u64;
    match damage {
        Damage::Cut | Damage::CutAndSealed => {
            // A cut inside the protocol number would be something else.
            out.truncate(start + 2 + rng.below(length - 2) as usize);
        }
        Damage::Empty => out.truncate(start),
        Damage::Protocol => {
            let unknown = [0, 7, 16, 17, 18, 19, 20, 21, 23, 28, 31, 65_535];
            let protocol: u16 = *rng.pick(&unknown).unwrap_or(&0);
            put(out, start, &protocol.to_be_bytes());
        }
        Damage::Text => {
            if let Some(at) = find(out, start, b"device.model") {
                let bad: &[u8] = rng
                    .pick(&[&[0xFF][..], &[0x80], &[0xC3, 0x41]])
                    .copied()
                    .unwrap_or(&[0xFF]);
                put(out, at + rng.below(10) as usize, bad);
            }
        }
        Damage::Trailing => {
            out.truncate(body_end);
            let tail = [0u8; 9];
            out.extend_from_slice(tail.get(..1 + rng.below(9) as usize).unwrap_or(&tail));
            if sealed {
                out.extend_from_slice(&[0; 4]);
            }
        }
        Damage::Bool => {
            if let Some(at) = mark {
                put(out, at - 1, &[2 + rng.below(254) as u8]);
            }
        }
        Damage::Flipped | Damage::ErrorCount | Damage::Budget => {}
    }
    if sealed && damage == Damage::CutAndSealed {
        out.extend_from_slice(&[0; 4]);
    }
    if sealed && !matches!(damage, Damage::Cut | Damage::Empty) {
        seal(out, start);
    }
    if damage == Damage::Flipped {
        let at = start + 2 + rng.below(length - 2) as usize;
        if let Some(byte) = out.get_mut(at) {
            *byte ^= 1 << rng.below(8);
        }
    }
}

/// Encodes the report as it is, but for `extra` more error records counted than
/// written in one session. Returns where that session's total of errors stands.
fn encode_marked(
    report: &mut Report<'_>,
    extra: u16,
    rng: &mut Rng,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let start = out.len();
    let marked = rng.below(report.sessions.len() as u64) as usize;
    let Some(session) = report.sessions.get_mut(marked) else {
        wire::encode(report, out);
        return None;
    };
    let errors = session.total_errors;
    session.total_errors = MARK;
    wire::encode(report, out);
    let at = find(out, start, &MARK.to_be_bytes())?;
    put(out, at, &(errors + i32::from(extra)).to_be_bytes());
    if let Some(&[high, low]) = out.get(at + 4..at + 6).and_then(|b| b.first_chunk::<2>()) {
        let written = u16::from_be_bytes([high, low]);
        put(out, at + 4, &(written + extra).to_be_bytes());
    }
    Some(at)
}

/// Device ids, sessions, events and parameters announced one inside the other,
/// so that the total passes the limit long before the bytes run out.
fn encode_over_budget(report: &mut Report<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    report.protocol = 26;
    report.agent_version = 148;
    report.sessions.clear();
    report.device_ids.resize(3_600, (0, &[]));
    wire::encode(report, out);
    out.truncate(out.len() - 6);
    out.extend_from_slice(&[0xFF, 0xFF]); // sessions
    out.extend_from_slice(&[0, 1]); // record version
    out.extend_from_slice(&[0; 2 + 3 * 8 + 2 + 2 + 1 + 2 + 1 + 4 + 4]); // fields 2 to 17
    out.extend_from_slice(&[0, 0]); // occurrence counts
    out.extend_from_slice(&[0xFF, 0xFF]); // events
    out.extend_from_slice(&[0, 1, 0, 0, 0xFF, 0xFF]); // the first: id, name, parameters
    out.extend_from_slice(&[0; 4]);
    seal(out, start);
}

/// Writes the CRC-32 of everything from `start` on into the last four bytes.
fn seal(out: &mut [u8], start: usize) {
    let Some((body, trailer)) = out
        .get_mut(start..)
        .and_then(|r| r.split_last_chunk_mut::<4>())
    else {
        return;
    };
    *trailer = crc32(body).to_be_bytes();
}

fn find(out: &[u8], start: usize, what: &[u8]) -> Option<usize> {
    let report = out.get(start..)?;
    report
        .windows(what.len())
        .position(|window| window == what)
        .map(|at| start + at)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
