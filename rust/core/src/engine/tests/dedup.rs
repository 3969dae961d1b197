//! Sessions that come again: what counts, and what is remembered of the past.

use super::super::*;
use super::harness::*;
use crate::clock::bucket;
use crate::counters::row::row_key;
use crate::report::Report;

const MINUTE: i64 = 60_000;

fn at(position: i64, max_timestamp: i64) -> CountersPosition {
    CountersPosition {
        position,
        max_bucket: Some(-1),
        crc: None,
        max_timestamp,
    }
}

fn counting(plan: &Arc<Plan>) -> Engine<Tape> {
    let mut engine = engine(plan);
    engine.assign(0, 0, Some(at(0, -1)), None, 0, None).unwrap();
    engine
}

/// A report with one session of this start and duration.
fn sent(start_ms: i64, duration_ms: i64, timestamp_ms: i64) -> Entry {
    let mut report = report(b"AAA", start_ms);
    report.sessions[0].duration_ms = duration_ms;
    report.created_ms = timestamp_ms;
    Entry {
        payload: encoded(&report),
        timestamp_ms,
    }
}

fn device(id: &'static [u8], mut report: Report<'static>, timestamp_ms: i64) -> Entry {
    report.device_ids = vec![(0, id)];
    Entry {
        payload: encoded(&report),
        timestamp_ms,
    }
}

/// (reports, sessions, duration, duplicates, superseded) of an hour.
fn hour(engine: &mut Engine<Tape>, bucket: u32) -> [u64; 5] {
    let row = row_key(b"AAA", bucket).unwrap();
    let value = engine.peek_block(0, &row, None).unwrap().unwrap();
    let all = groups(engine.plan(), &value);
    let app = &all[&0][&Some(vec![])];
    [app[0], app[1], app[4], app[11], app[12]]
}

