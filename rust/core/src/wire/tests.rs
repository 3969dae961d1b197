use super::samples::{captures, rich};
use super::*;
use crate::reason::Reason;
use crate::report::{ErrorRecord, Report, Session};

fn read(bytes: &[u8]) -> Result<Report<'_>, Reason> {
    read_within(bytes, &Limits::default())
}

fn read_within<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Report<'a>, Reason> {
    let mut report = Report::default();
    let outcome = decode(bytes, limits, &mut report);
    if outcome.is_err() {
        assert_eq!(report, Report::default());
    }
    outcome.map(|()| report)
}

fn written(report: &Report<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(report, &mut out);
    out
}

/// The bytes with a CRC trailer that fits them, where the protocol has one.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if u16::from_be_bytes([bytes[0], bytes[1]]) >= 22 {
        let body = bytes.len() - 4;
        let crc = crc32fast::hash(&bytes[..body]).to_be_bytes();
        bytes[body..].copy_from_slice(&crc);
    }
    bytes
}

/// Like [`resealed`], of a body without a trailer.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    if u16::from_be_bytes([body[0], body[1]]) >= 22 {
        body.extend_from_slice(&[0; 4]);
    }
    resealed(body)
}

fn body_of(bytes: &[u8]) -> &[u8] {
    let trailer = if u16::from_be_bytes([bytes[0], bytes[1]]) >= 22 {
        4
    } else {
        0
    };
    &bytes[..bytes.len() - trailer]
}

#[test]
fn captures_encode_to_their_own_bytes() {
    let mut unreadable = 0;
    let mut repaired = 0;
    let mut report = Report::default();
    for (path, bytes) in &captures() {
        report.clear();
        match decode(bytes, &Limits::default(), &mut report) {
            Ok(_) if report.repaired_errors == 0 => {
                assert_eq!(&written(&report), bytes, "{}", path.display());
            }
            Ok(_) => repaired += 1,
            Err(reason) => {
                assert_eq!(reason, Reason::BadCrc, "{}", path.display());
                unreadable += 1;
            }
        }
    }
    assert_eq!((unreadable, repaired), (2, 5));
}

#[test]
fn every_field_of_every_protocol_survives() {
    for protocol in PROTOCOLS {
        let report = rich(protocol);
        let bytes = written(&report);
        let again = read(&bytes).unwrap();
        assert_eq!(again, report, "{protocol}");
        assert_eq!(written(&again), bytes, "{protocol}");
    }
}

#[test]
fn a_reused_report_forgets_the_one_before() {
    let bytes: Vec<_> = PROTOCOLS
        .iter()
        .map(|&protocol| written(&rich(protocol)))
        .collect();
    let mut report = Report::default();
    for first in &bytes {
        for second in &bytes {
            decode(first, &Limits::default(), &mut report).unwrap();
            decode(second, &Limits::default(), &mut report).unwrap();
            assert_eq!(report, read(second).unwrap());
        }
    }
}

#[test]
fn a_cut_report_is_truncated_or_has_a_bad_crc() {
    for protocol in PROTOCOLS {
        let bytes = written(&rich(protocol));
        for length in 0..bytes.len() {
            let wanted = match length {
                0..6 if protocol >= 22 => Reason::Truncated,
                _ if protocol >= 22 => Reason::BadCrc,
                _ => Reason::Truncated,
            };
            assert_eq!(
                read(&bytes[..length]),
                Err(wanted),
                "{protocol} cut at {length}"
            );
        }
    }
}

#[test]
fn a_cut_body_is_truncated_wherever_it_ends() {
    for protocol in PROTOCOLS {
        let bytes = written(&rich(protocol));
        let body = body_of(&bytes);
        for length in 2..body.len() {
            let cut = sealed(body[..length].to_vec());
            assert_eq!(
                read(&cut),
                Err(Reason::Truncated),
                "{protocol} cut at {length}"
            );
        }
    }
}

#[test]
fn no_change_of_a_byte_goes_unnoticed_under_a_crc() {
    let bytes = written(&rich(26));
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            assert!(read(&changed).is_err(), "byte {at}");
        }
    }
}

