//! Memory that runs short: blocks that nobody touches are put away as bytes,
//! written or not, and are what they were when they come back.

use super::super::*;
use super::harness::*;

const GROUPS: usize = 1_030;

/// An hour a record, each with more groups than the cap, and the same names in
/// the hours beside it.
fn hours(count: i64) -> Vec<Entry> {
    let names: Vec<String> = (0..1_200).map(|at| format!("name {at}")).collect();
    let of = |hour: i64| {
        let mut report = report(b"AAA", NOW + hour * HOUR);
        let from = hour as usize * 7;
        report.counts = names[from..from + GROUPS]
            .iter()
            .map(|name| (name.as_bytes(), hour as i32 + 1))
            .collect();
        report.sessions[0].counts = 0..GROUPS as u32;
        entry(&report, NOW + hour * HOUR)
    };
    (0..count).map(of).collect()
}

/// A rollup with a cap, and one without dimensions.
fn plan_of_events() -> Arc<Plan> {
    let text = "[[rollup]]\nname='e'\ndimensions=['event']\nmeasures=['events','event_sessions']\ncap=1000\n\
        [[rollup]]\nname='all'\ndimensions=[]\nmeasures=['sessions','duration']\ncap=1\n";
    Arc::new(Plan::parse(text).unwrap())
}

fn check(engine: &mut Engine<Tape>, plan: &Arc<Plan>, log: &[Entry]) {
    let truth = straight(plan, 0, log);
    let (rows, _) = engine.touched(0);
    for row in rows.iter() {
        let value = engine.peek_block(0, row, None).unwrap().unwrap();
        assert_eq!(groups(plan, &value), groups(plan, &truth[row].1));
    }
}

/// Every block of a flush is what a straight count of the log comes to; how many there are.
fn check_flush(plan: &Arc<Plan>, log: &[Entry], flush: &Flush) -> usize {
    let truth = straight(plan, 0, log);
    let mut written = 0;
    for part in &flush.parts {
        for (row, value) in part.rows.iter().zip(part.values.iter()) {
            assert_eq!(groups(plan, value), groups(plan, &truth[row].1));
            written += 1;
        }
    }
    written
}

/// Tables that grow, shrink and are rebuilt: what stays is what was there.
#[test]
fn what_stays_in_memory_is_as_it_was() {
    let plan = plan_of_events();
    let log = hours(24);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log[..20])).unwrap();
    let before = engine.memory().blocks;
    assert_eq!(engine.evict(before / 2).unwrap(), 0, "bytes are less");
    assert!(engine.memory().blocks <= before / 2);
    assert!((5..20).contains(&engine.stats().blocks_packed));
    check(&mut engine, &plan, &log);
    let flush = engine.freeze(None).unwrap().unwrap();
    engine.acknowledge(flush.id).unwrap();
    assert_eq!(engine.group_count(), 0);
    check(&mut engine, &plan, &log);
    // Some of the blocks again, and new ones.
    engine.absorb(records(0, 20, &log[20..])).unwrap();
    check(&mut engine, &plan, &log);
    let evicted = engine.evict(before / 25).unwrap();
    assert!((1..20).contains(&evicted), "{evicted} of 20 clean ones");
    assert!(
        engine.memory().blocks <= before / 4,
        "the dirty ones are there"
    );
    assert_eq!(engine.block_count(), 24 - evicted);
    check(&mut engine, &plan, &log);
}

#[test]
fn what_is_not_written_yet_is_put_away_and_written_all_the_same() {
    let plan = plan_of_events();
    let mut log = hours(12);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    let (held, dirty) = (engine.memory().blocks, engine.memory().dirty);
    assert_eq!(engine.evict(0).unwrap(), 0, "all of them are dirty");
    assert_eq!(engine.stats().blocks_packed, 12);
    assert_eq!(engine.group_count(), 0);
    assert!(engine.memory().blocks < held / 3);
    assert!(engine.memory().dirty < dirty / 3);
    assert_eq!(engine.memory().dirty_blocks, 12);
    // Half of them are touched again.
    let again: Vec<Entry> = hours(6);
    log.extend(again.iter().cloned());
    engine.absorb(records(0, 12, &again)).unwrap();
    let since = GROUPS - 1_000; // a thousand were put together with the others at once
    assert_eq!(engine.group_count(), 6 * since);
    let flush = engine.freeze(None).unwrap().unwrap();
    assert_eq!(check_flush(&plan, &log, &flush), 12);
    // Written while they are put away, they leave when they are clean.
    assert_eq!(engine.evict(0).unwrap(), 0, "they are in flight");
    engine.acknowledge(flush.id).unwrap();
    assert_eq!(engine.evict(0).unwrap(), 12);
    assert_eq!(engine.memory().dirty, 0);
}

