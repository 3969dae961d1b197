//! Reports, logs, a store and an engine around them, all small.

use std::collections::BTreeMap;

use super::super::sink::{Record, ReportSink};
use super::super::*;
use crate::counters::block::Decoded;
use crate::identity::Fingerprints;
use crate::reason::Reason;
use crate::report::{ErrorRecord, Event, Report, Session};
use crate::wire;

pub const INCARNATION: u32 = 0xABCD_0123;
pub const HOUR: i64 = 3_600_000;
pub const NOW: i64 = 384_552 * HOUR; // 2013-11-14T00:00Z

/// Every level, with caps that the tiny logs reach.
pub const PLAN: &str = "
[time]
max_age_ms = 36_000_000
[[rollup]]
name = 'app'
dimensions = []
measures = ['reports', 'sessions', 'new_users', 'ended_sessions', 'duration', 'page_views', 'events', 'errors', 'crashes', 'data_points', 'clock_suspect', 'duplicates', 'superseded']
cap = 1
[[rollup]]
name = 'country'
dimensions = ['country', 'app_version']
measures = ['sessions', 'duration']
cap = 3
[[rollup]]
name = 'event'
dimensions = ['language', 'event']
measures = ['events', 'event_sessions', 'event_duration']
cap = 4
[[rollup]]
name = 'parameter'
dimensions = ['event', 'parameter', 'value']
measures = ['event_sessions', 'events']
cap = 3
[[rollup]]
name = 'error'
dimensions = ['error']
measures = ['errors', 'crashes']
cap = 2
";

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.below(2);
        random
    }

    pub fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % below
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// The archive's stand-in: insists that nothing is missing or twice.
#[derive(Debug)]
pub struct Tape {
    pub next: i64,
    pub taken: Vec<(i64, Result<(), Reason>, u32)>,
}

impl ReportSink for Tape {
    fn append(&mut self, record: &Record<'_>, report: Result<&Report<'_>, Reason>, crc: u32) {
        assert_eq!(record.offset, self.next, "the archive has no gaps");
        self.next += 1;
        self.taken.push((record.offset, report.map(|_| ()), crc));
    }

    fn memory(&self) -> usize {
        self.taken.len()
    }
}

pub fn engine(plan: &Arc<Plan>) -> Engine<Tape> {
    let open = |_: i32, position: i64| Tape {
        next: position,
        taken: Vec::new(),
    };
    let fingerprints = Fingerprints::new(&[3; 16]);
    Engine::new(plan.clone(), INCARNATION, fingerprints, Box::new(open))
}

/// A position of a partition whose every hour is known.
pub fn at(position: i64) -> CountersPosition {
    CountersPosition {
        position,
        max_bucket: Some(-1),
        crc: None,
        max_timestamp: -1,
    }
}

pub fn counting(plan: &Arc<Plan>, position: CountersPosition) -> Engine<Tape> {
    let mut engine = engine(plan);
    let from = position.position;
    engine
        .assign(0, 0, Some(position), None, from, None)
        .unwrap();
    engine
}

pub fn entry(report: &Report<'_>, timestamp_ms: i64) -> Entry {
    Entry {
        payload: encoded(report),
        timestamp_ms,
    }
}

/// The same with a memory for sessions that the tiny logs fill or outlive.
pub fn forgetful(window_ms: i64, max_sessions: i64) -> Arc<Plan> {
    let dedup = format!("[dedup]\nwindow_ms = {window_ms}\nmax_sessions = {max_sessions}\n");
    Arc::new(Plan::parse(&format!("{dedup}{PLAN}")).unwrap())
}

pub fn plan() -> Arc<Plan> {
    Arc::new(Plan::parse(PLAN).unwrap())
}

/// One record of a log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub payload: Vec<u8>,
    pub timestamp_ms: i64,
}

pub fn records(
    partition: i32,
    first: i64,
    entries: &[Entry],
) -> impl Iterator<Item = Record<'_>> + Clone {
    (first..).zip(entries).map(move |(offset, entry)| Record {
        partition,
        offset,
        timestamp_ms: entry.timestamp_ms,
        payload: &entry.payload,
        key: None,
        headers: None,
    })
}

pub fn encoded(report: &Report<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(report, &mut bytes);
    bytes
}

