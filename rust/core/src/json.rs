//! A report as one line of JSON: the section "JSON" of `docs/wire-format.md`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::report::{ErrorRecord, Event, Location, Report, Session, Span, Text, slice};
use crate::wire::text;

/// Appends the report to `out`, without a newline.
pub fn write_report(report: &Report<'_>, out: &mut Vec<u8>) {
    let mut w = Writer::default();
    w.out.reserve(1024);
    w.report(report);
    out.extend_from_slice(w.out.as_bytes());
}

/// Appends what stands for an unreadable report.
pub fn write_outcome(reason: crate::reason::Reason, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"outcome\":\"{reason}\"}}").as_bytes());
}

#[derive(Default)]
struct Writer {
    out: String,
}

impl Writer {
    fn report(&mut self, report: &Report<'_>) {
        self.out.push_str("{\"outcome\":\"ok\"");
        self.number(",\"protocol\":", report.protocol);
        self.number(",\"platform\":", report.platform);
        self.number(",\"agent_version\":", report.agent_version);
        self.number(",\"reported_at_ms\":", report.created_ms);
        self.text(",\"api_key\":", report.api_key);
        self.text(",\"app_version\":", report.app_version);
        self.device_ids(report);
        self.number(",\"first_session_start_ms\":", report.first_session_ms);
        self.number(",\"session_start_ms\":", report.session_start_ms);
        self.out.push_str(",\"properties\":");
        self.object(first_of_each(&report.properties), |w, value| {
            w.string(value)
        });
        self.multimap(
            ",\"referrer\":",
            &report.referrer,
            &report.values,
            |w, value| w.string(value),
        );
        self.multimap(
            ",\"launch_options\":",
            &report.launch_options,
            &report.values,
            |w, value| {
                w.string(value);
            },
        );
        self.list(",\"sessions\":", &report.sessions, |w, session| {
            w.session(report, session)
        });
        if report.repaired_errors != 0 {
            self.number(",\"repaired_errors\":", report.repaired_errors);
        }
        self.beyond_captures(report);
        self.out.push('}');
    }

    fn device_ids(&mut self, report: &Report<'_>) {
        self.out.push_str(",\"device_id\":");
        match report.device_ids.iter().find(|(kind, _)| *kind == 0) {
            None => self.out.push_str("null"),
            Some((_, id)) if report.protocol < 22 => self.string(id),
            Some((_, id)) => self.quoted(&text::lossy(id)),
        }
        self.list(",\"device_ids\":", &report.device_ids, |w, (kind, id)| {
            w.number("{\"type\":", kind);
            w.hex(",\"hex\":", id);
            w.out.push('}');
        });
    }

    fn hex(&mut self, name: &str, bytes: &[u8]) {
        self.out.push_str(name);
        self.out.push('"');
        for byte in bytes {
            let _ = write!(self.out, "{byte:02x}");
        }
        self.out.push('"');
    }

    fn session(&mut self, report: &Report<'_>, session: &Session<'_>) {
        self.text("{\"app_version\":", session.app_version);
        self.number(",\"start_ms\":", session.start_ms);
        self.optional(
            ",\"duration_ms\":",
            Some(session.duration_ms).filter(|&ms| ms != -1),
        );
        self.optional_text(",\"locale\":", session.locale);
        self.optional_text(",\"timezone\":", session.timezone);
        self.optional(
            ",\"network\":",
            Some(session.network).filter(|_| report.protocol != 8),
        );
        self.text(",\"user_id\":", session.user_id);
        self.location(session.location);
        self.number(",\"page_views\":", session.page_views);
        self.optional(
            ",\"gender\":",
            Some(session.gender).filter(|&gender| gender != -1),
        );
        self.optional(",\"birth_ms\":", session.birth_ms.filter(|&ms| ms != 0));
        let counts = slice(&report.counts, &session.counts);
        self.list(",\"event_counts\":", counts, |w, (name, n)| {
            w.text("[", name);
            w.number(",", n);
            w.out.push(']');
        });
        let events = slice(&report.events, &session.events);
        self.list(",\"events\":", events, |w, event| w.event(report, event));
        self.number(",\"events_complete\":", session.events_complete);
        self.number(",\"total_errors\":", session.total_errors);
        self.list(
            ",\"errors\":",
            slice(&report.errors, &session.errors),
            Writer::error,
        );
        self.out.push('}');
    }

    fn location(&mut self, location: Option<Location>) {
        self.out.push_str(",\"location\":");
        let Some(location) = location else {
            self.out.push_str("null");
            return;
        };
        self.float("{\"lat\":", f64::from_bits(location.lat_bits));
        self.float(",\"lon\":", f64::from_bits(location.lon_bits));
        self.float(
            ",\"accuracy\":",
            f32::from_bits(location.accuracy_bits).into(),
        );
        self.out.push('}');
    }

    fn event(&mut self, report: &Report<'_>, event: &Event<'_>) {
        self.optional("{\"id\":", event.id);
        self.text(",\"name\":", event.name);
        self.pairs(",\"params\":", slice(&report.params, &event.params));
        self.optional(",\"offset_ms\":", event.offset_ms);
        self.optional(",\"duration_ms\":", event.duration_ms);
        self.out.push('}');
    }