/// What a flush writes of a block is what is put away of it, whatever becomes of the flush.
#[test]
fn what_was_written_is_kept_and_added_to() {
    let plan = plan_of_events();
    let mut log = hours(4);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    let first = engine.freeze(None).unwrap().unwrap();
    assert_eq!(engine.group_count(), 0);
    log.extend(hours(2));
    engine.absorb(records(0, 4, &log[4..])).unwrap();
    check(&mut engine, &plan, &log);
    engine.abandon(first.id).unwrap();
    let second = engine.freeze(None).unwrap().unwrap();
    assert_eq!(
        check_flush(&plan, &log, &second),
        4,
        "all of them are dirty again"
    );
    engine.acknowledge(second.id).unwrap();
    assert_eq!(engine.group_count(), 0);
    assert_eq!(engine.freeze(None).unwrap(), None);
    check(&mut engine, &plan, &log);
}

/// What was read of the store is put away already: only what comes now lies in the table.
#[test]
fn what_was_read_is_added_to_where_it_lies() {
    let plan = plan_of_events();
    let mut log = hours(4);
    let mut store = Store::default();
    let mut first = counting(&plan, at(0));
    first.absorb(records(0, 0, &log)).unwrap();
    let flush = first.freeze(None).unwrap().unwrap();
    store.put_all(&flush);
    log.extend(hours(2));
    let mut engine = counting(&plan, flush.positions[0].position);
    engine.absorb(records(0, 4, &log[4..])).unwrap();
    for group in 0..engine.needs().len() {
        store.seed(&mut engine, group, 6);
    }
    assert_eq!(engine.group_count(), 0);
    engine.resume(records(0, 4, &log[4..])).unwrap();
    assert_eq!(engine.group_count(), 2 * (GROUPS - 1_000));
    check(&mut engine, &plan, &log);
    let flush = engine.freeze(None).unwrap().unwrap();
    assert_eq!(check_flush(&plan, &log, &flush), 2);
}

/// Where bytes take too much, those that were put away longest ago are compressed, and nothing leaves.
#[test]
fn what_was_put_away_first_is_compressed_first() {
    let plan = plan_of_events();
    let log = hours(20);
    let mut engine = counting(&plan, at(0));
    engine.blocks.shrink_after(1);
    for (next, record) in log.chunks(1).enumerate() {
        engine.absorb(records(0, next as i64, record)).unwrap();
        let flush = engine.freeze(None).unwrap().unwrap();
        engine.acknowledge(flush.id).unwrap();
    }
    engine.blocks.move_all(&engine.program);
    let before = engine.memory().blocks;
    let plain = engine.blocks.plain();
    assert_eq!(plain, (0..20).collect::<Vec<u32>>());
    assert_eq!(engine.evict(before / 4 * 3).unwrap(), 0);
    assert!(engine.memory().blocks <= before / 4 * 3);
    let plain = engine.blocks.plain();
    let youngest: Vec<u32> = (20 - plain.len() as u32..20).collect();
    assert!((1..19).contains(&plain.len()), "{plain:?}");
    assert_eq!(plain, youngest);
    check(&mut engine, &plan, &log);
}

#[test]
fn what_is_put_away_goes_with_its_partition() {
    let plan = plan_of_events();
    let log = hours(3);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    engine.evict(0).unwrap();
    engine.drop_partition(0);
    assert_eq!((engine.block_count(), engine.memory().dirty), (0, 0));
    engine.assign(0, 0, Some(at(0)), None, 0, None).unwrap();
    engine.absorb(records(0, 0, &log)).unwrap();
    check(&mut engine, &plan, &log);
}

/// One record of the first hour, with these of the names.
fn names(from: usize, count: usize) -> Entry {
    let names: Vec<String> = (from..from + count)
        .map(|at| format!("name {at}"))
        .collect();
    let mut report = report(b"AAA", NOW);
    report.counts = names.iter().map(|name| (name.as_bytes(), 3)).collect();
    report.sessions[0].counts = 0..count as u32;
    entry(&report, NOW)
}