fn misuse<T: std::fmt::Debug>(result: Result<T, EngineError>, about: &str) {
    match result {
        Err(EngineError::Misuse(reason)) => assert!(reason.contains(about), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_occurrence_stands_and_fixes_the_bucket() {
    let log = [
        sent(NOW, 5, NOW + HOUR),
        sent(NOW, 5, NOW + HOUR),
        sent(NOW, 900, NOW + 2 * HOUR),
        sent(NOW, 900, NOW + 2 * HOUR),
    ];
    let mut engine = counting(&forgetful(6 * HOUR, 1_000));
    engine.absorb(records(0, 0, &log)).unwrap();
    let first = bucket(NOW);
    assert_eq!(hour(&mut engine, first), [0, 1, 5, 0, 0]);
    assert_eq!(hour(&mut engine, first + 1), [2, 0, 0, 1, 0]);
    assert_eq!(hour(&mut engine, first + 2), [2, 0, 0, 1, 1]);
    let stats = engine.stats();
    assert_eq!(
        (stats.sessions, stats.duplicates, stats.superseded),
        (1, 2, 1)
    );
}

#[test]
fn without_a_window_all_count() {
    let log = [sent(NOW, 5, NOW), sent(NOW, 5, NOW)];
    let mut engine = counting(&plan());
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(hour(&mut engine, bucket(NOW)), [2, 2, 10, 0, 0]);
    assert_eq!(engine.memory().dedup, 0);
    assert_eq!(engine.recall_since(NOW), None);
}

#[test]
fn who_it_is_is_key_device_and_start() {
    let log = [
        device(b"one", report(b"AAA", NOW), NOW),
        device(b"two", report(b"AAA", NOW), NOW),
        device(b"one", report(b"AA", NOW), NOW),
        device(b"one", report(b"AAA", NOW + 1), NOW),
        Entry {
            payload: vec![],
            timestamp_ms: NOW,
        },
        device(b"one", report(b"AAA", NOW), NOW),
    ];
    let mut engine = counting(&forgetful(HOUR, 1_000));
    engine.absorb(records(0, 0, &log)).unwrap();
    let stats = engine.stats();
    assert_eq!((stats.sessions, stats.duplicates), (4, 1));
}

#[test]
fn a_record_that_waits_for_its_block_keeps_what_was_decided() {
    let plan = forgetful(HOUR, 1_000);
    let log = [sent(NOW, 5, NOW), sent(NOW, 7, NOW)];
    let unknown = CountersPosition {
        max_bucket: None,
        ..at(0, -1)
    };
    let mut engine = engine(&plan);
    engine.assign(0, 0, Some(unknown), None, 0, None).unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.needs().len(), 1);
    engine.seed(0, std::iter::empty(), 2).unwrap();
    engine.resume(records(0, 0, &log)).unwrap();
    assert_eq!(hour(&mut engine, bucket(NOW)), [2, 1, 5, 0, 1]);
}

#[test]
fn a_rewind_for_the_archive_is_no_second_appearance() {
    let plan = forgetful(80 * MINUTE, 1_000);
    let log = [
        sent(NOW, 5, NOW),
        sent(NOW + 1, 5, NOW + 60 * MINUTE),
        sent(NOW, 5, NOW + 100 * MINUTE),
    ];
    let archive = ArchivePosition {
        position: 0,
        crc: None,
    };
    let mut engine = engine(&plan);
    engine
        .assign(0, 0, Some(at(0, -1)), Some(archive), 0, None)
        .unwrap();
    engine.absorb(records(0, 0, &log[..2])).unwrap();
    engine.archive_reset(0, archive).unwrap();
    engine.rewind(0, 0).unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.stats().sessions, 3); // the third came too late to be a duplicate
    assert_eq!(engine.stats().duplicates, 0);
    assert_eq!(engine.archive_sink(0).unwrap().next, 3);
}

#[test]
fn counters_go_on_only_when_the_past_is_known() {
    let plan = forgetful(HOUR, 1_000);
    let log: Vec<_> = (0..6).map(|at| sent(NOW + at, 5, NOW + at)).collect();
    let mut engine = engine(&plan);
    misuse(
        engine.assign(0, 0, Some(at(4, NOW + 3)), None, 4, None),
        "say from where",
    );
    misuse(
        engine.assign(0, 0, Some(at(4, NOW + 3)), None, 4, Some(5)),
        "leave out",
    );
    engine
        .assign(0, 0, Some(at(4, NOW + 3)), None, 4, Some(1))
        .unwrap();
    misuse(
        engine.absorb(records(0, 4, &log[4..])),
        "nobody recalled record 1",
    );
    misuse(
        recall(&mut engine, 0, &archived(2, &log[2..3])),
        "where 1 was due",
    );
    // Those that were remembered, or are yet to be counted, are passed by.
    assert_eq!(recall(&mut engine, 0, &archived(0, &log[..2])), Ok(2));
    assert_eq!(recall(&mut engine, 0, &archived(1, &log[1..])), Ok(4));
    assert_eq!(recall(&mut engine, 0, &archived(0, &log)), Ok(4));
    assert_eq!(engine.partitions()[0].known_sessions, 3);
    engine.absorb(records(0, 4, &log[4..])).unwrap();
    assert_eq!(engine.take_stops(), []);
    let stats = engine.stats();
    assert_eq!((stats.sessions, stats.recalled), (2, 3));
    misuse(recall(&mut engine, 1, &[]), "not assigned");
}

#[test]
fn both_ways_to_the_past_lead_to_the_same() {
    let mut random = Random::new(5);
    for _ in 0..200 {
        let window = random.pick(&[HOUR / 2, 2 * HOUR]);
        let plan = forgetful(window, random.pick(&[9, 27, 1_000]));
        let log = random_log(&mut random, 40);
        let middle = 5 + random.below(30) as i64;
        let latest = log[..middle as usize]
            .iter()
            .map(|entry| entry.timestamp_ms)
            .max()
            .unwrap();
        let mut stats = Vec::new();
        for archive_end in [0, middle, 40, random.below(40) as i64] {
            let mut engine = engine(&plan);
            let since = engine.recall_since(latest).unwrap();
            let from = log.iter().position(|e| e.timestamp_ms >= since).unwrap() as i64;
            engine
                .assign(0, 0, Some(at(middle, latest)), None, from, Some(from))
                .unwrap();
            recall(&mut engine, 0, &archived(0, &log[..archive_end as usize])).unwrap();
            engine
                .absorb(records(0, from, &log[from as usize..]))
                .unwrap();
            assert_eq!(engine.take_stops(), []);
            let s = engine.stats();
            let known = engine.partitions()[0].known_sessions;
            stats.push((s.counted, s.sessions, s.duplicates, s.superseded, known));
        }
        // And as if nothing had happened in between.
        let mut whole = counting(&plan);
        whole
            .absorb(records(0, 0, &log[..middle as usize]))
            .unwrap();
        let before = whole.stats();
        whole
            .absorb(records(0, middle, &log[middle as usize..]))
            .unwrap();
        let after = whole.stats();
        stats.push((
            after.counted - before.counted,
            after.sessions - before.sessions,
            after.duplicates - before.duplicates,
            after.superseded - before.superseded,
            whole.partitions()[0].known_sessions,
        ));
        assert!(stats.windows(2).all(|pair| pair[0] == pair[1]), "{stats:?}");
    }
}

#[test]
fn after_a_shed_the_counters_sleep_until_the_past_is_read_again() {
    let plan = forgetful(HOUR, 1_000);
    let log: Vec<_> = (0..4).map(|_| sent(NOW, 5, NOW)).collect();
    let mut engine = counting(&plan);
    engine.absorb(records(0, 0, &log[..2])).unwrap();
    assert!(engine.memory().dedup > 0);
    engine.counters_shed(0, at(1, NOW), None).unwrap();
    assert_eq!(engine.memory().dedup, 0);
    engine.rewind(0, 0).unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.partitions()[0].counters, Some((1, 1)));
    engine.counters_shed(0, at(1, NOW), Some(0)).unwrap();
    engine.rewind(0, 0).unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.partitions()[0].counters, Some((4, 1)));
    let stats = engine.stats();
    assert_eq!((stats.sessions, stats.duplicates), (1, 4));
    misuse(engine.counters_shed(0, at(1, NOW), Some(2)), "leave out");
    misuse(engine.counters_shed(7, at(1, NOW), None), "not assigned");
}

