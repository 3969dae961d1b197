use std::collections::{HashMap, HashSet};

use super::*;
use crate::reason::Reason;

fn settings(malformed: f64, hostile: f64) -> Settings {
    Settings {
        malformed,
        hostile,
        ..Settings::default()
    }
}

fn batch_of(reports: usize, settings: Settings) -> Batch {
    Simulator::new(settings).unwrap().next_batch(reports)
}

fn decode(bytes: &[u8]) -> Result<Report<'_>, Reason> {
    let mut report = Report::default();
    wire::decode(bytes, &Limits::default(), &mut report).map(|_| report)
}

#[test]
fn the_same_settings_give_the_same_bytes_however_they_are_cut() {
    let whole = batch_of(3_000, settings(0.02, 0.02));
    let mut simulator = Simulator::new(settings(0.02, 0.02)).unwrap();
    let mut payload = Vec::new();
    let mut keys = Vec::new();
    for n in [1, 127, 128, 129, 1, 2_614] {
        let part = simulator.next_batch(n);
        assert_eq!(part.len(), n);
        payload.extend_from_slice(&part.payload);
        keys.extend_from_slice(&part.keys);
    }
    assert!(payload == whole.payload && keys == whole.keys);
    let other = Settings {
        seed: 2,
        ..settings(0.02, 0.02)
    };
    assert!(batch_of(3_000, other).payload != whole.payload);
}

#[test]
fn ordinary_reports_read_and_write_back() {
    let batch = batch_of(20_000, Settings::default());
    let mut seen = HashMap::new();
    for (bytes, key) in batch.payloads().zip(batch.keys()) {
        let report = decode(bytes).unwrap();
        *seen.entry(report.protocol).or_insert(0) += 1;
        let mut again = Vec::new();
        wire::encode(&report, &mut again);
        assert!(again == bytes);
        let mut expected = Vec::new();
        wire::message_key(bytes, &Limits::default(), 1, &mut expected);
        assert_eq!(key, expected);
        assert_eq!(report.repaired_errors, 0);
    }
    for (protocol, weight) in PROTOCOLS_2013 {
        let got = f64::from(seen[protocol]) / 20.0;
        let wanted = f64::from(*weight);
        assert!(
            (got - wanted).abs() < 6.0 + wanted * 0.12,
            "{protocol}: {got} of {wanted}"
        );
    }
}

/// `docs/simulator.md`, "Sizes and mix".
#[test]
fn the_mix_is_that_of_the_design() {
    let batch = batch_of(
        20_000,
        Settings {
            protocols: vec![(26, 1)],
            ..Settings::default()
        },
    );
    let n = batch.len() as f64;
    let (mut sessions, mut events, mut names, mut errors, mut timed) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut foreign = 0.0;
    let mut sizes: Vec<usize> = Vec::new();
    let mut apps = HashSet::new();
    for bytes in batch.payloads() {
        let report = decode(bytes).unwrap();
        sizes.push(bytes.len());
        apps.insert(report.api_key.to_vec());
        sessions += report.sessions.len() as f64;
        events += report.events.len() as f64;
        names += report.counts.len() as f64;
        errors += report.errors.len() as f64;
        timed += report
            .events
            .iter()
            .filter(|e| e.duration_ms > Some(0))
            .count() as f64;
        foreign += f64::from(u8::from(report.non_ascii));
    }
    sizes.sort_unstable();
    let size = |share: usize| sizes[sizes.len() * share / 100];
    let figures = [
        ("mean size", batch.payload.len() as f64 / n, 1090.0, 0.06),
        ("p5", size(5) as f64, 355.0, 0.4),
        ("p50", size(50) as f64, 904.0, 0.12),
        ("p95", size(95) as f64, 2388.0, 0.12),
        ("p99", size(99) as f64, 3280.0, 0.15),
        ("sessions a report", sessions / n, 1.36, 0.06),
        ("events a session", events / sessions, 8.53, 0.06),
        ("names a session", names / sessions, 5.56, 0.12),
        ("timed", timed / events, 0.137, 0.2),
        ("non-ASCII reports", foreign / n, 0.087, 0.3),
        ("data points", (sessions + events + errors) / n, 13.03, 0.06),
        ("apps", apps.len() as f64, 7_000.0, 0.3),
    ];
    let off: Vec<_> = figures
        .iter()
        .map(|(name, got, wanted, by)| (name, got, (got / wanted - 1.0).abs() > *by))
        .collect();
    assert!(off.iter().all(|(_, _, wrong)| !wrong), "{off:#?}");
}

