use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};

use super::restore::{RestoreError, restore};
use super::*;
use crate::crc::crc32c;
use crate::engine::sink::{Record, ReportSink};
use crate::identity::Fingerprints;
use crate::report::{Report, Session};
use crate::wire::samples::{captures, rich};
use crate::wire::{self, Limits};

fn builder(position: i64) -> ArchiveBuilder {
    ArchiveBuilder::new(Fingerprints::new(&[9; 16]), position)
}

fn record(offset: i64, payload: &[u8]) -> Record<'_> {
    Record {
        partition: 3,
        offset,
        timestamp_ms: 1_384_000_000_000 + offset,
        payload,
        key: (offset % 2 == 0).then_some(b"KEY|0"),
        headers: None,
    }
}

fn append(builder: &mut ArchiveBuilder, record: &Record<'_>) {
    let mut report = Report::default();
    let outcome = wire::decode(record.payload, &Limits::default(), &mut report);
    let crc = crc32c(record.payload);
    builder.append(record, outcome.map(|_| &report), crc);
}

/// The payloads as one batch, checked to restore to themselves.
fn archived(payloads: &[Vec<u8>]) -> RecordBatch {
    let mut builder = builder(0);
    for (offset, payload) in payloads.iter().enumerate() {
        append(&mut builder, &record(offset as i64, payload));
    }
    let chunk = builder.take().unwrap();
    assert_eq!(chunk.groups.len(), 1);
    let batch = chunk.batches().unwrap().remove(0);
    assert_eq!(batch.schema(), *schema::SCHEMA);
    let restored = restore(&batch, RowChecksum::default()).unwrap();
    for (row, payload) in payloads.iter().enumerate() {
        let bounds = &restored.payload_offsets[row..row + 2];
        let bytes = &restored.payload[bounds[0] as usize..bounds[1] as usize];
        assert_eq!(bytes, payload, "row {row}");
        let bounds = &restored.key_offsets[row..row + 2];
        let key = &restored.keys[bounds[0] as usize..bounds[1] as usize];
        assert_eq!(key, record(row as i64, &[]).key.unwrap_or_default());
    }
    assert_eq!(restored.checksum.hex(), chunk.summary.checksum.hex());
    assert_eq!(restored.last_crc, chunk.summary.last_crc);
    batch
}

fn encoded(report: &Report<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode(report, &mut out);
    out
}

/// A report that the columns hold wholly.
fn plain() -> Report<'static> {
    Report {
        protocol: 26,
        platform: 3,
        agent_version: 148,
        created_ms: 1_384_000_000_000,
        api_key: b"KEY",
        app_version: b"1.0",
        device_ids: vec![(0, b"AND123")],
        properties: vec![
            (b"device.model", b"Nexus 4"),
            (b"version.release", b"4.2"),
            (b"own", b"1"),
        ],
        sessions: vec![session(None), session(None)],
        ..Report::default()
    }
}

fn session(birth_ms: Option<i64>) -> Session<'static> {
    Session {
        start_ms: 1_384_000_000_000,
        unknown: [-1, -1],
        gender: -1,
        network: 2,
        locale: Some(b"en_US"),
        timezone: Some(b"UTC"),
        birth_ms,
        ..Session::default()
    }
}

