//! The column `sessions`, and what lies inside it.

use arrow_array::ArrayRef;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMillisecondType,
};
use arrow_schema::{ArrowError, DataType};

use super::columns::{Bytes, Ends, Numbers, OptBytes, OptFlags, OptNumbers, Presence, structs};
use super::lists::PairLists;
use super::schema;
use super::scribe::Scribe;
use crate::identity::DeviceFingerprints;
use crate::report::{Launch, Location, Report, Session, slice};

type Times = Numbers<TimestampMillisecondType>;

#[derive(Debug, Default)]
struct Counts {
    ends: Ends,
    name: Bytes,
    count: Numbers<Int32Type>,
}

impl Counts {
    fn push(&mut self, scribe: &mut Scribe, report: &Report<'_>, session: &Session<'_>) {
        for (name, count) in slice(&report.counts, &session.counts) {
            scribe.text(&mut self.name, name);
            self.count.push(*count);
        }
        self.ends.push(self.count.len());
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![
            self.name.finish_text(None)?,
            self.count.finish(&DataType::Int32)?,
        ];
        let counts = structs(&schema::COUNT_FIELDS, children, None)?;
        self.ends.finish(&schema::COUNT, counts, None)
    }
}

#[derive(Debug, Default)]
struct Events {
    ends: Ends,
    id: OptNumbers<Int32Type>,
    name: Bytes,
    params: PairLists,
    offset: OptNumbers<Int64Type>,
    duration: OptNumbers<Int64Type>,
}

impl Events {
    fn push(&mut self, scribe: &mut Scribe, report: &Report<'_>, session: &Session<'_>) {
        for event in slice(&report.events, &session.events) {
            self.id.push(event.id.map(i32::from));
            scribe.text(&mut self.name, event.name);
            self.params
                .push_list(scribe, slice(&report.params, &event.params));
            self.offset.push(event.offset_ms);
            self.duration.push(event.duration_ms.filter(|ms| *ms != 0));
        }
        self.ends.push(self.name.len());
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![
            self.id.finish(&DataType::Int32)?,
            self.name.finish_text(None)?,
            self.params.finish()?,
            self.offset.finish(&DataType::Int64)?,
            self.duration.finish(&DataType::Int64)?,
        ];
        let events = structs(&schema::EVENT_FIELDS, children, None)?;
        self.ends.finish(&schema::EVENT, events, None)
    }
}

#[derive(Debug, Default)]
struct Errors {
    ends: Ends,
    id: OptNumbers<Int32Type>,
    time: Times,
    error_id: Bytes,
    message: Bytes,
    class: Bytes,
    kind: OptNumbers<Int16Type>,
    trace: OptBytes,
}

impl Errors {
    fn push(&mut self, scribe: &mut Scribe, report: &Report<'_>, session: &Session<'_>) {
        for error in slice(&report.errors, &session.errors) {
            self.id.push(error.id.map(i32::from));
            self.time.push(scribe.time(error.time_ms));
            scribe.text(&mut self.error_id, error.error_id);
            scribe.text(&mut self.message, error.message);
            scribe.text(&mut self.class, error.class);
            self.kind.push(error.kind.map(i16::from));
            scribe.opt_bytes_as_text(&mut self.trace, error.trace);
        }
        self.ends.push(self.error_id.len());
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![
            self.id.finish(&DataType::Int32)?,
            self.time.finish(&schema::TIME)?,
            self.error_id.finish_text(None)?,
            self.message.finish_text(None)?,
            self.class.finish_text(None)?,
            self.kind.finish(&DataType::Int16)?,
            self.trace.finish_text()?,
        ];
        let errors = structs(&schema::ERROR_FIELDS, children, None)?;
        self.ends.finish(&schema::ERROR, errors, None)
    }
}

#[derive(Debug, Default)]
struct Locations {
    present: Presence,
    lat: Numbers<Float64Type>,
    lon: Numbers<Float64Type>,
    accuracy: Numbers<Float32Type>,
}

impl Locations {
    fn push(&mut self, location: Option<Location>) {
        self.present.push(location.is_some());
        let Location {
            lat_bits,
            lon_bits,
            accuracy_bits,
        } = location.unwrap_or_default();
        self.lat.push(f64::from_bits(lat_bits));
        self.lon.push(f64::from_bits(lon_bits));
        self.accuracy.push(f32::from_bits(accuracy_bits));
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![
            self.lat.finish(&DataType::Float64)?,
            self.lon.finish(&DataType::Float64)?,
            self.accuracy.finish(&DataType::Float32)?,
        ];
        structs(&schema::LOCATION_FIELDS, children, self.present.finish())
    }
}

#[derive(Debug, Default)]
struct Launches {
    present: Presence,
    flag: OptFlags,
    kind: Numbers<Int8Type>,
    origin: OptBytes,
    deep_link: OptBytes,
    options: PairLists,
}