    fn error(&mut self, error: &ErrorRecord<'_>) {
        self.optional("{\"id\":", error.id);
        self.number(",\"time_ms\":", error.time_ms);
        self.text(",\"error_id\":", error.error_id);
        self.text(",\"message\":", error.message);
        self.text(",\"class\":", error.class);
        self.optional(",\"kind\":", error.kind);
        self.out.push_str(",\"trace\":");
        match error.trace {
            None => self.out.push_str("null"),
            Some(trace) => self.quoted(&text::lossy(trace)),
        }
        self.out.push('}');
    }

    /// What the captures' schema has no place for.
    fn beyond_captures(&mut self, report: &Report<'_>) {
        if !report.api_key.is_ascii() {
            // The row of an app is its wire bytes, which converted text can lose.
            self.hex(",\"api_key_hex\":", report.api_key);
        }
        self.number(",\"ad_flag\":", report.ad_flag);
        if report.protocol >= 15 {
            self.number(",\"ad_cache_ms\":", report.ad_cache_ms);
            self.list(",\"ad_ids\":", &report.ad_ids, |w, (kind, id)| {
                let _ = write!(w.out, "[{kind},{id}]");
            });
        }
        if report.previous_delivered.is_some() {
            self.optional(",\"previous_delivered\":", report.previous_delivered);
        }
        if report.ad_tracking.is_some() {
            self.optional(",\"ad_tracking\":", report.ad_tracking);
        }
        if report.protocol >= 24 {
            self.optional_text(",\"push_token\":", report.push_token);
        }
        if report.protocol < 29 {
            return;
        }
        self.multimap(
            ",\"origins\":",
            &report.origins,
            &report.pairs,
            Writer::pair,
        );
        if report.package.is_some() {
            self.optional_text(",\"package\":", report.package);
        }
        self.list(",\"session_details\":", &report.sessions, |w, session| {
            w.details(report, session);
        });
    }

    fn details(&mut self, report: &Report<'_>, session: &Session<'_>) {
        self.pairs(
            "{\"properties\":",
            slice(&report.pairs, &session.properties),
        );
        if let Some(launch) = &session.launch {
            self.number(",\"launch\":{\"flag\":", launch.flag);
            self.number(",\"kind\":", launch.kind);
            self.optional_text(",\"origin\":", launch.origin);
            self.optional_text(",\"deep_link\":", launch.deep_link);
            self.pairs(",\"options\":", slice(&report.pairs, &launch.options));
            self.out.push('}');
        }
        if session.orientation.is_some() {
            self.optional(",\"orientation\":", session.orientation);
        }
        self.out.push('}');
    }

    fn pairs(&mut self, label: &str, pairs: &[(Text<'_>, Text<'_>)]) {
        self.list(label, pairs, Writer::pair);
    }

    fn pair(&mut self, (name, value): &(Text<'_>, Text<'_>)) {
        self.text("[", name);
        self.text(",", value);
        self.out.push(']');
    }

    /// An object name -> list, in the order of first appearance.
    fn multimap<T>(
        &mut self,
        label: &str,
        names: &[(Text<'_>, Span)],
        values: &[T],
        mut write: impl FnMut(&mut Self, &T),
    ) {
        self.out.push_str(label);
        let values_of = |span| slice(values, span).iter();
        let lists = names.iter().map(|(name, span)| (*name, values_of(span)));
        self.object(joined(lists), |w, values: Vec<&T>| {
            w.list("", &values, |w, value| write(w, value));
        });
    }

    fn object<'t, V>(
        &mut self,
        entries: impl IntoIterator<Item = (Cow<'t, str>, V)>,
        mut write: impl FnMut(&mut Self, V),
    ) {
        let mut separator = '{';
        for (name, value) in entries {
            self.out.push(separator);
            separator = ',';
            self.quoted(&name);
            self.out.push(':');
            write(self, value);
        }
        if separator == '{' {
            self.out.push('{');
        }
        self.out.push('}');
    }

    fn list<T>(&mut self, label: &str, records: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.out.push_str(label);
        self.out.push('[');
        for (index, record) in records.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write(self, record);
        }
        self.out.push(']');
    }

    fn number(&mut self, label: &str, value: impl std::fmt::Display) {
        let _ = write!(self.out, "{label}{value}");
    }

    fn optional(&mut self, label: &str, value: Option<impl std::fmt::Display>) {
        match value {
            Some(value) => self.number(label, value),
            None => self.number(label, "null"),
        }
    }

    /// The shortest digits that parse to the same number.
    fn float(&mut self, label: &str, value: f64) {
        if value.is_finite() {
            let _ = write!(self.out, "{label}{value:?}");
        } else {
            self.number(label, "null");
        }
    }

    fn optional_text(&mut self, label: &str, value: Option<Text<'_>>) {
        match value {
            Some(value) => self.text(label, value),
            None => self.number(label, "null"),
        }
    }

    fn text(&mut self, label: &str, value: Text<'_>) {
        self.out.push_str(label);
        self.string(value);
    }

    fn string(&mut self, value: Text<'_>) {
        self.quoted(&text::utf8(value));
    }

    fn quoted(&mut self, value: &str) {
        self.out.push('"');
        let mut rest = value;
        while let Some(at) = rest.find(|c: char| c.is_control() || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(at);
            self.out.push_str(plain);
            let mut characters = special.chars();
            match characters.next() {
                Some('"') => self.out.push_str("\\\""),
                Some('\\') => self.out.push_str("\\\\"),
                Some('\n') => self.out.push_str("\\n"),
                Some('\r') => self.out.push_str("\\r"),
                Some('\t') => self.out.push_str("\\t"),
                Some(control) => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(control));
                }
                None => {}
            }
            rest = characters.as_str();
        }
        self.out.push_str(rest);
        self.out.push('"');
    }
}