/// Whether the bytes of the report were kept beside its columns.
fn keeps_raw(change: impl FnOnce(&mut Report<'static>)) -> bool {
    let mut report = plain();
    change(&mut report);
    let batch = archived(&[encoded(&report)]);
    let outcome = batch.column_by_name("outcome").unwrap().as_string::<i32>();
    assert_eq!(outcome.value(0), "ok");
    batch.column_by_name("raw").unwrap().is_valid(0)
}

#[test]
fn captures_need_no_raw_unless_broken_or_cut_in_a_character() {
    let captures = captures();
    let payloads: Vec<_> = captures.iter().map(|(_, bytes)| bytes.clone()).collect();
    let batch = archived(&payloads);
    let raw = batch.column_by_name("raw").unwrap();
    let mut report = Report::default();
    for (row, (path, bytes)) in captures.iter().enumerate() {
        let outcome = wire::decode(bytes, &Limits::default(), &mut report);
        let truth = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let lone_surrogate = truth.contains("\\ufffd") || truth.contains('\u{fffd}');
        let lost = outcome.is_err() || report.repaired_errors > 0 || lone_surrogate;
        assert_eq!(raw.is_valid(row), lost, "{}", path.display());
    }
}

#[test]
fn every_field_of_every_protocol_comes_back() {
    for protocol in wire::PROTOCOLS {
        let mut report = rich(protocol);
        archived(&[encoded(&report)]);
        // The same without what forces raw: only columns are left to restore from.
        report.device_ids.sort_unstable();
        report.session_start_ms = 0;
        for session in &mut report.sessions {
            session.user_id = b"\xed\xa0\xbd\xed\xb8\x80";
        }
        for error in &mut report.errors {
            error.time_ms = error
                .time_ms
                .clamp(schema::MIN_TIME_MS, schema::MAX_TIME_MS);
            error.trace = error.trace.map(|_| "tra\u{e7}e \u{1f600}".as_bytes());
        }
        let batch = archived(&[encoded(&report)]);
        let raw = batch.column_by_name("raw").unwrap();
        assert!(raw.is_null(0), "protocol {protocol}");
    }
}

#[test]
fn raw_is_kept_exactly_where_columns_lose_something() {
    assert!(!keeps_raw(|_| ()));
    // properties: order, repetition, a known one behind an unknown one
    assert!(keeps_raw(|r| r.properties.swap(0, 1)));
    assert!(keeps_raw(|r| r.properties.swap(1, 2)));
    assert!(keeps_raw(|r| r.properties.push((b"device.model", b"x"))));
    assert!(keeps_raw(|r| r
        .properties
        .insert(0, (b"device.model", b"Nexus 4"))));
    assert!(!keeps_raw(|r| r.properties.push((b"own", b"2"))));
    assert!(!keeps_raw(|r| r.properties.clear()));
    // device ids: order, repetition, other types
    assert!(!keeps_raw(|r| r.device_ids.clear()));
    assert!(!keeps_raw(|r| r.device_ids.push((5, b"\xff\x00"))));
    assert!(!keeps_raw(
        |r| r.device_ids = vec![(5, b"\xff\x00"), (13, b"x"), (13, b"\xff")]
    ));
    assert!(keeps_raw(|r| r.device_ids.insert(0, (5, b"sha1"))));
    assert!(keeps_raw(|r| r.device_ids.insert(0, (13, b"other"))));
    assert!(!keeps_raw(|r| r.device_ids.push((0, b"again"))));
    assert!(keeps_raw(|r| r
        .device_ids
        .extend([(0, &b"again"[..]), (5, b"sha1")])));
    assert!(keeps_raw(|r| r.device_ids = vec![(0, b"not \xff text")]));
    assert!(!keeps_raw(
        |r| r.device_ids = vec![(0, "t\u{e9}xt\0".as_bytes())]
    ));
    // text: U+0000 in one byte and in two, both at once, lone surrogates, overlong forms
    assert!(!keeps_raw(|r| r.app_version = b"a\0b"));
    assert!(!keeps_raw(|r| r.app_version = b"a\xc0\x80b"));
    assert!(keeps_raw(|r| r.app_version = b"a\xc0\x80b\0"));
    assert!(!keeps_raw(
        |r| r.app_version = b"\xed\xa0\xbd\xed\xb8\x80 and \xc3\xa9"
    ));
    assert!(keeps_raw(|r| r.app_version = b"\xed\xa0\xbd"));
    assert!(keeps_raw(|r| r.app_version = b"\xc1\xa1"));
    // times: what no reader can show
    assert!(!keeps_raw(|r| r.created_ms = schema::MAX_TIME_MS));
    assert!(keeps_raw(|r| r.created_ms = schema::MAX_TIME_MS + 1));
    assert!(!keeps_raw(|r| r.first_session_ms = schema::MIN_TIME_MS));
    assert!(keeps_raw(|r| r.first_session_ms = i64::MIN));
    assert!(keeps_raw(|r| r.sessions[1].start_ms = i64::MAX));
    // birth dates: unset in two ways
    assert!(!keeps_raw(
        |r| r.sessions = vec![session(Some(0)), session(Some(0)), session(Some(5))]
    ));
    assert!(keeps_raw(
        |r| r.sessions = vec![session(Some(0)), session(None)]
    ));
    assert!(keeps_raw(|r| r.sessions[0].birth_ms = Some(i64::MIN)));
    // the values that stand for absence
    assert!(!keeps_raw(|r| {
        r.sessions[0].duration_ms = -1;
        r.sessions[0].unknown = [0, -1];
        r.sessions[1].unknown = [-1, 0];
        r.sessions[1].network = -1;
    }));
}

#[test]
fn mutated_bytes_come_back_whatever_they_decode_to() {
    let mut payloads = vec![Vec::new(), vec![0], vec![0xFF; 70_000]];
    let mut state = 1_u64;
    for (_, bytes) in captures().iter().step_by(3) {
        for _ in 0..6 {
            let mut bytes = bytes.clone();
            for _ in 0..2 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let place = (state >> 33) as usize % bytes.len();
                bytes[place] = (state >> 20) as u8;
            }
            if let Some(body) = bytes.len().checked_sub(4).filter(|_| bytes[1] >= 22) {
                let crc = crc32fast::hash(&bytes[..body]).to_be_bytes();
                bytes[body..].copy_from_slice(&crc);
            }
            payloads.push(bytes);
        }
    }
    let batch = archived(&payloads);
    let outcome = batch.column_by_name("outcome").unwrap().as_string::<i32>();
    let readable = outcome.iter().filter(|name| *name == Some("ok")).count();
    assert!(
        readable > 100 && readable < payloads.len() - 100,
        "{readable}"
    );
}

