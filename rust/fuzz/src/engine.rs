//! The engine: whatever the records are, the blocks add up to a plain count of
//! them, and batches, flushes and evictions do not show.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use flurry_core::counters::block::Decoded;
use flurry_core::counters::row;
use flurry_core::engine::sink::Record;
use flurry_core::engine::{Cell, CountersPosition, Engine, Flush};
use flurry_core::identity::Fingerprints;
use flurry_core::plan::{Plan, UNREADABLE};
use flurry_core::report::{ErrorRecord, Report, Session, slice};
use flurry_core::wire::{self, Limits, text};

use crate::records;

/// One rollup of each level; their caps are soon reached.
const PLAN: &str = "
[[rollup]]
name = 'app'
dimensions = []
measures = ['reports', 'sessions', 'ended_sessions', 'duration', 'page_views', 'events', 'errors', 'crashes', 'data_points']
cap = 1
[[rollup]]
name = 'event'
dimensions = ['event']
measures = ['events', 'event_duration']
cap = 2
[[rollup]]
name = 'parameter'
dimensions = ['country', 'parameter', 'value']
measures = ['events']
cap = 3
[[rollup]]
name = 'error'
dimensions = ['error']
measures = ['errors', 'crashes']
cap = 1
";

/// Sums over all hours and groups: (app, rollup) → measures.
type Totals = BTreeMap<(Vec<u8>, u8), Vec<u64>>;
/// A cell's value under (row, column), with its timestamp.
type Store = BTreeMap<(Vec<u8>, Vec<u8>), (i64, Vec<u8>)>;
/// What a block holds, by its row.
type Blocks = BTreeMap<Vec<u8>, Decoded>;

const FIRST_MS: i64 = 1_384_000_000_000;
/// So far apart that no two records are duplicates.
const STEP_MS: i64 = 100 * 3_600_000;
const MAX_RECORDS: usize = 64;

static COUNTED_BY: LazyLock<Arc<Plan>> =
    LazyLock::new(|| Arc::new(Plan::parse(PLAN).expect("it parses")));

/// Counts any records in one go, in pieces, and plainly.
///
/// # Panics
///
/// The three differ.
pub fn check(bytes: &[u8]) {
    let mut payloads = records::split(bytes);
    payloads.truncate(MAX_RECORDS);
    let mut whole = engine(Some(-1));
    whole.absorb(records(&payloads, 0)).expect("in order");
    assert!(whole.needs().is_empty(), "an empty log has no cells");
    let mut store = Store::new();
    if let Some(flush) = whole.freeze(None).expect("nothing is in flight") {
        write(&flush, &mut store);
    }
    let blocks = read(&store);
    assert_eq!(totals(&blocks), plainly(&payloads));
    assert!(
        read(&in_pieces(&payloads, bytes.len())) == blocks,
        "how it was cut shows"
    );
}

fn engine(max_bucket: Option<i64>) -> Engine<()> {
    let mut engine = Engine::new(
        COUNTED_BY.clone(),
        1,
        Fingerprints::new(&[9; 16]),
        Box::new(|_, _| ()),
    );
    let origin = CountersPosition {
        position: 0,
        max_bucket,
        crc: None,
        max_timestamp: -1,
    };
    engine
        .assign(0, 0, Some(origin), None, 0, None)
        .expect("it is the first");
    engine
}

fn records(payloads: &[Vec<u8>], first: i64) -> impl Iterator<Item = Record<'_>> {
    (first..).zip(payloads).map(|(offset, payload)| Record {
        partition: 0,
        offset,
        timestamp_ms: FIRST_MS + offset * STEP_MS,
        payload,
        key: None,
        headers: None,
    })
}

/// Batches of one to five records; after some a flush, after some of those
/// everything is forgotten and has to be read again.
fn in_pieces(payloads: &[Vec<u8>], salt: usize) -> Store {
    let mut store = Store::new();
    let mut engine = engine(None);
    let mut first = 0;
    let mut turn = salt;
    while first < payloads.len() {
        turn = turn.wrapping_mul(31).wrapping_add(7);
        let piece = &payloads[first..payloads.len().min(first + 1 + turn % 5)];
        let offset = first as i64;
        engine.absorb(records(piece, offset)).expect("in order");
        if !engine.needs().is_empty() {
            for group in 0..engine.needs().len() {
                seed(&mut engine, group, &store, payloads.len() as i64);
            }
            engine
                .resume(records(piece, offset))
                .expect("the same batch");
        }
        first += piece.len();
        if !turn.is_multiple_of(3) || first == payloads.len() {
            if let Some(flush) = engine.freeze(None).expect("nothing is in flight") {
                write(&flush, &mut store);
                engine.acknowledge(flush.id).expect("it is in flight");
            }
            if turn.is_multiple_of(2) {
                engine.evict(0).expect("no needs are open");
            }
        }
    }
    store
}

