//! The engine's rules one by one.

use std::collections::BTreeMap;

use super::super::*;
use super::harness::*;
use crate::counters::row::{parse_row, row_key};
use crate::crc::crc32c;
use crate::report::Report;

fn plain(count: usize) -> Vec<Entry> {
    (0..count as i64)
        .map(|at| entry(&report(b"AAA", NOW + at * 1_000), NOW + at * 1_000))
        .collect()
}

fn misuse<T: std::fmt::Debug>(result: Result<T, EngineError>, about: &str) {
    match result {
        Err(EngineError::Misuse(reason)) => assert!(reason.contains(about), "{reason}"),
        other => panic!("{other:?}"),
    }
}

fn groups_of(engine: &mut Engine<Tape>, api_key: &[u8], bucket: u32) -> Groups {
    let row = row_key(api_key, bucket).unwrap();
    let value = engine.peek_block(0, &row, None).unwrap().unwrap();
    groups(engine.plan(), &value)
}

#[test]
fn calls_in_the_wrong_order_change_nothing() {
    let plan = plan();
    let log = plain(3);
    let mut engine = engine(&plan);
    misuse(
        engine.assign(65_536, 0, Some(at(0)), None, 0, None),
        "65535",
    );
    misuse(engine.assign(-1, 0, Some(at(0)), None, 0, None), "65535");
    misuse(
        engine.assign(0, 5, Some(at(4)), None, 4, None),
        "below the log's start",
    );
    misuse(
        engine.assign(0, 5, Some(at(6)), None, 4, None),
        "starts at 5",
    );
    misuse(engine.assign(0, 0, Some(at(4)), None, 5, None), "gap");
    engine.assign(0, 0, Some(at(0)), None, 0, None).unwrap();
    misuse(engine.assign(0, 0, Some(at(0)), None, 0, None), "already");
    misuse(engine.rewind(0, 1), "ahead");
    misuse(engine.rewind(1, 0), "not assigned");
    misuse(engine.resume(records(0, 0, &log)), "no needs");
    misuse(engine.seed(0, std::iter::empty(), 0), "no such group");
    misuse(engine.acknowledge(1), "not in flight");
    misuse(engine.abandon(1), "not in flight");
    engine.absorb(records(0, 0, &log)).unwrap();
    let flush = engine.freeze(None).unwrap().unwrap();
    misuse(engine.freeze(None), "in flight");
    misuse(engine.acknowledge(flush.id + 1), "not in flight");
    engine.acknowledge(flush.id).unwrap();
    misuse(engine.abandon(flush.id), "not in flight");
    assert_eq!(engine.freeze(None).unwrap(), None);
}

#[test]
fn needs_must_be_seeded_once_and_resumed_with_the_same_batch() {
    let plan = plan();
    let log = plain(3);
    let unknown = CountersPosition {
        max_bucket: None,
        ..at(0)
    };
    let mut engine = counting(&plan, unknown);
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.needs().len(), 1);
    misuse(engine.absorb(records(0, 3, &log)), "needs are open");
    misuse(engine.freeze(None), "needs are open");
    misuse(engine.evict(0), "needs are open");
    misuse(engine.resume(records(0, 0, &log)), "not every group");
    let stray = Cell {
        index: 1,
        timestamp: 1,
        value: b"",
    };
    misuse(engine.seed(0, [stray].into_iter(), 3), "nobody asked for");
    misuse(engine.seed(0, std::iter::empty(), 3), "seeded already");

    let mut engine = counting(&plan, unknown);
    engine.absorb(records(0, 0, &log)).unwrap();
    engine.seed(0, std::iter::empty(), 3).unwrap();
    misuse(engine.resume(records(0, 1, &log)), "another batch");
}

#[test]
fn a_gap_stops_the_partition_and_nothing_of_it_is_written() {
    let plan = plan();
    let log = plain(3);
    for first in [1, -1] {
        let mut engine = counting(&plan, at(0));
        engine.assign(1, 0, Some(at(0)), None, 0, None).unwrap();
        engine.absorb(records(0, first, &log)).unwrap();
        engine.absorb(records(1, 0, &log)).unwrap();
        let stops = engine.take_stops();
        assert_eq!(stops.len(), 1);
        assert_eq!(
            (stops[0].partition, stops[0].kind.name()),
            (0, "gap_in_offsets")
        );
        assert!(engine.take_stops().is_empty());
        engine.absorb(records(0, 0, &log)).unwrap();
        assert_eq!(engine.stats().ignored, 2 + 3);
        let flush = engine.freeze(None).unwrap().unwrap();
        assert!(flush.parts.iter().all(|part| part.partition == 1));
        assert_eq!(flush.positions.len(), 1);
    }
    // Also in the middle.
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    engine.absorb(records(0, 4, &log)).unwrap();
    assert_eq!(engine.take_stops()[0].kind, StopKind::GapInOffsets);
    assert_eq!(engine.freeze(None).unwrap(), None);
}