/// A report of protocol 26 with one session, to be changed by tests.
pub fn report(api_key: &'static [u8], start_ms: i64) -> Report<'static> {
    Report {
        protocol: 26,
        platform: 3,
        agent_version: 148,
        created_ms: start_ms,
        api_key,
        app_version: b"1.0",
        device_ids: vec![(0, b"device")],
        first_session_ms: start_ms,
        session_start_ms: start_ms,
        sessions: vec![session(start_ms)],
        ..Report::default()
    }
}

pub fn session(start_ms: i64) -> Session<'static> {
    Session {
        app_version: b"1.0",
        start_ms,
        duration_ms: 5_000,
        locale: Some(b"en_US"),
        timezone: Some(b"Europe/Berlin"),
        network: 2,
        gender: -1,
        unknown: [-1, -1],
        ..Session::default()
    }
}

/// A random report, readable or not.
pub fn random_payload(random: &mut Random, now: i64) -> Vec<u8> {
    if random.one_in(12) {
        return vec![0; random.below(9) as usize];
    }
    let mut report = report(random.pick(&[b"AAA".as_slice(), b"BBB", b"C\xC3\xA9"]), now);
    report.non_ascii = true;
    report.protocol = random.pick(&[15, 22, 26, 27]);
    report.sessions.clear();
    for _ in 0..random.below(4) {
        let mut start =
            now - random.below(12) as i64 * HOUR + random.pick(&[0, 0, 60_000, 10 * HOUR]);
        if random.one_in(3) {
            start -= start % HOUR; // others of this device begin then, too
        }
        let mut session = session(start);
        session.duration_ms = random.pick(&[-1, 0, 5_000, 2_000_000]);
        session.locale = Some(random.pick(&[b"en_US".as_slice(), b"de_DE", b"he_", b"fr_FR"]));
        session.app_version = random.pick(&[b"1.0".as_slice(), b"2.0\xC0\x80"]);
        session.page_views = random.below(5) as i32 - 1;
        session.total_errors = random.below(3) as i32;
        let names = [
            b"start".as_slice(),
            b"stop",
            b"\xED\xA0\x80",
            b"buy",
            b"look",
        ];
        let from = report.counts.len() as u32;
        for _ in 0..random.below(4) {
            report
                .counts
                .push((random.pick(&names), random.below(5) as i32 - 1));
        }
        session.counts = from..report.counts.len() as u32;
        let from = report.events.len() as u32;
        for _ in 0..random.below(3) {
            let params = report.params.len() as u32;
            for _ in 0..random.below(3) {
                let param = (random.pick(&[b"a".as_slice(), b"b"]), random.pick(&names));
                report.params.push(param);
            }
            report.events.push(Event {
                id: (report.protocol >= 22).then_some(1),
                name: random.pick(&names),
                params: params..report.params.len() as u32,
                offset_ms: Some(1),
                duration_ms: Some(random.pick(&[0, 0, 17])),
            });
        }
        session.events = from..report.events.len() as u32;
        let from = report.errors.len() as u32;
        for _ in 0..random.below(2) {
            report.errors.push(ErrorRecord {
                id: (report.protocol >= 22).then_some(1),
                error_id: random.pick(&[b"uncaught".as_slice(), b"oops", b"ouch"]),
                kind: (report.protocol >= 26).then_some(random.pick(&[1, 2, 3])),
                ..ErrorRecord::default()
            });
        }
        session.errors = from..report.errors.len() as u32;
        report.sessions.push(session);
    }
    encoded(&report)
}

pub fn random_log(random: &mut Random, length: usize) -> Vec<Entry> {
    let mut now = NOW;
    let mut log: Vec<Entry> = Vec::new();
    for at in 0..length {
        now += random.below(40) as i64 * 60_000;
        let again = at.checked_sub(1 + random.below(8) as usize);
        let payload = match again.filter(|_| random.one_in(3)) {
            Some(again) => log[again].payload.clone(),
            None => random_payload(random, now),
        };
        // Clocks of brokers differ.
        let late = random.below(90) as i64 * 60_000 * i64::from(random.one_in(6));
        log.push(Entry {
            payload,
            timestamp_ms: now - late,
        });
    }
    log
}