fn seed(engine: &mut Engine<()>, group: usize, store: &Store, log_end: i64) {
    let need = engine.needs()[group].clone();
    let cells: Vec<_> = (0..need.rows.len())
        .filter_map(|index| {
            let key = (need.rows.get(index)?.to_vec(), need.qualifier.to_vec());
            store.get(&key).map(|(timestamp, value)| Cell {
                index,
                timestamp: *timestamp,
                value,
            })
        })
        .collect();
    engine
        .seed(group, cells.into_iter(), log_end)
        .expect("it wrote them");
}

fn write(flush: &Flush, store: &mut Store) {
    for part in &flush.parts {
        for (row, value) in (0..).map_while(|at| part.rows.get(at).zip(part.values.get(at))) {
            let key = (row.to_vec(), part.qualifier.to_vec());
            let old = store.insert(key, (part.timestamp, value.to_vec()));
            assert!(old.is_none_or(|(timestamp, _)| timestamp < part.timestamp));
        }
    }
}

fn read(store: &Store) -> Blocks {
    let blocks = store.iter().map(|((row, _), (timestamp, value))| {
        let mut decoded = Decoded::default();
        assert_eq!(decoded.read(&COUNTED_BY, value), Ok(()));
        assert_eq!(decoded.header.end, *timestamp);
        decoded.header = Default::default();
        (row.clone(), decoded)
    });
    blocks.collect()
}

fn totals(blocks: &Blocks) -> Totals {
    let mut totals = Totals::new();
    for (row, decoded) in blocks {
        let (app, _) = row::parse_row(row).expect("it was written as one");
        for section in &decoded.sections {
            let number = COUNTED_BY.rollups[section.rollup].number;
            let groups = decoded.groups(section).map(|(_, values)| values);
            for values in groups.chain(decoded.other(section)) {
                add(&mut totals, app, number, values);
            }
        }
    }
    totals
}

fn add(totals: &mut Totals, app: &[u8], rollup: u8, values: &[u64]) {
    let sums = totals
        .entry((app.to_vec(), rollup))
        .or_insert_with(|| vec![0; values.len()]);
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// docs/counters.md, summed over hours and groups.
fn plainly(payloads: &[Vec<u8>]) -> Totals {
    let mut totals = Totals::new();
    for payload in payloads {
        let mut report = Report::default();
        if wire::decode(payload, &Limits::default(), &mut report).is_err() {
            add(&mut totals, b"", UNREADABLE, &[1]);
            continue;
        }
        add(&mut totals, report.api_key, 0, &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        for session in survivors(&report) {
            count(&mut totals, &report, session);
        }
    }
    totals
}

/// Of the records with one start the longest; of equals the last.
fn survivors<'r, 'b>(report: &'r Report<'b>) -> Vec<&'r Session<'b>> {
    let mut longest = BTreeMap::new();
    for (at, session) in report.sessions.iter().enumerate() {
        let best = longest.entry(session.start_ms).or_insert(at);
        if session.duration_ms.max(-1) >= report.sessions[*best].duration_ms.max(-1) {
            *best = at;
        }
    }
    longest.values().map(|at| &report.sessions[*at]).collect()
}

fn count(totals: &mut Totals, report: &Report<'_>, session: &Session<'_>) {
    let clamp = |n: i32| n.clamp(0, 1_000_000) as u64;
    let ms = |n: i64| n.clamp(0, 2_592_000_000) as u64;
    let app = report.api_key;
    let counts = slice(&report.counts, &session.counts);
    let events = slice(&report.events, &session.events);
    let errors = slice(&report.errors, &session.errors);
    let crashes = errors.iter().filter(|error| is_crash(error)).count() as u64;
    let occurrences = counts.iter().map(|(_, n)| clamp(*n)).sum();
    let ended = u64::from(session.duration_ms >= 0);
    let points = 1 + events.len() as u64 + errors.len() as u64;
    let [duration, views, total] = [
        ms(session.duration_ms),
        clamp(session.page_views),
        clamp(session.total_errors),
    ];
    add(
        totals,
        app,
        0,
        &[
            0,
            1,
            ended,
            duration,
            views,
            occurrences,
            total,
            crashes,
            points,
        ],
    );
    for (_, n) in counts {
        add(totals, app, 1, &[clamp(*n), 0]);
    }
    for event in events {
        if let Some(duration @ 1..) = event.duration_ms {
            add(totals, app, 1, &[0, ms(duration)]);
        }
        for _ in slice(&report.params, &event.params) {
            add(totals, app, 2, &[1]);
        }
    }
    for error in errors {
        add(totals, app, 3, &[1, u64::from(is_crash(error))]);
    }
}

fn is_crash(error: &ErrorRecord<'_>) -> bool {
    match error.kind {
        Some(kind) => kind == 3,
        None => text::utf8(error.error_id) == "uncaught",
    }
}