#[test]
fn the_record_before_a_position_is_compared() {
    let plan = plan();
    let log = plain(4);
    let crc = crc32c(&log[1].payload);
    for (known, stops) in [(Some(crc), 0), (Some(!crc), 1), (None, 0)] {
        let position = CountersPosition {
            crc: known,
            ..at(2)
        };
        let mut engine = engine(&plan);
        engine.assign(0, 0, Some(position), None, 1, None).unwrap();
        engine.absorb(records(0, 1, &log[1..])).unwrap();
        let stopped = engine.take_stops();
        assert_eq!(stopped.len(), stops);
        assert!(stopped.iter().all(|stop| stop.kind == StopKind::Truncated));
        let counted = if stops == 0 { 2 } else { 0 };
        assert_eq!(
            engine.stats().counted,
            counted,
            "the record itself is not counted"
        );
        // The archive's position is compared as well.
        let archive = ArchivePosition {
            position: 2,
            crc: known,
        };
        let mut engine = super::harness::engine(&plan);
        engine.assign(0, 0, None, Some(archive), 1, None).unwrap();
        engine.absorb(records(0, 1, &log[1..])).unwrap();
        assert_eq!(engine.take_stops().len(), stops);
    }
}

#[test]
fn what_was_read_before_a_rewind_is_compared() {
    let plan = plan();
    let mut log = plain(4);
    let mut engine = engine(&plan);
    let origin = ArchivePosition {
        position: 0,
        crc: None,
    };
    engine
        .assign(0, 0, Some(at(0)), Some(origin), 0, None)
        .unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    engine.archive_reset(0, origin).unwrap();
    engine.rewind(0, 0).unwrap();
    log[3].payload.push(0);
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.take_stops()[0].kind, StopKind::Truncated);
}

/// A store that holds what the log gave, frozen after `end` records.
fn stored(plan: &Arc<Plan>, log: &[Entry], end: usize) -> Store {
    let mut engine = counting(plan, at(0));
    engine.absorb(records(0, 0, &log[..end])).unwrap();
    let mut store = Store::default();
    store.put_all(&engine.freeze(None).unwrap().unwrap());
    store
}

#[test]
fn a_cell_is_compared_with_records_that_were_passed_before_it_was_read() {
    let plan = plan();
    let mut log = plain(8);
    for (at, entry) in log.iter_mut().enumerate().take(6).skip(2) {
        entry.payload = encoded(&report(b"BBB", NOW + at as i64));
    }
    let mut store = stored(&plan, &log, 5);
    store
        .cells
        .retain(|(_, row, _), _| row.windows(3).any(|w| w == b"AAA"));
    for spoiled in [false, true] {
        let mut log = log.clone();
        if spoiled {
            log[4].payload = encoded(&report(b"BBB", NOW + 40));
        }
        let unknown = CountersPosition {
            max_bucket: None,
            ..at(2)
        };
        let mut engine = counting(&plan, unknown);
        // Record 4 is passed in the first batch; AAA is met in the second.
        for (first, batch) in [(2, &log[2..6]), (6, &log[6..])] {
            engine.absorb(records(0, first, batch)).unwrap();
            store.seed(&mut engine, 0, 8);
            engine.resume(records(0, first, batch)).unwrap();
        }
        let stopped = engine.take_stops();
        assert_eq!(stopped.len(), usize::from(spoiled));
        assert!(stopped.iter().all(|stop| stop.kind == StopKind::Truncated));
        let flush = engine.freeze(None).unwrap();
        assert_eq!(flush.is_none(), spoiled, "who is stopped writes nothing");
    }
}

