//! Random schedules: crashes, lost and late writes, evictions, sheds, rewinds,
//! drops; with and without a memory for sessions, which is read again from the
//! archive, from the log, or from both. Every cell ever written must be the straight fold of the records
//! below its timestamp, and in the end nothing may be missing.

use std::collections::BTreeMap;

use super::super::*;
use super::harness::*;

const PARTITIONS: i32 = 2;

type Truth = BTreeMap<Vec<u8>, (i64, Vec<u8>)>;

/// What may be wrong with the records that are read again for their sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recall {
    Right,
    /// None are.
    Nothing,
    /// The first of them are left out.
    Short,
}

struct World {
    random: Random,
    how: Recall,
    plan: Arc<Plan>,
    logs: Vec<Vec<Entry>>,
    /// (partition, end) → straight fold.
    truths: BTreeMap<(i32, i64), Truth>,
    store: Store,
    positions: Vec<CountersPosition>,
    archived: Vec<i64>,
    engine: Engine<Tape>,
    /// Frozen parts of the dead and the slow: they may be written at any time.
    late: Vec<FlushPart>,
    crashes: usize,
    /// Steps after which a block had groups both in the table and put away.
    both: usize,
    evictions: usize,
    deferred: usize,
    recalls: usize,
}

impl World {
    fn new(seed: u64, how: Recall) -> Self {
        let mut random = Random::new(seed);
        let window = random.pick(&[0, HOUR / 2, 2 * HOUR, 6 * HOUR]);
        let plan = forgetful(window, random.pick(&[9, 27, 1_000, 1_000]));
        let length = 5 + random.below(30) as usize;
        let logs = (0..PARTITIONS)
            .map(|_| random_log(&mut random, length))
            .collect();
        let origin = CountersPosition {
            position: 0,
            max_bucket: Some(-1),
            crc: None,
            max_timestamp: -1,
        };
        let mut world = Self {
            random,
            how,
            engine: engine(&plan),
            plan,
            logs,
            truths: BTreeMap::new(),
            store: Store::default(),
            positions: vec![origin; PARTITIONS as usize],
            archived: vec![0; PARTITIONS as usize],
            late: Vec::new(),
            crashes: 0,
            both: 0,
            evictions: 0,
            deferred: 0,
            recalls: 0,
        };
        world.forget_soon();
        for partition in 0..PARTITIONS {
            world.assign(partition);
        }
        world
    }

    /// An engine remembers few evicted blocks, or as many as it likes; and shrinks what is put away, or does not yet.
    fn forget_soon(&mut self) {
        if self.random.one_in(2) {
            self.engine.blocks.shrink_after(1 << self.random.below(10));
        }
        if self.random.one_in(2) {
            self.engine.gone = gone::Gone::new(self.random.below(6) as usize);
        }
    }

    fn assign(&mut self, partition: i32) {
        let mut position = self.positions[partition as usize];
        if self.random.one_in(8) {
            position.max_bucket = None; // knowing less is always legal
        }
        let archive = ArchivePosition {
            position: self.archived[partition as usize],
            crc: None,
        };
        let (recall_from, rows) = self.past(partition);
        let missing = rows
            .last()
            .map_or(recall_from, |row| Some((row.0 + 1).min(position.position)));
        let start = position
            .position
            .min(archive.position)
            .min(missing.unwrap_or(i64::MAX));
        let read_from = start - i64::from(start > 0 && self.random.one_in(2));
        self.engine
            .assign(
                partition,
                0,
                Some(position),
                Some(archive),
                read_from,
                recall_from,
            )
            .unwrap();
        if !rows.is_empty() {
            let found = recall(&mut self.engine, partition, &rows).unwrap();
            assert_eq!(Some(found), missing);
        }
    }

    /// From where the sessions of a partition must be known again, and those
    /// records of it that are taken from the archive.
    fn past(&mut self, partition: i32) -> (Option<i64>, Vec<Row>) {
        let position = self.positions[partition as usize];
        let Some(since) = self.engine.recall_since(position.max_timestamp) else {
            return (None, Vec::new());
        };
        self.recalls += 1;
        let log = &self.logs[partition as usize];
        let first = log.iter().position(|entry| entry.timestamp_ms >= since);
        let mut from = (first.unwrap() as i64).min(position.position);
        match self.how {
            Recall::Nothing => return (Some(position.position), Vec::new()),
            Recall::Short => from = (from + 2).min(position.position),
            // Knowing more is always legal.
            _ => from -= self.random.below(3).min(from as u64) as i64,
        }
        let end = self.archived[partition as usize];
        let rows = match self.random.one_in(2) && end > from {
            true => archived(from, &log[from as usize..end as usize]),
            false => Vec::new(),
        };
        (Some(from), rows)
    }

    fn truth(&mut self, partition: i32, end: i64) -> &Truth {
        let (plan, log) = (&self.plan, &self.logs[partition as usize]);
        self.truths
            .entry((partition, end))
            .or_insert_with(|| straight(plan, partition, &log[..end as usize]))
    }