#[test]
fn a_changed_cell_is_an_error_that_names_the_offset() {
    let batch = archived(&[encoded(&plain()), encoded(&plain())]);
    let crc = batch.schema().index_of("crc32c").unwrap();
    let mut columns = batch.columns().to_vec();
    columns[crc] = std::sync::Arc::new(arrow_array::UInt32Array::from(vec![
        crc32c(&encoded(&plain())),
        7,
    ]));
    let changed = RecordBatch::try_new(batch.schema(), columns.clone()).unwrap();
    let error = restore(&changed, RowChecksum::default()).unwrap_err();
    assert!(matches!(
        error,
        RestoreError::Checksum {
            offset: 1,
            stored: 7,
            ..
        }
    ));
    assert!(error.to_string().contains("offset 1"), "{error}");

    let without = batch.project(&[0, 1, 2]).unwrap();
    let error = restore(&without, RowChecksum::default()).unwrap_err();
    assert_eq!(error.to_string(), "column outcome is missing");
}

#[test]
fn chunks_follow_each_other_and_pass_by_what_they_have() {
    let mut builder = builder(10);
    assert!(builder.take().is_none());
    let payload = encoded(&plain());
    for offset in [8, 9, 10, 11, 11, 10, 12] {
        append(&mut builder, &record(offset, &payload));
    }
    assert_eq!(builder.next_offset(), 13);
    assert!(builder.memory() > 0);
    let first = builder.take().unwrap().summary;
    assert_eq!((first.start, first.end, first.rows), (10, 13, 3));
    assert_eq!(first.wire_bytes, 3 * payload.len() as u64);
    assert_eq!(
        first.timestamps,
        Some((1_384_000_000_010, 1_384_000_000_012))
    );
    assert_eq!(
        first.event_times,
        Some((1_384_000_000_000, 1_384_000_000_000))
    );
    assert!(builder.take().is_none());
    append(&mut builder, &record(13, b""));
    let second = builder.take().unwrap().summary;
    assert_eq!((second.start, second.end, second.rows), (13, 14, 1));
    assert_eq!(second.last_crc, Some(0));
    append(&mut builder, &record(14, &payload));
    builder.reset(12);
    assert_eq!((builder.next_offset(), builder.memory()), (12, 0));
    assert!(builder.take().is_none());
}

#[test]
fn headers_are_split_and_whatever_is_no_header_is_kept() {
    let mut flattened = Vec::new();
    for (name, value) in [
        (&b"a"[..], Some(&b"xy"[..])),
        (b"", None),
        (b"\xff", Some(b"")),
    ] {
        flattened.extend_from_slice(&(name.len() as u16).to_le_bytes());
        flattened.extend_from_slice(name);
        let len = value.map_or(-1, |value| value.len() as i32);
        flattened.extend_from_slice(&len.to_le_bytes());
        flattened.extend_from_slice(value.unwrap_or_default());
    }
    flattened.extend_from_slice(b"rest");
    let mut builder = builder(0);
    for (offset, headers) in [Some(&flattened[..]), None, Some(&[])]
        .into_iter()
        .enumerate()
    {
        let record = Record {
            headers,
            ..record(offset as i64, b"")
        };
        append(&mut builder, &record);
    }
    let batch = builder.take().unwrap().batches().unwrap().remove(0);
    let headers = batch.column_by_name("headers").unwrap().as_list::<i32>();
    assert!(headers.is_valid(0) && headers.is_null(1) && headers.is_valid(2));
    assert_eq!(headers.value_length(2), 0);
    let first = headers.value(0);
    let first = first.as_struct();
    let names: Vec<_> = first
        .column(0)
        .as_binary::<i32>()
        .iter()
        .flatten()
        .collect();
    let values: Vec<_> = first.column(1).as_binary::<i32>().iter().collect();
    assert_eq!(names, [&b"a"[..], b"", b"\xff", b""]);
    assert_eq!(values, [Some(&b"xy"[..]), None, Some(b""), Some(b"rest")]);
}