#[test]
fn a_stored_cell_names_a_record_that_is_compared_too() {
    let plan = plan();
    let log = plain(8);
    let unknown = |position| CountersPosition {
        max_bucket: None,
        ..at(position)
    };
    // Its last record (offset 4) comes in the batch that needs it, in a later
    // one, or came before the position: then nobody can tell.
    for (from, to, stops) in [(2, 8, true), (2, 4, true), (5, 8, false)] {
        for spoiled in [false, true] {
            let store = stored(&plan, &log, 5);
            let mut log = log.clone();
            if spoiled {
                log[4].timestamp_ms += 1;
                log[4].payload = encoded(&report(b"AAA", NOW));
            }
            let mut engine = counting(&plan, unknown(from));
            engine
                .absorb(records(0, from, &log[from as usize..to]))
                .unwrap();
            store.seed(&mut engine, 0, 8);
            engine
                .resume(records(0, from, &log[from as usize..to]))
                .unwrap();
            if to < 8 {
                engine.absorb(records(0, to as i64, &log[to..])).unwrap();
            }
            let stopped = engine.take_stops();
            assert_eq!(stopped.len(), usize::from(stops && spoiled), "{from} {to}");
        }
    }
}

#[test]
fn records_that_the_cell_has_are_skipped_for_its_block_only() {
    let plan = plan();
    let mut log = plain(4);
    log[1] = entry(&report(b"BBB", NOW), NOW);
    log[2] = entry(&report(b"BBB", NOW + 1), NOW);
    let mut store = stored(&plan, &log, 2);
    let whole = straight(&plan, 0, &log);
    // The cell of BBB is lost with a crash: only AAA's was written.
    store
        .cells
        .retain(|(_, row, _), _| row.windows(3).any(|w| w == b"AAA"));
    assert_eq!(store.cells.len(), 1);
    let mut engine = counting(
        &plan,
        CountersPosition {
            max_bucket: None,
            ..at(0)
        },
    );
    engine.absorb(records(0, 0, &log)).unwrap();
    for group in 0..engine.needs().len() {
        store.seed(&mut engine, group, 4);
    }
    engine.resume(records(0, 0, &log)).unwrap();
    assert_eq!(engine.stats().skipped, 2, "a report and its session");
    for (row, (_, value)) in whole {
        assert_eq!(engine.peek_block(0, &row, None).unwrap().unwrap(), value);
    }
}

#[test]
fn a_cell_that_is_not_ours_is_fatal() {
    let plan = plan();
    let log = plain(4);
    let store = stored(&plan, &log, 3);
    let (timestamp, value) = store.cells.values().next().unwrap().clone();
    let other = Arc::new(Plan::parse(&PLAN.replace("cap = 3", "cap = 5")).unwrap());
    let (_, foreign) = stored(&other, &log, 3)
        .cells
        .values()
        .next()
        .unwrap()
        .clone();
    let mut flipped = value.clone();
    flipped[30] ^= 1;
    for (cells, log_end, reason) in [
        (vec![(0, timestamp + 1, &value)], 4, "not its timestamp"),
        (vec![(0, timestamp, &value)], 2, "beyond the log's end"),
        (vec![(0, timestamp, &foreign)], 4, "another plan"),
        (vec![(0, timestamp, &flipped)], 4, "CRC-32"),
        (
            vec![(0, timestamp, &value), (0, timestamp, &value)],
            4,
            "twice",
        ),
        (vec![(0, timestamp, &vec![])], 4, "shorter"),
    ] {
        let mut engine = counting(
            &plan,
            CountersPosition {
                max_bucket: None,
                ..at(0)
            },
        );
        engine.absorb(records(0, 0, &log)).unwrap();
        let cells = cells.iter().map(|(index, timestamp, value)| Cell {
            index: *index,
            timestamp: *timestamp,
            value,
        });
        let error = engine.seed(0, cells, log_end).unwrap_err();
        assert!(matches!(
            error,
            EngineError::CellCorrupt { partition: 0, .. }
        ));
        assert!(error.to_string().contains(reason), "{error}");
        misuse(engine.resume(records(0, 0, &log)), "not every group");
    }
}

#[test]
fn absence_is_proved_only_above_what_may_be_stored() {
    let plan = plan();
    let hour = crate::clock::bucket(NOW);
    let log = plain(1);
    for (max_bucket, reads) in [
        (Some(-1), 0),
        (Some(i64::from(hour) - 1), 0),
        (Some(i64::from(hour)), 1),
        (Some(i64::MAX), 1),
        (None, 1),
    ] {
        let mut engine = counting(
            &plan,
            CountersPosition {
                max_bucket,
                ..at(0)
            },
        );
        engine.absorb(records(0, 0, &log)).unwrap();
        assert_eq!(engine.needs().len(), reads, "{max_bucket:?}");
        assert_eq!(engine.stats().base_reads, reads as u64);
    }
}