    fn next(&self, partition: i32) -> i64 {
        let states = self.engine.partitions();
        let state = states.iter().find(|s| s.partition == partition).unwrap();
        assert!(!state.stopped);
        state.next
    }

    fn absorb(&mut self) {
        let mut batch = Vec::new();
        for partition in 0..PARTITIONS {
            let from = self.next(partition) as usize;
            let to =
                (from + self.random.below(9) as usize).min(self.logs[partition as usize].len());
            batch.push((partition, from, to));
        }
        let logs = self.logs.clone();
        let records = batch.iter().flat_map(|&(partition, from, to)| {
            records(partition, from as i64, &logs[partition as usize][from..to])
        });
        self.engine.absorb(records.clone()).unwrap();
        if self.engine.needs().is_empty() {
            return;
        }
        self.deferred += 1;
        assert!(self.engine.freeze(None).is_err(), "needs are open");
        assert!(self.engine.evict(0).is_err(), "needs are open");
        let lost = self.random.one_in(10).then(|| self.random.below(2) as i32);
        for group in 0..self.engine.needs().len() {
            if group == 0
                && let Some(partition) = lost
            {
                self.engine.drop_partition(partition);
                if self.random.one_in(2) {
                    self.assign(partition);
                }
            }
            let end = self.logs[self.engine.needs()[group].partition as usize].len() as i64;
            self.store.seed(&mut self.engine, group, end);
        }
        self.engine.resume(records).unwrap();
        if let Some(partition) = lost
            && !self
                .engine
                .partitions()
                .iter()
                .any(|state| state.partition == partition)
        {
            self.assign(partition);
        }
    }

    fn write(&mut self, part: &FlushPart) {
        let truth = self.truth(part.partition, part.timestamp).clone();
        for at in 0..part.rows.len() {
            let (_, value) = &truth[part.rows.get(at).unwrap()];
            assert_eq!(
                groups(&self.plan, part.values.get(at).unwrap()),
                groups(&self.plan, value),
                "cell at {} of partition {}",
                part.timestamp,
                part.partition
            );
            assert_eq!(part.values.get(at).unwrap(), value);
            self.store.put(part, at);
        }
    }

    fn flush(&mut self) {
        let wanted = [self.random.below(2) as i32];
        let some = self.random.one_in(3).then_some(&wanted[..]);
        let Some(flush) = self.engine.freeze(some).unwrap() else {
            return;
        };
        assert!(self.engine.freeze(None).is_err(), "one flush at a time");
        if self.random.one_in(2) {
            self.absorb();
        }
        if self.random.one_in(4) {
            self.evict();
        }
        match self.random.below(4) {
            0 => {
                // Some of it is written, some later, and we are never told.
                for part in &flush.parts {
                    if self.random.one_in(2) {
                        self.write(part);
                    } else {
                        self.late.push(part.clone());
                    }
                }
                if self.random.one_in(2) {
                    self.crash();
                } else {
                    self.engine.abandon(flush.id).unwrap();
                }
            }
            _ => {
                for part in &flush.parts {
                    self.write(part);
                }
                if self.random.one_in(4) {
                    self.crash(); // before the position
                    return;
                }
                for moved in &flush.positions {
                    let position = &mut self.positions[moved.partition as usize];
                    if moved.position.position > position.position {
                        *position = moved.position;
                    }
                }
                if self.random.one_in(6) {
                    self.crash(); // before the acknowledgement is heard
                    return;
                }
                self.engine.acknowledge(flush.id).unwrap();
            }
        }
    }

    fn evict(&mut self) {
        let target = self.random.pick(&[0, 0, 4_000, 20_000]);
        self.evictions += self.engine.evict(target).unwrap();
    }

    fn crash(&mut self) {
        // What it had may still arrive.
        if let Ok(Some(flush)) = self.engine.freeze(None) {
            self.late.extend(flush.parts);
        }
        self.engine = engine(&self.plan);
        self.forget_soon();
        self.crashes += 1;
        for partition in 0..PARTITIONS {
            self.assign(partition);
        }
    }

    fn archive(&mut self) {
        let partition = self.random.below(PARTITIONS as u64) as i32;
        let tape = self.engine.archive_sink(partition).unwrap();
        match self.random.below(3) {
            0 => self.archived[partition as usize] = tape.next, // published
            1 => {
                // A claim was lost, or the buffer shed: back to what is published.
                let position = ArchivePosition {
                    position: self.archived[partition as usize],
                    crc: None,
                };
                self.engine.archive_reset(partition, position).unwrap();
                if self.random.one_in(2) {
                    self.absorb(); // not rewound yet: it waits
                }
                let to = position.position.min(self.next(partition));
                self.engine.rewind(partition, to).unwrap();
            }
            _ => {
                let to = self.random.below(self.next(partition) as u64 + 1) as i64;
                self.engine.rewind(partition, to).unwrap();
            }
        }
    }

