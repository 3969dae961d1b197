//! From a [`Report`] to the bytes an agent would have sent.

use crate::crc::crc32;
use crate::report::{ErrorRecord, Event, Location, Report, Session, Span, Text, slice};
use crate::wire::layout::Layout;

/// Appends the report as its protocol writes it, CRC trailer included.
///
/// A report that was decoded without repair gives its own bytes again; a
/// repaired one is written with the error records that it truly has.
/// What the format cannot carry is cut: 65,535 bytes of a text, 65,535 records
/// of a list.
pub fn encode(report: &Report<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let layout = Layout::for_encoding(report.protocol);
    let mut w = Writer { out, layout };
    w.identity(report);
    w.install(report);
    w.list(&report.sessions, |w, session| w.session(report, session));
    if layout.is_late() {
        w.u16(0);
    }
    if layout.has_trailer() {
        let crc = crc32(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&crc.to_be_bytes());
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    layout: Layout,
}

impl Writer<'_> {
    fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    fn i8(&mut self, value: i8) {
        self.put(value.to_be_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    fn u16(&mut self, value: u16) {
        self.put(value.to_be_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.put(value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.put(value.to_be_bytes());
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.out.extend_from_slice(&bytes);
    }

    fn text(&mut self, text: Text<'_>) {
        let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
        self.u16(text.len() as u16);
        self.out.extend_from_slice(text);
    }

    fn list<T>(&mut self, records: &[T], mut write: impl FnMut(&mut Self, &T)) {
        let records = records.get(..usize::from(u16::MAX)).unwrap_or(records);
        self.u16(records.len() as u16);
        for record in records {
            write(self, record);
        }
    }

    fn pairs(&mut self, pairs: &[(Text<'_>, Text<'_>)]) {
        self.list(pairs, |w, (name, value)| {
            w.text(name);
            w.text(value);
        });
    }

    /// Device and session properties, which end in a zero byte from 29 on.
    fn properties(&mut self, pairs: &[(Text<'_>, Text<'_>)]) {
        self.list(pairs, |w, (name, value)| {
            w.text(name);
            w.text(value);
            if w.layout.is_late() {
                w.u8(0);
            }
        });
    }

    fn lists(&mut self, names: &[(Text<'_>, Span)], values: &[Text<'_>]) {
        self.list(names, |w, (name, span)| {
            w.text(name);
            w.list(slice(values, span), |w, value| w.text(value));
        });
    }

    fn optional_text(&mut self, text: Option<Text<'_>>) {
        self.bool(text.is_some());
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Fields 1 to 10.
    fn identity(&mut self, report: &Report<'_>) {
        self.u16(self.layout.protocol());
        self.u16(report.ad_flag);
        if self.layout.is_full() {
            self.i64(report.ad_cache_ms);
            self.list(&report.ad_ids, |w, &(kind, id)| {
                w.u8(kind);
                w.i64(id);
            });
        }
        self.u16(report.platform);
        self.u16(report.agent_version);
        self.i64(report.created_ms);
        self.text(report.api_key);
        self.text(report.app_version);
        if self.layout.has_trailer() {
            self.list(&report.device_ids, |w, (kind, id)| {
                w.u16(*kind);
                w.text(id);
            });
        } else {
            let (kind, id) = report.device_ids.first().copied().unwrap_or_default();
            if self.layout.is_full() {
                self.u16(kind);
            }
            self.text(id);
        }
    }

    /// Fields 11 to 22.
    fn install(&mut self, report: &Report<'_>) {
        let layout = self.layout;
        if layout.has_trailer() {
            self.u8(0);
        }
        if layout.has_delivery_flag() {
            self.bool(report.previous_delivered.unwrap_or_default());
        }
        if layout.is_late() {
            self.bool(report.ad_tracking.unwrap_or_default());
        }
        self.i64(report.first_session_ms);
        self.i64(report.session_start_ms);
        self.properties(&report.properties);
        if layout.has_referrer() {
            self.lists(&report.referrer, &report.values);
            self.optional_text(report.push_token);
        }
        if layout.has_reserved_bool() {
            self.bool(false);
        }
        if layout.has_launch_options() {
            self.lists(&report.launch_options, &report.values);
        }
        if layout.is_late() {
            self.list(&report.origins, |w, (name, span)| {
                w.text(name);
                w.pairs(slice(&report.pairs, span));
            });
        }
        if layout.is_latest() {
            self.text(report.package.unwrap_or_default());
        }
    }

    fn session(&mut self, report: &Report<'_>, session: &Session<'_>) {
        let layout = self.layout;
        self.circumstances(report, session);
        self.list(slice(&report.counts, &session.counts), |w, (name, n)| {
            w.text(name);
            w.i32(*n);
        });
        self.list(slice(&report.events, &session.events), |w, event| {
            w.event(report, event);
        });
        self.bool(session.events_complete);
        self.i32(session.total_errors);
        self.list(slice(&report.errors, &session.errors), Writer::error);
        self.out.extend_from_slice(layout.tail());
    }

    /// Session fields 1 to 17.
    fn circumstances(&mut self, report: &Report<'_>, session: &Session<'_>) {
        let layout = self.layout;
        if layout.is_full() {
            self.u16(layout.session_version());
        }
        self.text(session.app_version);
        self.i64(session.start_ms);
        self.i64(session.duration_ms);
        if layout.is_full() {
            self.i64(session.pause_ms);
        }
        if layout.is_latest() {
            let launch = session.launch.clone().unwrap_or_default();
            self.bool(launch.flag);
            self.i8(launch.kind);
            self.optional_text(launch.origin);
            self.optional_text(launch.deep_link);
            self.pairs(slice(&report.pairs, &launch.options));
        }
        if layout.is_late() {
            self.properties(slice(&report.pairs, &session.properties));
        }
        if layout.is_full() {
            self.text(session.locale.unwrap_or_default());
            self.text(session.timezone.unwrap_or_default());
            self.i8(session.network);
        }
        if layout.is_latest() {
            self.u8(session.orientation.unwrap_or_default());
        }
        self.text(session.user_id);
        self.location(session.location);
        self.i32(session.page_views);
        let [first, second] = session.unknown;
        self.i8(first);
        if layout.is_full() {
            self.i8(second);
            self.i8(session.gender);
            self.bool(session.birth_ms.is_some());
            if let Some(birth) = session.birth_ms {
                self.i64(birth);
            }
        }
    }

    fn location(&mut self, location: Option<Location>) {
        self.bool(location.is_some());
        if let Some(location) = location {
            self.put(location.lat_bits.to_be_bytes());
            self.put(location.lon_bits.to_be_bytes());
            self.put(location.accuracy_bits.to_be_bytes());
        }
    }

    fn event(&mut self, report: &Report<'_>, event: &Event<'_>) {
        if self.layout.has_trailer() {
            self.u16(event.id.unwrap_or_default());
        }
        self.text(event.name);
        self.pairs(slice(&report.params, &event.params));
        if self.layout.is_full() {
            self.i64(event.offset_ms.unwrap_or_default());
            self.i64(event.duration_ms.unwrap_or_default());
        }
    }

    fn error(&mut self, error: &ErrorRecord<'_>) {
        if self.layout.has_trailer() {
            self.u16(error.id.unwrap_or_default());
        }
        self.i64(error.time_ms);
        self.text(error.error_id);
        self.text(error.message);
        self.text(error.class);
        if self.layout.has_traces() {
            self.u8(error.kind.unwrap_or_default());
            match error.trace {
                None => self.u8(0),
                Some(trace) => {
                    let longest = usize::try_from(i32::MAX).unwrap_or(usize::MAX);
                    let trace = trace.get(..longest).unwrap_or(trace);
                    self.u8(2);
                    self.i32(trace.len() as i32);
                    self.out.extend_from_slice(trace);
                }
            }
        }
    }
}