/// The entries of an object; a name that comes again is left out, since
/// readers of JSON differ in what they make of it. Names are compared as they
/// are shown: two that differ on the wire may read the same.
fn first_of_each<'t, V: Copy>(pairs: &[(Text<'t>, V)]) -> Vec<(Cow<'t, str>, V)> {
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    for &(name, value) in pairs {
        let name = text::utf8(name);
        if seen.insert(name.clone()) {
            entries.push((name, value));
        }
    }
    entries
}

/// Name -> values, in the order of first appearance; a name that comes again
/// appends to its values.
fn joined<'t, I: IntoIterator>(
    lists: impl Iterator<Item = (Text<'t>, I)>,
) -> Vec<(Cow<'t, str>, Vec<I::Item>)> {
    let mut places = HashMap::new();
    let mut entries: Vec<(Cow<'t, str>, Vec<I::Item>)> = Vec::new();
    for (name, values) in lists {
        let name = text::utf8(name);
        let place = *places.entry(name.clone()).or_insert_with(|| {
            entries.push((name, Vec::new()));
            entries.len() - 1
        });
        if let Some((_, list)) = entries.get_mut(place) {
            list.extend(values);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use crate::wire::PROTOCOLS;
    use crate::wire::samples::rich;

    fn line(report: &Report<'_>) -> String {
        let mut out = Vec::new();
        write_report(report, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_that_come_again_stay_one_key() {
        let report = Report {
            protocol: 24,
            properties: vec![(b"a", b"first"), (b"b", b""), (b"a", b"second")],
            // The same name once more, but for how it is written.
            referrer: vec![(b"x", 0..1), (b"y", 1..1), (b"\xc1\xb8", 1..3)],
            values: vec![b"1", b"2", b"3"],
            ..Report::default()
        };
        let line = line(&report);
        assert!(
            line.contains(r#""properties":{"a":"first","b":""}"#),
            "{line}"
        );
        assert!(
            line.contains(r#""referrer":{"x":["1","2","3"],"y":[]}"#),
            "{line}"
        );
        assert!(line.contains(r#""launch_options":{}"#), "{line}");
    }

    #[test]
    fn nothing_in_a_text_ends_its_string() {
        let report = Report {
            api_key: b"\"\\\n\r\t\x01\x7f\xc2\x9b\xc0\x80\xe2\x80\xa8/",
            ..Report::default()
        };
        let wanted = r#""api_key":"\"\\\n\r\t\u0001\u007f\u009b\u0000"#;
        assert!(
            line(&report).contains(&format!("{wanted}\u{2028}/\"")),
            "{}",
            line(&report)
        );
    }

    #[test]
    fn a_location_keeps_its_numbers() {
        let location = |lat: f64, lon: f64, accuracy: f32| {
            let mut writer = Writer::default();
            writer.location(Some(Location {
                lat_bits: lat.to_bits(),
                lon_bits: lon.to_bits(),
                accuracy_bits: accuracy.to_bits(),
            }));
            writer.out
        };
        assert_eq!(
            location(-0.0, 1e300, 52.3),
            r#","location":{"lat":-0.0,"lon":1e300,"accuracy":52.29999923706055}"#
        );
        assert_eq!(
            location(f64::NAN, f64::NEG_INFINITY, f32::INFINITY),
            r#","location":{"lat":null,"lon":null,"accuracy":null}"#
        );
    }

    #[test]
    fn a_line_has_only_what_its_protocol_has() {
        for protocol in PROTOCOLS {
            let line = line(&rich(protocol));
            for (key, since) in [
                ("ad_flag", 8),
                ("ad_cache_ms", 15),
                ("ad_ids", 15),
                ("push_token", 24),
                ("previous_delivered", 27),
                ("ad_tracking", 29),
                ("origins", 29),
                ("session_details", 29),
                ("package", 30),
                ("launch", 30),
                ("orientation", 30),
            ] {
                assert_eq!(
                    line.contains(&format!("\"{key}\":")),
                    protocol >= since,
                    "{protocol} {key}"
                );
            }
            assert!(!line.contains('\n'));
        }
    }

    #[test]
    fn an_unreadable_report_is_its_reason() {
        let mut out = Vec::new();
        write_outcome(Reason::BadCrc, &mut out);
        assert_eq!(out, br#"{"outcome":"bad_crc"}"#);
    }
}