/// Old names and new ones, before, between and behind them; again and again.
#[test]
fn what_comes_beside_what_is_put_away_is_added_to_it() {
    let plan = plan_of_events();
    let mut engine = counting(&plan, at(0));
    let mut log = Vec::new();
    for (at, (from, count)) in [(200, 50), (220, 9), (100, 30), (199, 60), (0, 40), (400, 1)]
        .into_iter()
        .enumerate()
    {
        log.push(names(from, count));
        engine.absorb(records(0, at as i64, &log[at..])).unwrap();
        let single = 1;
        assert_eq!(engine.group_count(), count + single, "only what came now");
        check(&mut engine, &plan, &log);
        assert_eq!(engine.evict(0).unwrap(), 0, "it is dirty");
        assert_eq!(engine.group_count(), 0);
        check(&mut engine, &plan, &log);
    }
    // A flush of a block with both, and of what comes after it.
    for from in [20, 500] {
        let next = log.len();
        log.push(names(from, 10));
        engine
            .absorb(records(0, next as i64, &log[next..]))
            .unwrap();
        let flush = engine.freeze(None).unwrap().unwrap();
        assert_eq!(check_flush(&plan, &log, &flush), 1);
        engine.acknowledge(flush.id).unwrap();
    }
    assert_eq!(
        engine.evict(0).unwrap(),
        1,
        "written, it leaves with both parts"
    );
    assert_eq!((engine.group_count(), engine.memory().dirty), (0, 0));
}

/// Which groups have lines of their own is decided by what came first, wherever it is kept.
#[test]
fn what_finds_no_room_beside_what_is_put_away_is_other() {
    let plan = plan_of_events(); // lines for 1,000 names
    for (first, parts) in [
        (500, vec![(0, 499), (499, 1), (400, 200), (600, 500)]),
        (500, vec![(450, 600)]),
        (500, vec![(500, 501)]),
        (990, vec![(3_000, 4), (2_000, 4), (980, 14), (1_000, 5)]),
        (1_000, vec![(999, 2)]),
        (1_020, vec![(10, 20), (1_010, 5)]),
        (1_000, vec![(5_000, 1_010), (0, 40)]), // as many new ones as may have lines
    ] {
        for tidied in [false, true] {
            let mut engine = counting(&plan, at(0));
            let mut log = vec![names(0, first)];
            engine.absorb(records(0, 0, &log)).unwrap();
            engine.evict(0).unwrap();
            for (from, count) in &parts {
                let next = log.len();
                log.push(names(*from, *count));
                engine
                    .absorb(records(0, next as i64, &log[next..]))
                    .unwrap();
                if tidied {
                    engine.blocks.move_all(&engine.program);
                }
                check(&mut engine, &plan, &log);
            }
            engine.evict(0).unwrap();
            check(&mut engine, &plan, &log);
        }
    }
}

/// Together they are more than is put away: everything lies in the table again.
#[test]
fn what_becomes_too_large_comes_back() {
    let plan = plan_of_events();
    let long = |from: usize| {
        let names: Vec<String> = (from..from + 600)
            .map(|at| format!("{at:04}{:01500}", 0))
            .collect();
        let mut report = report(b"AAA", NOW);
        report.counts = names.iter().map(|name| (name.as_bytes(), 1)).collect();
        report.sessions[0].counts = 0..600;
        entry(&report, NOW)
    };
    let log = [long(0), long(300), long(0), long(1_000), long(300)];
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log[..1])).unwrap();
    assert_eq!(engine.evict(0).unwrap(), 0);
    assert_eq!(engine.group_count(), 0);
    for next in 1..log.len() {
        engine
            .absorb(records(0, next as i64, &log[next..=next]))
            .unwrap();
        check(&mut engine, &plan, &log[..=next]);
    }
    assert_eq!(engine.group_count(), 1_001, "all of them");
    check(&mut engine, &plan, &log);
}