#[test]
fn an_evicted_block_is_read_again_and_no_other_of_its_hour() {
    let plan = plan();
    let mut log = plain(1);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.evict(0).unwrap(), 0, "it is dirty");
    let flush = engine.freeze(None).unwrap().unwrap();
    assert_eq!(engine.evict(0).unwrap(), 0, "it is in flight");
    engine.acknowledge(flush.id).unwrap();
    assert_eq!(engine.evict(usize::MAX).unwrap(), 0, "there is room");
    assert_eq!(engine.evict(0).unwrap(), 1);
    log.push(entry(&report(b"NEW", NOW), NOW));
    log.push(entry(&report(b"AAA", NOW), NOW));
    log.push(entry(&report(b"AAA", NOW + HOUR), NOW + HOUR));
    engine.absorb(records(0, 1, &log[1..])).unwrap();
    let rows: Vec<_> = engine.needs()[0]
        .rows
        .iter()
        .map(|row| parse_row(row).unwrap())
        .collect();
    assert_eq!(rows, [(&b"AAA"[..], crate::clock::bucket(NOW))]);
}

#[test]
fn needs_are_grouped_by_month_and_partition() {
    let plan = plan();
    let month_end = 384_240 * HOUR; // 2013-11-01
    let mut early = report(b"AAA", month_end - 1_000);
    early.created_ms = month_end + 1_000;
    let log = vec![entry(&early, month_end + 1_000)];
    let mut engine = engine(&plan);
    let unknown = CountersPosition {
        max_bucket: None,
        ..at(0)
    };
    for partition in [3, 65_535] {
        engine
            .assign(partition, 0, Some(unknown), None, 0, None)
            .unwrap();
        engine
            .assign(partition - 1, 0, Some(at(0)), None, 0, None)
            .unwrap();
    }
    let batch = records(3, 0, &log)
        .chain(records(65_535, 0, &log))
        .chain(records(2, 0, &log));
    engine.absorb(batch.clone()).unwrap();
    let found: Vec<_> = engine
        .needs()
        .iter()
        .map(|need| (need.table.as_str(), need.partition, need.rows.len()))
        .collect();
    assert_eq!(
        found,
        [
            ("counters_201311", 3, 1),
            ("counters_201310", 3, 1),
            ("counters_201311", 65_535, 1),
            ("counters_201310", 65_535, 1),
        ]
    );
    for group in 0..4 {
        engine.seed(group, std::iter::empty(), 1).unwrap();
    }
    engine.resume(batch).unwrap();
    let flush = engine.freeze(Some(&[3])).unwrap().unwrap();
    let tables: Vec<_> = flush.parts.iter().map(|part| part.table.as_str()).collect();
    assert_eq!(tables, ["counters_201310", "counters_201311"]);
    assert_eq!(
        flush.parts[0].qualifier[..8],
        [plan.id.to_be_bytes(), INCARNATION.to_be_bytes()].concat()[..]
    );
    assert_eq!(flush.parts[0].qualifier[8..], 3u16.to_be_bytes());
}

#[test]
fn a_flush_is_one_instant() {
    let plan = plan();
    let log = plain(6);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log[..3])).unwrap();
    let flush = engine.freeze(None).unwrap().unwrap();
    engine.absorb(records(0, 3, &log[3..])).unwrap();
    let position = flush.positions[0].position;
    assert_eq!(position.position, 3);
    assert_eq!(position.crc, Some(crc32c(&log[2].payload)));
    assert_eq!(
        position.max_bucket,
        Some(i64::from(crate::clock::bucket(NOW)))
    );
    assert_eq!(position.max_timestamp, NOW + 2_000);
    let truth = straight(&plan, 0, &log[..3]);
    let part = &flush.parts[0];
    assert_eq!(part.timestamp, 3);
    assert_eq!(
        truth[part.rows.get(0).unwrap()].1,
        part.values.get(0).unwrap()
    );
    // Acknowledged, the later records are still to be written.
    engine.acknowledge(flush.id).unwrap();
    assert!(engine.memory().unwritten);
    assert_eq!(engine.evict(0).unwrap(), 0);
    let state = &engine.partitions()[0];
    assert_eq!((state.counters, state.dirty_blocks), (Some((6, 3)), 1));
    assert_eq!(state.oldest_unflushed_ms, Some(NOW + 3_000));
    let flush = engine.freeze(None).unwrap().unwrap();
    assert_eq!(flush.parts[0].timestamp, 6);
    // Abandoned, everything is to be written again.
    engine.abandon(flush.id).unwrap();
    assert_eq!(
        engine.partitions()[0].oldest_unflushed_ms,
        Some(NOW + 3_000)
    );
    let again = engine.freeze(None).unwrap().unwrap();
    assert_eq!(again.parts, flush.parts);
}