impl Launches {
    fn push(&mut self, scribe: &mut Scribe, report: &Report<'_>, launch: Option<&Launch<'_>>) {
        self.present.push(launch.is_some());
        self.flag.push(Some(launch.is_some_and(|l| l.flag)));
        self.kind.push(launch.map_or(0, |l| l.kind));
        scribe.opt_text(&mut self.origin, launch.and_then(|l| l.origin));
        scribe.opt_text(&mut self.deep_link, launch.and_then(|l| l.deep_link));
        let options = launch.map_or(&[][..], |l| slice(&report.pairs, &l.options));
        self.options.push_list(scribe, options);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![
            self.flag.finish(),
            self.kind.finish(&DataType::Int8)?,
            self.origin.finish_text()?,
            self.deep_link.finish_text()?,
            self.options.finish()?,
        ];
        structs(&schema::LAUNCH_FIELDS, children, self.present.finish())
    }
}

/// `list<struct>` of sessions, a list a report.
#[derive(Debug, Default)]
pub struct SessionLists {
    ends: Ends,
    app_version: Bytes,
    start: Times,
    duration: OptNumbers<Int64Type>,
    fingerprint: Numbers<Int64Type>,
    pause: Numbers<Int64Type>,
    locale: OptBytes,
    timezone: OptBytes,
    network: OptNumbers<Int8Type>,
    user_id: Bytes,
    location: Locations,
    page_views: Numbers<Int32Type>,
    unknown: OptNumbers<Int16Type>,
    gender: OptNumbers<Int8Type>,
    birth: OptNumbers<TimestampMillisecondType>,
    counts: Counts,
    events: Events,
    events_complete: OptFlags,
    total_errors: Numbers<Int32Type>,
    errors: Errors,
    orientation: OptNumbers<Int16Type>,
    launch: Launches,
    properties: PairLists,
}

impl SessionLists {
    /// One session of the list that `close` will end.
    pub fn push(
        &mut self,
        scribe: &mut Scribe,
        report: &Report<'_>,
        session: &Session<'_>,
        device: &DeviceFingerprints,
    ) {
        scribe.text(&mut self.app_version, session.app_version);
        self.start.push(scribe.time(session.start_ms));
        self.duration
            .push(Some(session.duration_ms).filter(|ms| *ms != -1));
        self.fingerprint.push(device.session(session.start_ms));
        self.pause.push(session.pause_ms);
        scribe.opt_text(&mut self.locale, session.locale);
        scribe.opt_text(&mut self.timezone, session.timezone);
        // Protocol 8 has no network: its −1 is the decoder's.
        self.network
            .push(Some(session.network).filter(|_| report.protocol != 8));
        scribe.text(&mut self.user_id, session.user_id);
        self.location.push(session.location);
        self.page_views.push(session.page_views);
        self.unknown.push(unknown(report.protocol, session));
        self.gender
            .push(Some(session.gender).filter(|gender| *gender != -1));
        let birth = session.birth_ms.filter(|ms| *ms != 0);
        self.birth.push(birth.map(|ms| scribe.time(ms)));
        self.counts.push(scribe, report, session);
        self.events.push(scribe, report, session);
        self.events_complete.push(Some(session.events_complete));
        self.total_errors.push(session.total_errors);
        self.errors.push(scribe, report, session);
        self.orientation.push(session.orientation.map(i16::from));
        self.launch.push(scribe, report, session.launch.as_ref());
        self.properties
            .push_list(scribe, slice(&report.pairs, &session.properties));
    }

    pub fn close(&mut self) {
        self.ends.push(self.start.len());
    }

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![
            self.app_version.finish_text(None)?,
            self.start.finish(&schema::TIME)?,
            self.duration.finish(&DataType::Int64)?,
            self.fingerprint.finish(&DataType::Int64)?,
            self.pause.finish(&DataType::Int64)?,
            self.locale.finish_text()?,
            self.timezone.finish_text()?,
            self.network.finish(&DataType::Int8)?,
            self.user_id.finish_text(None)?,
            self.location.finish()?,
            self.page_views.finish(&DataType::Int32)?,
            self.unknown.finish(&DataType::Int16)?,
            self.gender.finish(&DataType::Int8)?,
            self.birth.finish(&schema::TIME)?,
            self.counts.finish()?,
            self.events.finish()?,
            self.events_complete.finish(),
            self.total_errors.finish(&DataType::Int32)?,
            self.errors.finish()?,
            self.orientation.finish(&DataType::Int16)?,
            self.launch.finish()?,
            self.properties.finish()?,
        ];
        let sessions = structs(&schema::SESSION_FIELDS, children, None)?;
        self.ends.finish(&schema::SESSION, sessions, None)
    }
}

/// Field 15 as one number, the first byte above the second; protocol 8 has only
/// the first. The −1s that all known agents write are absence.
fn unknown(protocol: u16, session: &Session<'_>) -> Option<i16> {
    let [first, second] = session.unknown;
    let second = if protocol == 8 { -1 } else { second };
    Some(i16::from_be_bytes([first as u8, second as u8])).filter(|both| *both != -1)
}

/// What the column `birth` leaves out of a report's sessions, as bits of
/// `shape`; `None` where one bit does not say it.
pub fn birth_shape(report: &Report<'_>) -> Option<i16> {
    let unset = |session: &&Session<'_>| session.birth_ms.is_none_or(|ms| ms == 0);
    let mut unset = report.sessions.iter().filter(unset);
    let Some(first) = unset.next() else {
        return Some(0);
    };
    let uniform = unset.all(|session| session.birth_ms == first.birth_ms);
    uniform.then_some(match first.birth_ms {
        Some(_) => schema::shape::BIRTH_ZERO,
        None => 0,
    })
}