#[test]
fn no_change_of_a_byte_makes_it_panic_or_lie() {
    let mut outcomes = std::collections::HashMap::new();
    for protocol in PROTOCOLS {
        let bytes = written(&rich(protocol));
        for at in 0..bytes.len() {
            for value in [0, 1, 2, 0x7f, 0x80, 0xc0, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let changed = resealed(changed);
                let outcome = read(&changed);
                *outcomes.entry(outcome.as_ref().err().copied()).or_insert(0) += 1;
                if let Ok(report) = outcome
                    && report.repaired_errors == 0
                {
                    assert_eq!(written(&report), changed, "{protocol}: byte {at} = {value}");
                }
            }
        }
    }
    for reason in [
        Reason::Truncated,
        Reason::BadText,
        Reason::BadValue,
        Reason::BadKey,
    ] {
        assert!(
            outcomes.contains_key(&Some(reason)),
            "{reason} never came up: {outcomes:?}"
        );
    }
}

#[test]
fn captures_with_any_byte_changed_never_panic() {
    for (path, bytes) in captures()
        .into_iter()
        .filter(|(_, bytes)| bytes.len() < 1500)
        .step_by(7)
    {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] = changed[at].wrapping_add(0x55);
            let changed = resealed(changed);
            if let Ok(report) = read(&changed)
                && report.repaired_errors == 0
            {
                assert_eq!(written(&report), changed, "{}: byte {at}", path.display());
            }
        }
    }
}

#[test]
fn each_reason_has_its_report() {
    let good = written(&rich(8));
    let key = good
        .windows(20)
        .position(|window| window == rich(8).api_key)
        .unwrap();
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let sealed_good = written(&rich(30));
    let mut bad_crc = sealed_good.clone();
    *bad_crc.last_mut().unwrap() ^= 1;

    assert_eq!(read(&[]), Err(Reason::Truncated));
    assert_eq!(read(&[0]), Err(Reason::Truncated));
    assert_eq!(read(&[0, 30, 0, 0, 0]), Err(Reason::Truncated));
    assert_eq!(read(&[0, 9]), Err(Reason::UnknownProtocol));
    assert_eq!(read(&bad_crc), Err(Reason::BadCrc));
    assert_eq!(
        read(&[&good[..], &[0]].concat()),
        Err(Reason::TrailingBytes)
    );
    assert_eq!(read(&changed(key, 0xf0)), Err(Reason::BadText));
    assert_eq!(read(&changed(good.len() - 1, 1)), Err(Reason::BadValue));
    let small = Limits {
        max_report_bytes: good.len() - 1,
        ..Limits::default()
    };
    assert_eq!(read_within(&good, &small), Err(Reason::OverBudget));

    for key in [&b""[..], &[b'k'; 256]] {
        let report = Report {
            api_key: key,
            ..rich(22)
        };
        assert_eq!(read(&written(&report)), Err(Reason::BadKey));
    }
    let longest = Report {
        api_key: &[b'k'; 255],
        ..rich(22)
    };
    assert!(read(&written(&longest)).is_ok());
}