#[test]
fn devices_behave_as_agents_do() {
    let batch = batch_of(
        200_000,
        Settings {
            apps: 1000,
            rate: 500,
            ..Settings::default()
        },
    );
    let mut payloads: HashMap<&[u8], u32> = HashMap::new();
    let mut sessions: HashMap<(Vec<u8>, Vec<u8>, i64), HashSet<i64>> = HashMap::new();
    let (mut openings, mut empty, mut twice, mut unset_births, mut newcomers) = (0, 0, 0, 0, 0);
    let mut lateness = [0; 3];
    for (bytes, now) in batch.payloads().zip(&batch.times_ms) {
        let report = decode(bytes).unwrap();
        let sends = payloads.entry(bytes).or_default();
        *sends += 1;
        if *sends > 1 {
            assert!(report.protocol <= 26, "{}", report.protocol);
            continue;
        }
        empty += u32::from(report.sessions.is_empty());
        let starts: HashSet<i64> = report.sessions.iter().map(|s| s.start_ms).collect();
        openings += u32::from(!starts.contains(&report.session_start_ms));
        if starts.len() < report.sessions.len() {
            assert!(report.protocol <= 26 && report.protocol >= 8);
            twice += 1;
        }
        for session in &report.sessions {
            let id = (
                report.api_key.to_vec(),
                report.device_id().to_vec(),
                session.start_ms,
            );
            sessions.entry(id).or_default().insert(session.duration_ms);
            newcomers += u32::from(session.start_ms == report.first_session_ms);
            if session.birth_ms == Some(0) {
                assert_eq!(report.protocol, 27);
                unset_births += 1;
            }
            assert!(session.start_ms >= report.first_session_ms);
            let age = report.created_ms - session.start_ms;
            let late = now - (now - age);
            lateness[usize::from(late > 7_200_000) + usize::from(late > 86_400_000)] += 1;
        }
    }
    let resent = payloads.values().filter(|n| **n > 1).count();
    let grown = sessions.values().filter(|d| d.len() > 1).count();
    for (what, got) in [
        ("openings", openings as usize),
        ("empty envelopes", empty as usize),
        ("two records of a session", twice as usize),
        ("birth date 0", unset_births as usize),
        ("newcomers", newcomers as usize),
        ("resent", resent),
        ("grown later", grown),
        ("within hours", lateness[0]),
        ("within a day", lateness[1]),
        ("after days", lateness[2]),
    ] {
        assert!(got > 100, "{what}: {got}");
    }
}

#[test]
fn damage_has_the_reason_it_is_made_for() {
    let batch = batch_of(6_000, settings(1.0, 0.0));
    let mut seen: HashMap<Option<Reason>, u32> = HashMap::new();
    let mut repaired = 0;
    for bytes in batch.payloads() {
        match decode(bytes) {
            Ok(report) => {
                repaired += u32::from(report.repaired_errors > 0);
                *seen.entry(None).or_default() += 1;
            }
            Err(reason) => *seen.entry(Some(reason)).or_default() += 1,
        }
    }
    for reason in Reason::ALL.iter().filter(|r| **r != Reason::BadKey) {
        assert!(
            seen.get(&Some(*reason)).is_some_and(|n| *n > 50),
            "{reason}: {seen:?}"
        );
    }
    assert!(repaired > 300, "{repaired}");
}

#[test]
fn hostile_reports_stay_within_the_format() {
    let batch = batch_of(6_000, settings(0.0, 1.0));
    let mut bad_keys = 0;
    for bytes in batch.payloads() {
        match decode(bytes) {
            Ok(report) => {
                let mut again = Vec::new();
                wire::encode(&report, &mut again);
                assert!(again == bytes);
            }
            Err(reason) => {
                assert_eq!(reason, Reason::BadKey);
                bad_keys += 1;
            }
        }
    }
    // Empty and 256 bytes long: two of fourteen.
    assert!((600..1_150).contains(&bad_keys), "{bad_keys}");
}

#[test]
fn time_advances_with_the_reports() {
    let batch = batch_of(
        2_001,
        Settings {
            rate: 1_000,
            start_ms: 5,
            ..Settings::default()
        },
    );
    assert_eq!(batch.times_ms.first(), Some(&5));
    assert_eq!(batch.times_ms.last(), Some(&2_005));
    assert_eq!(batch.payload_offsets.len(), 2_002);
    assert_eq!(batch.key_offsets.len(), 2_002);
}