#[test]
fn another_past_than_the_one_that_was_counted_stops_the_partition() {
    let plan = forgetful(HOUR, 1_000);
    let log = [sent(NOW, 5, NOW), sent(NOW, 5, NOW + 1)];
    for from_archive in [true, false] {
        let mut engine = engine(&plan);
        engine
            .assign(0, 0, Some(at(1, NOW + 7)), None, 0, Some(0))
            .unwrap();
        if from_archive {
            recall(&mut engine, 0, &archived(0, &log)).unwrap();
        }
        engine.absorb(records(0, 0, &log)).unwrap();
        let stops = engine.take_stops();
        assert_eq!(stops[0].kind, StopKind::OtherHistory);
        assert_eq!(engine.stats().counted, 0);
    }
    // Where nobody recorded it, what is found holds.
    let mut engine = engine(&plan);
    engine
        .assign(0, 0, Some(at(1, -1)), None, 0, Some(0))
        .unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.stats().duplicates, 1);
    let flush = engine.freeze(None).unwrap().unwrap();
    assert_eq!(flush.positions[0].position.max_timestamp, NOW + 1);
}

/// Kafka time begins anew where the past does (an origin, a recorded gap).
#[test]
fn a_beginning_needs_no_past() {
    let plan = forgetful(HOUR, 1_000);
    let log = [sent(NOW, 5, NOW)];
    let mut engine = engine(&plan);
    engine
        .assign(0, 3, Some(at(3, NOW + 9 * HOUR)), None, 3, Some(3))
        .unwrap();
    engine.absorb(records(0, 3, &log)).unwrap();
    let flush = engine.freeze(None).unwrap().unwrap();
    assert_eq!(flush.positions[0].position.max_timestamp, NOW);
}