#[test]
fn positions_move_where_no_block_is_dirty() {
    let text = "[[rollup]]\nname='e'\ndimensions=['error']\nmeasures=['errors']\n";
    let plan = Arc::new(Plan::parse(text).unwrap());
    let log = plain(2);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(
        engine.block_count(),
        0,
        "nothing was counted, so there is no block"
    );
    let flush = engine.freeze(None).unwrap().unwrap();
    assert!(flush.parts.is_empty());
    // The receive hour counts for M all the same.
    let hour = i64::from(crate::clock::bucket(NOW));
    assert_eq!(flush.positions[0].position.max_bucket, Some(hour));
}

#[test]
fn sinks_pass_by_what_they_have_and_wait_for_what_they_lack() {
    let plan = plan();
    let log = plain(8);
    let mut engine = engine(&plan);
    let archive = ArchivePosition {
        position: 2,
        crc: None,
    };
    engine
        .assign(0, 0, Some(at(5)), Some(archive), 1, None)
        .unwrap();
    engine.absorb(records(0, 1, &log[1..])).unwrap();
    let stats = engine.stats();
    assert_eq!((stats.passed_by, stats.counted, stats.archived), (1, 3, 6));
    assert_eq!(engine.archive_sink(0).unwrap().taken[0].0, 2);
    // Set back without a rewind, the archive waits: it takes no record but its next.
    engine.archive_reset(0, archive).unwrap();
    engine.absorb(records(0, 8, &log[..1])).unwrap();
    assert_eq!(engine.archive_sink(0).unwrap().taken, []);
    engine.rewind(0, 2).unwrap();
    engine.absorb(records(0, 2, &log[2..])).unwrap();
    assert_eq!(engine.archive_sink(0).unwrap().taken.len(), 6);
    assert_eq!(engine.stats().counted, 4, "counters passed them by");
    // So do the counters.
    engine.counters_shed(0, at(7), None).unwrap();
    assert_eq!(engine.block_count(), 0);
    engine.absorb(records(0, 8, &log[..1])).unwrap();
    assert_eq!(engine.block_count(), 0);
    engine.rewind(0, 7).unwrap();
    engine.absorb(records(0, 7, &log[7..])).unwrap();
    assert_eq!(engine.block_count(), 1);
}

#[test]
fn partitions_may_go_at_any_time() {
    let plan = plan();
    let log = plain(2);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    let flush = engine.freeze(None).unwrap().unwrap();
    engine.drop_partition(0);
    engine.drop_partition(7);
    engine.assign(0, 0, Some(at(0)), None, 0, None).unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    engine.acknowledge(flush.id).unwrap();
    // The acknowledgement was for another assignment: this one has written nothing.
    assert_eq!(engine.partitions()[0].counters, Some((2, 0)));
    assert!(engine.memory().unwritten);
    engine.drop_partition(0);
    assert_eq!((engine.block_count(), engine.group_count()), (0, 0));
    assert_eq!(engine.memory().dirty, 0);
}

#[test]
fn caps_fold_what_comes_later_into_other() {
    let plan = plan();
    let mut log = Vec::new();
    for country in [b"xx_A", b"xx_B", b"xx_C", b"xx_D", b"xx_A", b"xx_E"] {
        let mut report = report(b"AAA", NOW);
        report.sessions[0].locale = Some(country);
        log.push(entry(&report, NOW));
    }
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    let all = groups_of(&mut engine, b"AAA", crate::clock::bucket(NOW));
    let key = |country: &str| Some(vec![country.to_owned(), "1.0".to_owned()]);
    let expected = BTreeMap::from([
        (key("A"), vec![2, 10_000]),
        (key("B"), vec![1, 5_000]),
        (key("C"), vec![1, 5_000]),
        (None, vec![2, 10_000]),
    ]);
    assert_eq!(all[&1], expected);
    assert_eq!(all[&0][&Some(vec![])][..6], [6, 6, 6, 6, 30_000, 0]);
}