#[test]
fn the_first_violation_wins() {
    // An api key that is bad text and too long, in a report that ends there.
    let mut body = vec![0, 8, 0, 0, 0, 3, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    body.extend_from_slice(&[0xff; 256]);
    assert_eq!(read(&body), Err(Reason::BadText));
    assert_eq!(read(&body[..body.len() - 1]), Err(Reason::Truncated));
    let at = body.len() - 256;
    body[at..].fill(b'k');
    assert_eq!(read(&body), Err(Reason::BadKey));

    // A trace tag is looked at before the length behind it.
    let mut report = rich(26);
    report.sessions.truncate(1);
    let bytes = written(&report);
    let trace = bytes
        .windows(3)
        .position(|window| window == b"at ")
        .unwrap();
    let with_tag = |tag: u8, length: u8| {
        let mut body = bytes[..trace - 4].to_vec();
        body[trace - 5] = tag;
        body.resize(trace, length);
        body
    };
    assert_eq!(
        read(&sealed(with_tag(1, 0)[..trace - 4].to_vec())),
        Err(Reason::BadValue)
    );
    assert_eq!(
        read(&sealed(with_tag(2, 0)[..trace - 4].to_vec())),
        Err(Reason::Truncated)
    );
    assert_eq!(read(&sealed(with_tag(2, 0xff))), Err(Reason::BadValue));
    assert_eq!(read(&sealed(with_tag(2, 0x7f))), Err(Reason::Truncated));
}

#[test]
fn records_are_charged_when_they_are_announced() {
    let report = rich(30);
    let bytes = written(&report);
    let announced = report.ad_ids.len()
        + report.device_ids.len()
        + report.properties.len()
        + report.referrer.len()
        + report.launch_options.len()
        + report.values.len()
        + report.origins.len()
        + report.sessions.len()
        + report.pairs.len()
        + report.counts.len()
        + report.events.len()
        + report.params.len()
        + report.errors.len();
    let within = |max_records| Limits {
        max_records,
        ..Limits::default()
    };
    assert_eq!(
        read_within(&bytes, &within(announced as u32)).as_ref(),
        Ok(&report)
    );
    let outcome = read_within(&bytes, &within(announced as u32 - 1));
    assert_eq!(outcome, Err(Reason::OverBudget));
}

#[test]
fn huge_counts_allocate_nothing() {
    let mut body = written(&Report {
        protocol: 8,
        api_key: b"k",
        ..Report::default()
    });
    let at = body.len() - 2;
    body[at..].fill(0xff);
    let mut report = Report::default();
    assert_eq!(
        decode(&body, &Limits::default(), &mut report),
        Err(Reason::Truncated)
    );
    assert_eq!(report.sessions.capacity(), 0);
}

/// A report of which the agent counted errors that it did not write: `missing`
/// of session `broken`, which has `kept` others, among three sessions.
fn broken(protocol: u16, broken: usize, kept: u16, missing: u16) -> Vec<u8> {
    let mut report = rich(protocol);
    report.sessions.clear();
    report.errors.clear();
    for number in 0..3 {
        let start = report.errors.len() as u32;
        let errors = if number == broken { kept } else { 1 };
        for id in 0..errors {
            report.errors.push(ErrorRecord {
                id: Some(id + 1),
                time_ms: 1_384_000_000_500,
                error_id: b"E1",
                message: b"message",
                class: b"Class",
                kind: (protocol >= 26).then_some(1),
                trace: None,
            });
        }
        report.sessions.push(Session {
            start_ms: 1000 + number as i64,
            locale: Some(b"en_US"),
            timezone: Some(b"UTC"),
            errors: start..report.errors.len() as u32,
            launch: (protocol >= 30).then(Default::default),
            orientation: (protocol >= 30).then_some(0),
            ..Session::default()
        });
    }
    let mut bytes = written(&report);
    // Its error count stands before the first error it kept, or before its tail.
    let session = bytes
        .windows(8)
        .position(|window| window == (1000 + broken as i64).to_be_bytes())
        .unwrap();
    let count = if kept > 0 {
        session
            + bytes[session..]
                .windows(4)
                .position(|window| window == b"\0\x02E1")
                .unwrap()
            - 12
    } else {
        let end = bytes[session..]
            .windows(8)
            .position(|w| w == (1001 + broken as i64).to_be_bytes());
        let end = end.map_or(
            bytes.len() - 4 - if protocol >= 29 { 2 } else { 0 },
            // The next session's version and app version stand between.
            |at| session + at - 4,
        );
        end - layout::Layout::of(protocol).unwrap().tail().len() - 2
    };
    let announced = u16::from_be_bytes([bytes[count], bytes[count + 1]]);
    assert_eq!(announced, kept);
    bytes[count..count + 2].copy_from_slice(&(kept + missing).to_be_bytes());
    resealed(bytes)
}

#[test]
fn reports_broken_by_their_agent_are_repaired() {
    for protocol in [24, 25, 26, 27, 29, 30] {
        for at in 0..3 {
            for (kept, missing) in [(0, 1), (1, 1), (3, 2), (2, 40)] {
                let bytes = broken(protocol, at, kept, missing);
                let report = read(&bytes).unwrap_or_else(|reason| {
                    panic!("{protocol}, session {at}, {kept} and {missing}: {reason}")
                });
                assert_eq!(report.repaired_errors, missing);
                let starts: Vec<_> = report
                    .sessions
                    .iter()
                    .map(|session| session.start_ms)
                    .collect();
                assert_eq!(starts, [1000, 1001, 1002]);
                let errors: Vec<_> = report.sessions.iter().map(|s| s.errors.len()).collect();
                let mut wanted = [1, 1, 1];
                wanted[at] = usize::from(kept);
                assert_eq!(errors, wanted);
                assert_eq!(report.errors.len(), 2 + usize::from(kept));
            }
        }
    }
}

#[test]
fn older_agents_are_not_repaired() {
    let reason = read(&broken(22, 0, 1, 1)).unwrap_err();
    assert!(
        matches!(reason, Reason::Truncated | Reason::BadValue),
        "{reason}"
    );
}

#[test]
fn a_report_that_two_shorter_lists_explain_stays_unreadable() {
    // Nine empty errors of protocol 24, all zero, then an all-zero tail. The
    // agent announces ten: without the last it reads, and so it does ... only
    // there. With the bytes of half a record more, it reads nowhere.
    let report = {
        let mut report = Report {
            protocol: 24,
            api_key: b"k",
            ..Report::default()
        };
        report.errors = vec![
            ErrorRecord {
                id: Some(0),
                ..ErrorRecord::default()
            };
            9
        ];
        report.sessions = vec![Session {
            locale: Some(b""),
            timezone: Some(b""),
            errors: 0..9,
            ..Session::default()
        }];
        report
    };
    let bytes = written(&report);
    let record = 2 + 8 + 3 * 2;
    let count = bytes.len() - 4 - 4 - 9 * record - 2;
    let mut announced_ten = bytes.clone();
    announced_ten[count + 1] = 10;
    let announced_ten = resealed(announced_ten);
    assert_eq!(read(&announced_ten).unwrap().repaired_errors, 1);

    let mut longer = announced_ten.clone();
    let end = longer.len() - 4;
    longer.splice(end..end, [0; 7]);
    assert_eq!(read(&resealed(longer)), Err(Reason::Truncated));

    // Every place of the ten costs: the tail, and the records behind it.
    let work: usize = (0..=9).map(|kept| 4 + (9 - kept) * record).sum();
    let within = |max_repair_bytes| Limits {
        max_repair_bytes,
        ..Limits::default()
    };
    assert_eq!(
        read_within(&announced_ten, &within(work))
            .unwrap()
            .repaired_errors,
        1
    );
    assert_eq!(
        read_within(&announced_ten, &within(work - 1)),
        Err(Reason::OverBudget)
    );
}

#[test]
fn two_readings_are_none() {
    // Two sessions, of which the first announces two errors and wrote none.
    // The user id of the second holds a tail and a session up to its own, empty
    // user id; what stands before that also reads as one error.
    let mut hidden = vec![0, 0, 0, 0]; // the tail behind the error
    hidden.extend_from_slice(&[0, 1, 0, 0]); // version, app version
    hidden.extend_from_slice(&[0, 0, 0x7f, 0x7f, 0, 0, 0, 0]); // start: no second error
    hidden.extend_from_slice(&[0; 16 + 5]); // duration, pause, locale, zone, network
    hidden.extend_from_slice(&[0, 0]); // user id
    // Behind the start's last two bytes, the length of the error's class, stand
    // duration, pause, locale, zone, network and the length of the user id.
    let class = 8 + 8 + 2 + 2 + 1 + 2;
    let read_with = |start_ms: i64| {
        let session = |start_ms| Session {
            start_ms,
            locale: Some(b""),
            timezone: Some(b""),
            ..Session::default()
        };
        let first = session(0);
        let second = Session {
            user_id: &hidden,
            ..session(start_ms)
        };
        let report = Report {
            protocol: 24,
            api_key: b"k",
            sessions: vec![first, second],
            ..Report::default()
        };
        let mut bytes = written(&report);
        let user_id = bytes
            .windows(hidden.len())
            .position(|window| window == hidden)
            .unwrap();
        let second = user_id - class - 12;
        bytes[second - 5] = 2;
        read(&resealed(bytes)).map(|report| report.repaired_errors)
    };
    assert_eq!(read_with(class as i64), Err(Reason::Truncated));
    assert_eq!(read_with(class as i64 + 1), Ok(2));
}

#[test]
fn the_envelope_names_the_sender() {
    for protocol in PROTOCOLS {
        let report = rich(protocol);
        let bytes = written(&report);
        let peeked = peek(&bytes, &Limits::default()).unwrap();
        assert_eq!(peeked.api_key, report.api_key);
        assert_eq!(peeked.device_id, report.device_id());
        assert_eq!(peeked.protocol, protocol);
        assert_eq!(peek_checked(&bytes, &Limits::default()), Ok(peeked));
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let has_trailer = protocol >= 22;
        let checked = peek_checked(&damaged, &Limits::default());
        assert_eq!(checked.err(), has_trailer.then_some(Reason::BadCrc));
        let mut key = Vec::new();
        message_key(&bytes, &Limits::default(), 1, &mut key);
        assert_eq!(key, b"ABCDEFGHJKLMNPQRSTUV|0");
        key.clear();
        message_key(&bytes, &Limits::default(), 1000, &mut key);
        let shard = crc32fast::hash(b"AND9f3c0d5b7a1e2468") % 1000;
        assert_eq!(key, format!("ABCDEFGHJKLMNPQRSTUV|{shard}").as_bytes());
    }
    let mut key = Vec::new();
    message_key(b"nonsense", &Limits::default(), 1, &mut key);
    assert_eq!(
        key,
        format!("{:08x}", crc32fast::hash(b"nonsense")).as_bytes()
    );
    key.clear();
    message_key(b"", &Limits::default(), 0, &mut key);
    assert_eq!(key, b"00000000");
}