/// Every block of a partition after `end` records, folded in one go by an
/// engine that never writes, reads or evicts: row → (last offset counted, value).
pub fn straight(
    plan: &Arc<Plan>,
    partition: i32,
    log: &[Entry],
) -> BTreeMap<Vec<u8>, (i64, Vec<u8>)> {
    let mut engine = engine(plan);
    let origin = CountersPosition {
        position: 0,
        max_bucket: Some(-1),
        crc: None,
        max_timestamp: -1,
    };
    engine
        .assign(partition, 0, Some(origin), None, 0, None)
        .unwrap();
    engine.absorb(records(partition, 0, log)).unwrap();
    assert!(engine.needs().is_empty());
    let (rows, offsets) = engine.touched(partition);
    rows.iter()
        .zip(offsets)
        .map(|(row, last)| {
            let value = engine.peek_block(partition, row, None).unwrap().unwrap();
            (row.to_vec(), (last, value))
        })
        .collect()
}

/// What the archive says of a record: offset, Kafka time, sessions.
pub type Row = (i64, i64, Vec<(i64, i64)>);

/// What the archive would say of these records.
pub fn archived(first: i64, entries: &[Entry]) -> Vec<Row> {
    let prints = Fingerprints::new(&[3; 16]);
    let mut report = Report::default();
    let rows = (first..).zip(entries).map(|(offset, entry)| {
        let mut sessions = Vec::new();
        if wire::decode(&entry.payload, &wire::Limits::default(), &mut report).is_ok() {
            let device = prints.device(report.api_key, report.device_id());
            sessions.extend(report.spans().map(|(start, d)| (device.session(start), d)));
        }
        (offset, entry.timestamp_ms, sessions)
    });
    rows.collect()
}

/// Recalls archived records; the first that is missing then.
pub fn recall(engine: &mut Engine<Tape>, partition: i32, rows: &[Row]) -> Result<i64, EngineError> {
    let past = rows.iter().map(|(offset, timestamp_ms, sessions)| Past {
        offset: *offset,
        timestamp_ms: *timestamp_ms,
        sessions,
    });
    engine.recall(partition, past)
}

/// (table, row, qualifier)
pub type CellName = (String, Vec<u8>, Vec<u8>);

/// Name → (timestamp, value); the highest timestamp wins.
#[derive(Default)]
pub struct Store {
    pub cells: BTreeMap<CellName, (i64, Vec<u8>)>,
    pub written: usize,
}

impl Store {
    pub fn put(&mut self, part: &FlushPart, at: usize) {
        let row = part.rows.get(at).unwrap().to_vec();
        let value = part.values.get(at).unwrap().to_vec();
        let key = (part.table.clone(), row, part.qualifier.to_vec());
        self.written += 1;
        match self.cells.get(&key) {
            Some((timestamp, _)) if *timestamp > part.timestamp => {}
            Some((timestamp, old)) if *timestamp == part.timestamp => {
                assert_eq!(*old, value, "equal timestamps mean equal bytes");
            }
            _ => {
                self.cells.insert(key, (part.timestamp, value));
            }
        }
    }

    /// Every block of a flush.
    pub fn put_all(&mut self, flush: &Flush) {
        for part in &flush.parts {
            (0..part.rows.len()).for_each(|at| self.put(part, at));
        }
    }

    /// Reads what a group needs and seeds it.
    pub fn seed(&self, engine: &mut Engine<Tape>, group: usize, log_end: i64) {
        let need = engine.needs()[group].clone();
        let found: Vec<_> = need
            .rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| {
                let key = (need.table.clone(), row.to_vec(), need.qualifier.to_vec());
                let (timestamp, value) = self.cells.get(&key)?;
                Some((index, *timestamp, value.clone()))
            })
            .collect();
        let cells = found.iter().map(|(index, timestamp, value)| Cell {
            index: *index,
            timestamp: *timestamp,
            value,
        });
        engine.seed(group, cells, log_end).unwrap();
    }
}

/// rollup number → key texts → measures; `None` is `(other)`.
pub type Groups = BTreeMap<u8, BTreeMap<Option<Vec<String>>, Vec<u64>>>;

pub fn groups(plan: &Plan, value: &[u8]) -> Groups {
    let mut decoded = Decoded::default();
    decoded.read(plan, value).unwrap();
    let mut all = Groups::new();
    for section in &decoded.sections {
        let rollup = all.entry(plan.rollups[section.rollup].number).or_default();
        for (key, values) in decoded.groups(section) {
            let texts = crate::counters::block::KeyParts::new(key)
                .map(str::to_owned)
                .collect();
            rollup.insert(Some(texts), values.to_vec());
        }
        if let Some(values) = decoded.other(section) {
            rollup.insert(None, values.to_vec());
        }
    }
    all
}