#[test]
fn unreadable_records_count_by_reason_in_the_reserved_block() {
    let plan = plan();
    let entries: Vec<_> = [&b""[..], b"\0\x63", b""]
        .iter()
        .map(|payload| Entry {
            payload: payload.to_vec(),
            timestamp_ms: NOW,
        })
        .collect();
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &entries)).unwrap();
    let all = groups_of(&mut engine, b"", crate::clock::bucket(NOW));
    let key = |reason: &str| Some(vec![reason.to_owned()]);
    let expected = BTreeMap::from([
        (key("truncated"), vec![2]),
        (key("unknown_protocol"), vec![1]),
    ]);
    assert_eq!(all, BTreeMap::from([(255, expected)]));
    assert_eq!(engine.stats().unreadable[1], 2);
    assert_eq!(engine.stats().unreadable[3], 1);
}

#[test]
fn additions_saturate() {
    let text = "[[rollup]]\nname='a'\ndimensions=[]\nmeasures=['sessions']\ncap=1\n";
    let plan = Arc::new(Plan::parse(text).unwrap());
    let row = row_key(b"AAA", crate::clock::bucket(NOW)).unwrap();
    let log = plain(3);
    let mut engine = counting(
        &plan,
        CountersPosition {
            max_bucket: None,
            ..at(1)
        },
    );
    let mut value = Vec::new();
    let header = crate::counters::block::Header {
        end: 1,
        plan: plan.id,
        last_crc: 0,
    };
    let mut writer = crate::counters::block::Writer::begin(&mut value, header, 1);
    let group = (&b""[..], &[u64::MAX - 1][..]);
    writer.section(0, [group].into_iter(), None);
    writer.finish();
    engine.absorb(records(0, 1, &log[1..])).unwrap();
    let cell = Cell {
        index: 0,
        timestamp: 1,
        value: &value,
    };
    engine.seed(0, [cell].into_iter(), 3).unwrap();
    engine.resume(records(0, 1, &log[1..])).unwrap();
    let value = engine.peek_block(0, &row, None).unwrap().unwrap();
    assert_eq!(groups(&plan, &value)[&0][&Some(vec![])], [u64::MAX]);
}

#[test]
fn a_block_can_be_looked_at_as_of_any_end_since_its_last_record() {
    let plan = plan();
    let mut log = plain(4);
    for entry in &mut log[2..] {
        entry.payload = encoded(&report(b"BBB", NOW));
    }
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    let row = row_key(b"AAA", crate::clock::bucket(NOW)).unwrap();
    for end in 2..=4 {
        let crc = crc32c(&log[end - 1].payload);
        let seen = engine.peek_block(0, &row, Some((end as i64, crc))).unwrap();
        assert_eq!(
            seen.as_ref(),
            Some(&straight(&plan, 0, &log[..end])[&row].1)
        );
    }
    misuse(engine.peek_block(0, &row, Some((1, 0))), "not below 1");
    misuse(engine.peek_block(0, &row, Some((5, 0))), "not below 5");
    assert_eq!(engine.peek_block(0, b"no row", None).unwrap(), None);
    let nobody = row_key(b"ZZZ", 1).unwrap();
    assert_eq!(engine.peek_block(0, &nobody, None).unwrap(), None);
}

/// Sixty thousand distinct names in one report: sorted out by hashing, folded
/// into `(other)` past the cap, operation batch by operation batch.
#[test]
fn a_hostile_report_is_counted_like_any_other() {
    let plan = plan();
    let names: Vec<String> = (0..60_000).map(|at| format!("name {at}")).collect();
    let mut hostile = Report {
        api_key: b"AAA",
        ..report(b"AAA", NOW)
    };
    hostile.counts = names.iter().map(|name| (name.as_bytes(), 1)).collect();
    hostile.sessions[0].counts = 0..60_000;
    let log = vec![entry(&hostile, NOW)];
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    let all = groups_of(&mut engine, b"AAA", crate::clock::bucket(NOW));
    assert_eq!(all[&2].len(), 5);
    assert_eq!(all[&2][&None], [59_996, 59_996, 0]);
}

#[test]
fn nothing_leaves_an_engine_that_lost_groups() {
    let plan = plan();
    let log = plain(2);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log[..1])).unwrap();
    engine.blocks.run_out_of_numbers();
    assert_eq!(engine.freeze(None), Err(EngineError::TableFull));
    assert_eq!(
        engine.absorb(records(0, 1, &log[1..])),
        Err(EngineError::TableFull)
    );
    let row = row_key(b"AAA", crate::clock::bucket(NOW)).unwrap();
    assert_eq!(
        engine.peek_block(0, &row, None),
        Err(EngineError::TableFull)
    );
}
