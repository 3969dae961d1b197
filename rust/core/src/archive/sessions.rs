//! The column `sessions`, and what lies inside it.

use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMillisecondType,
};

use super::columns::{Bytes, Ends, Numbers, OptBytes, OptNumbers, OptTexts};
use super::events::EventLists;
use super::intern::Texts;
use super::lists::PairLists;
use super::presence::{Bits, Presence};
use super::schema;
use super::scribe::Scribe;
use super::visit::Visitor;
use crate::identity::DeviceFingerprints;
use crate::report::{Launch, Location, Report, Session, slice};

type Times = Numbers<TimestampMillisecondType>;

#[derive(Debug, Default)]
struct Errors {
    ends: Ends,
    id: OptNumbers<Int32Type>,
    time: Times,
    error_id: Texts,
    message: Bytes,
    class: Texts,
    kind: OptNumbers<Int16Type>,
    trace: OptBytes,
}

impl Errors {
    fn push(&mut self, scribe: &mut Scribe<'_>, report: &Report<'_>, session: &Session<'_>) {
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

    fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(None, &self.ends, |v| {
            v.opt_numbers(&self.id);
            v.numbers::<TimestampMillisecondType>(None, &self.time.values);
            v.own_texts(&self.error_id);
            v.bytes(None, &self.message);
            v.own_texts(&self.class);
            v.opt_numbers(&self.kind);
            v.opt_bytes(&self.trace);
        });
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

    fn visit(&self, visitor: &mut impl Visitor) {
        visitor.group(&self.present, |v| {
            v.numbers::<Float64Type>(None, &self.lat.values);
            v.numbers::<Float64Type>(None, &self.lon.values);
            v.numbers::<Float32Type>(None, &self.accuracy.values);
        });
    }
}

#[derive(Debug, Default)]
struct Launches {
    present: Presence,
    flag: Bits,
    kind: Numbers<Int8Type>,
    origin: OptTexts,
    deep_link: OptTexts,
    options: PairLists,
}

impl Launches {
    fn push(&mut self, scribe: &mut Scribe<'_>, report: &Report<'_>, launch: Option<&Launch<'_>>) {
        self.present.push(launch.is_some());
        self.flag.push(launch.is_some_and(|l| l.flag));
        self.kind.push(launch.map_or(0, |l| l.kind));
        scribe.opt_text(&mut self.origin, launch.and_then(|l| l.origin));
        scribe.opt_text(&mut self.deep_link, launch.and_then(|l| l.deep_link));
        let options = launch.map_or(&[][..], |l| slice(&report.pairs, &l.options));
        self.options.push_list(scribe, options);
    }

    fn visit(&self, visitor: &mut impl Visitor) {
        visitor.group(&self.present, |v| {
            v.flags(None, &self.flag);
            v.numbers::<Int8Type>(None, &self.kind.values);
            v.opt_texts(&self.origin);
            v.opt_texts(&self.deep_link);
            self.options.visit(v);
        });
    }
}

/// `list<struct>` of sessions, a list a report.
#[derive(Debug, Default)]
pub struct SessionLists {
    ends: Ends,
    app_version: Texts,
    start: Times,
    duration: OptNumbers<Int64Type>,
    fingerprint: Numbers<Int64Type>,
    pause: Numbers<Int64Type>,
    locale: OptTexts,
    timezone: OptTexts,
    network: OptNumbers<Int8Type>,
    user_id: Bytes,
    location: Locations,
    page_views: Numbers<Int32Type>,
    unknown: OptNumbers<Int16Type>,
    gender: OptNumbers<Int8Type>,
    birth: OptNumbers<TimestampMillisecondType>,
    events: EventLists,
    events_complete: Bits,
    total_errors: Numbers<Int32Type>,
    errors: Errors,
    orientation: OptNumbers<Int16Type>,
    launch: Launches,
    properties: PairLists,
}

impl SessionLists {
    /// To be called before the sessions of a report: see [`EventLists::prepare`].
    pub fn prepare(&mut self, scribe: &Scribe<'_>, report: &Report<'_>) {
        self.events.prepare(scribe, report);
    }

    /// One session of the list that `close` will end.
    pub fn push(
        &mut self,
        scribe: &mut Scribe<'_>,
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
        self.events_complete.push(session.events_complete);
        self.total_errors.push(session.total_errors);
        self.errors.push(scribe, report, session);
        self.orientation.push(session.orientation.map(i16::from));
        self.launch.push(scribe, report, session.launch.as_ref());
        self.properties
            .push_list(scribe, slice(&report.pairs, &session.properties));
        self.events.push(scribe, report, session);
    }

    pub fn close(&mut self) {
        self.ends.push(self.start.len());
    }

    pub fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(None, &self.ends, |v| {
            v.own_texts(&self.app_version);
            v.numbers::<TimestampMillisecondType>(None, &self.start.values);
            v.opt_numbers(&self.duration);
            v.numbers::<Int64Type>(None, &self.fingerprint.values);
            v.numbers::<Int64Type>(None, &self.pause.values);
            v.opt_texts(&self.locale);
            v.opt_texts(&self.timezone);
            v.opt_numbers(&self.network);
            v.bytes(None, &self.user_id);
            self.location.visit(v);
            v.numbers::<Int32Type>(None, &self.page_views.values);
            v.opt_numbers(&self.unknown);
            v.opt_numbers(&self.gender);
            v.opt_numbers(&self.birth);
            self.events.visit(v);
            v.flags(None, &self.events_complete);
            v.numbers::<Int32Type>(None, &self.total_errors.values);
            self.errors.visit(v);
            v.opt_numbers(&self.orientation);
            self.launch.visit(v);
            self.properties.visit(v);
        });
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