/// What is damaged while groups wait beside it is found when both are put together.
#[test]
fn what_is_damaged_beside_what_came_since_is_not_written() {
    let plan = plan_of_events();
    let log = [names(0, 20), names(10, 20)];
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log[..1])).unwrap();
    engine.evict(0).unwrap();
    engine.absorb(records(0, 1, &log[1..])).unwrap();
    engine.blocks.damage_what_is_packed();
    assert_eq!(engine.freeze(None), Err(EngineError::TableFull));
    assert_eq!(engine.evict(0), Ok(0));
    let again = engine.absorb(records(0, 2, &log[..1]));
    assert_eq!(again, Err(EngineError::TableFull));
}

/// Bytes that nobody could have written mean that memory is damaged: nothing leaves it any more.
#[test]
fn what_comes_back_damaged_stops_everything() {
    let plan = plan_of_events();
    let log = hours(2);
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log[..1])).unwrap();
    engine.evict(0).unwrap();
    engine.blocks.damage_what_is_packed();
    let again = engine.absorb(records(0, 1, &log[..1]));
    assert_eq!(again, Err(EngineError::TableFull));
    assert_eq!(engine.freeze(None), Err(EngineError::TableFull));
}

/// The same of a body that was made smaller, and is found damaged only when a flush is made of it.
#[test]
fn what_does_not_unfold_is_not_written() {
    let plan = plan_of_events();
    let log = hours(3);
    let mut engine = counting(&plan, at(0));
    engine.blocks.shrink_after(1);
    engine.absorb(records(0, 0, &log)).unwrap();
    engine.evict(0).unwrap();
    check(&mut engine, &plan, &log);
    engine.blocks.shrink_after(1); // nothing is known any more of the dictionary
    assert_eq!(engine.freeze(None), Err(EngineError::TableFull));
}

/// Blocks that are alike take little once some of them were seen.
#[test]
fn what_is_put_away_is_made_smaller() {
    let plan = plan_of_events();
    let log = hours(20);
    let held = |shrink_after| {
        let mut engine = counting(&plan, at(0));
        engine.blocks.shrink_after(shrink_after);
        engine.absorb(records(0, 0, &log)).unwrap();
        engine.evict(0).unwrap();
        let held = engine.memory().dirty;
        check(&mut engine, &plan, &log);
        let flush = engine.freeze(None).unwrap().unwrap();
        (held, flush.parts[0].values.clone())
    };
    let ((plain, written), (shrunk, again)) = (held(usize::MAX), held(20_000));
    assert!(shrunk * 2 < plain, "{shrunk} of {plain}");
    assert_eq!(written, again);
}

/// Asked again at once, with nothing that could go, it does not look at all blocks again.
#[test]
fn asking_in_vain_is_cheap() {
    let plan = plan_of_events();
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &hours(12))).unwrap();
    engine.evict(1_000).unwrap();
    let packed = engine.stats().blocks_packed;
    assert!(packed > 6);
    assert!(engine.memory().blocks > 1_000);
    let one = [entry(&report(b"NEW", NOW), NOW)];
    engine.absorb(records(0, 12, &one)).unwrap();
    assert_eq!(engine.evict(1_000).unwrap(), 0);
    assert_eq!(engine.stats().blocks_packed, packed);
    let flush = engine.freeze(None).unwrap().unwrap();
    engine.acknowledge(flush.id).unwrap();
    assert!(
        engine.evict(1_000).unwrap() > 6,
        "a flush makes a difference"
    );
}

/// More than a mebibyte as bytes: it is not put away, and is not looked at again in every turn.
#[test]
fn what_is_too_large_stays_open() {
    let plan = plan_of_events();
    let long: Vec<String> = (0..40).map(|at| format!("{at:02}{:030000}", 0)).collect();
    let mut report = report(b"AAA", NOW);
    report.counts = long.iter().map(|name| (name.as_bytes(), 1)).collect();
    report.sessions[0].counts = 0..40;
    let log = vec![entry(&report, NOW)];
    let mut engine = counting(&plan, at(0));
    engine.absorb(records(0, 0, &log)).unwrap();
    assert_eq!(engine.evict(0).unwrap(), 0);
    assert_eq!(engine.stats().blocks_packed, 0);
    assert_eq!(
        engine.evict(500_000).unwrap(),
        0,
        "it is more than half of that, and there is nothing to do"
    );
    check(&mut engine, &plan, &log);
    let flush = engine.freeze(None).unwrap().unwrap();
    engine.acknowledge(flush.id).unwrap();
    assert_eq!(engine.evict(500_000).unwrap(), 1);
}
