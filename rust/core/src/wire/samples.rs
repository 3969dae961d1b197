//! Reports for tests: the captures, and made-up ones in which every field of
//! their protocol holds something.

use std::path::{Path, PathBuf};

use crate::report::{ErrorRecord, Event, Launch, Location, Report, Session};

/// Every captured body with its path, sorted.
pub(crate) fn captures() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut found: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .filter_map(|agent| std::fs::read_dir(agent.unwrap().path()).ok())
        .flatten()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    assert_eq!(found.len(), 245);
    found
}

/// The report that `decode` makes of `encode(&rich(protocol))`.
pub(crate) fn rich(protocol: u16) -> Report<'static> {
    let full = protocol >= 15;
    let ids = protocol >= 22;
    let late = protocol >= 29;
    let latest = protocol >= 30;
    let mut report = Report {
        protocol,
        ad_flag: 1,
        platform: 3,
        agent_version: 1234,
        created_ms: 1_384_000_000_123,
        api_key: b"ABCDEFGHJKLMNPQRSTUV",
        app_version: "3.0-bêta".as_bytes(),
        device_ids: vec![(0, b"AND9f3c0d5b7a1e2468")],
        first_session_ms: -1,
        session_start_ms: i64::MAX,
        properties: vec![(b"device.model", b"Nexus 4"), (b"build.brand", b"")],
        non_ascii: true,
        ..Report::default()
    };
    if full {
        report.ad_cache_ms = 77;
        report.ad_ids = vec![(0, -5), (255, i64::MIN)];
    }
    if ids {
        report.device_ids.insert(0, (5, b"\xff\x00\x80"));
    }
    if protocol >= 24 {
        report.values = vec![b"spring", b"\xc3\xa9t\xc3\xa9", b"email"];
        report.referrer = vec![
            (b"utm_campaign", 0..2),
            (b"none", 2..2),
            (b"utm_medium", 2..3),
        ];
        report.push_token = Some(b"token");
    }
    if protocol >= 25 {
        report.values.push(b"notification");
        report.launch_options = vec![(b"from", 3..4)];
    }
    if protocol >= 27 {
        report.previous_delivered = Some(true);
    }
    if late {
        report.ad_tracking = Some(false);
        report.pairs = vec![(b"a", b"b")];
        report.origins = vec![(b"origin", 0..1), (b"empty", 1..1)];
    }
    if latest {
        report.package = Some(b"org.example.game");
    }
    push_session(&mut report, 1, full, ids);
    push_session(&mut report, 0, full, ids);
    report
}

fn push_session(report: &mut Report<'static>, errors: u32, full: bool, ids: bool) {
    let protocol = report.protocol;
    let mut session = Session {
        app_version: b"3.1",
        start_ms: 1_384_000_000_000,
        duration_ms: -1,
        pause_ms: if full { 9 } else { 0 },
        locale: full.then_some(b"he_"),
        timezone: full.then_some(b"Asia/Jerusalem"),
        network: if full { 2 } else { -1 },
        user_id: b"\xed\xa0\xbd",
        location: Some(Location {
            lat_bits: 37.775_f64.to_bits(),
            lon_bits: f64::NAN.to_bits() | 1,
            accuracy_bits: 52.3_f32.to_bits(),
        }),
        page_views: -7,
        unknown: [-1, if full { 4 } else { -1 }],
        gender: if full { 1 } else { -1 },
        birth_ms: full.then_some(0),
        events_complete: true,
        total_errors: 12,
        ..Session::default()
    };
    let end = |length: usize| length as u32;
    if protocol >= 30 {
        report.pairs.push((b"option", b"1"));
        session.launch = Some(Launch {
            flag: true,
            kind: -1,
            origin: Some(b""),
            deep_link: Some(b"app://x"),
            options: end(report.pairs.len()) - 1..end(report.pairs.len()),
        });
        session.orientation = Some(1);
    }
    if protocol >= 29 {
        report.pairs.push((b"carrier.name", b"T-Mobile"));
        session.properties = end(report.pairs.len()) - 1..end(report.pairs.len());
    }
    let counts = end(report.counts.len());
    report
        .counts
        .extend([(&b"Level Start"[..], 2), (b"", i32::MIN)]);
    session.counts = counts..end(report.counts.len());
    let events = end(report.events.len());
    for name in [&b"Level Start"[..], b"nul\xc0\x80name"] {
        let params = end(report.params.len());
        report
            .params
            .extend([(&b"mode"[..], &b"hard"[..]), (b"level", b"")]);
        report.events.push(Event {
            id: ids.then_some(1),
            name,
            params: params..end(report.params.len()),
            offset_ms: full.then_some(-3),
            duration_ms: full.then_some(753),
        });
    }
    session.events = events..end(report.events.len());
    let first = end(report.errors.len());
    for number in 0..errors {
        report.errors.push(ErrorRecord {
            id: ids.then_some(number as u16 + 1),
            time_ms: 1_384_000_000_500,
            error_id: b"uncaught",
            message: b"boom",
            class: b"java.lang.IllegalStateException",
            kind: (protocol >= 26).then_some(3),
            trace: (protocol >= 26).then_some(b"at \xff line 1\n"),
        });
    }
    session.errors = first..end(report.errors.len());
    // A span of nothing is told from another only by where it stands.
    report.sessions.push(session);
}