    fn shed(&mut self) {
        let partition = self.random.below(PARTITIONS as u64) as i32;
        let position = self.positions[partition as usize];
        self.engine
            .counters_shed(partition, position, None)
            .unwrap();
        if self.random.one_in(2) {
            self.absorb();
        }
        let (recall_from, rows) = self.past(partition);
        self.engine
            .counters_shed(partition, position, recall_from)
            .unwrap();
        let mut missing = recall_from.unwrap_or(position.position);
        if !rows.is_empty() {
            missing = recall(&mut self.engine, partition, &rows).unwrap();
        }
        let to = position.position.min(missing).min(self.next(partition));
        self.engine.rewind(partition, to).unwrap();
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=8 => self.absorb(),
            9..=13 => self.flush(),
            14..=15 => self.evict(),
            16 => self.archive(),
            17 => self.shed(),
            18 => {
                if self.random.one_in(2) {
                    self.crash();
                } else {
                    let partition = self.random.below(2) as i32;
                    self.engine.drop_partition(partition);
                    self.assign(partition);
                }
            }
            _ => {
                if let Some(part) = self.late.pop() {
                    self.write(&part);
                }
            }
        }
        self.both += usize::from(self.engine.blocks.has_both());
    }

    /// Reads everything, writes everything: then the store must hold it all.
    fn finish(&mut self) {
        for partition in 0..PARTITIONS {
            let to = self.positions[partition as usize]
                .position
                .min(self.archived[partition as usize])
                .min(self.next(partition));
            self.engine.rewind(partition, to).unwrap();
        }
        while (0..PARTITIONS).any(|p| self.next(p) < self.logs[p as usize].len() as i64) {
            self.absorb();
        }
        if let Some(flush) = self.engine.freeze(None).unwrap() {
            for part in &flush.parts {
                self.write(part);
            }
            self.engine.acknowledge(flush.id).unwrap();
        }
        for part in std::mem::take(&mut self.late) {
            self.write(&part);
        }
        assert_eq!(self.engine.freeze(None).unwrap(), None);
        let memory = self.engine.memory();
        assert_eq!(
            (memory.dirty, memory.dirty_blocks, memory.unwritten),
            (0, 0, false)
        );
        let mut cells = 0;
        for partition in 0..PARTITIONS {
            let log = self.logs[partition as usize].clone();
            let end = log.len() as i64;
            let truth = self.truth(partition, end).clone();
            let qualifier =
                crate::counters::row::qualifier(self.plan.id, INCARNATION, partition as u16);
            for (row, (last, value)) in &truth {
                let (_, bucket) = crate::counters::row::parse_row(row).unwrap();
                let table = crate::counters::row::table_of(bucket);
                let (timestamp, stored) =
                    &self.store.cells[&(table, row.clone(), qualifier.to_vec())];
                assert!(timestamp > last, "records of {row:?} are missing");
                assert_eq!(groups(&self.plan, stored), groups(&self.plan, value));
                cells += 1;
            }
            let tape = self.engine.archive_sink(partition).unwrap();
            assert_eq!(tape.next, end);
        }
        assert_eq!(
            cells,
            self.store.cells.len(),
            "cells that nothing was counted in"
        );
        self.engine.evict(0).unwrap();
        assert_eq!(self.engine.block_count(), 0);
        assert_eq!(self.engine.group_count(), 0);
    }
}

fn run(seed: u64, how: Recall) -> World {
    let mut world = World::new(seed, how);
    for _ in 0..40 {
        world.step();
    }
    world.finish();
    world
}

#[test]
fn whatever_happens_the_cells_are_those_of_a_straight_fold() {
    let schedules = std::env::var("FLURRY_FAST_SCHEDULES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_500);
    let (mut crashes, mut evictions, mut deferred, mut written) = (0, 0, 0, 0);
    let (mut recalls, mut dropped, mut packed, mut both) = (0, 0, 0, 0);
    for seed in 0..schedules {
        let ran = std::panic::catch_unwind(|| run(seed, Recall::Right));
        let Ok(world) = ran else {
            panic!("schedule {seed} failed");
        };
        crashes += world.crashes;
        evictions += world.evictions;
        deferred += world.deferred;
        written += world.store.written;
        recalls += world.recalls;
        both += world.both;
        let stats = world.engine.stats();
        packed += stats.blocks_packed as usize;
        dropped += (stats.duplicates + stats.superseded) as usize;
    }
    println!(
        "{schedules} schedules: {crashes} crashes, {evictions} evictions, {deferred} batches deferred, {recalls} memories read again, {dropped} sessions dropped, {written} cells written"
    );
    let floor = schedules as usize;
    assert!(crashes > floor && evictions > floor && deferred > floor && written > 10 * floor);
    assert!(recalls > floor && dropped > floor && both > floor && packed > floor);
}

/// The schedules would notice: each way to get the memory wrong fails some.
#[test]
fn a_memory_that_is_read_again_wrongly_is_noticed() {
    for how in [Recall::Nothing, Recall::Short] {
        let wrong = (0..150).filter(|seed| std::panic::catch_unwind(|| run(*seed, how)).is_err());
        assert!(wrong.count() > 5, "{how:?}");
    }
}
