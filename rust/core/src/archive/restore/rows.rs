//! One row of columns becomes the report it was made from.

use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch,
    StructArray,
};

use super::RestoreError;
use super::view::{Columns, ListColumn, TextColumn, places};
use crate::archive::schema::{self, PROPERTIES, shape};
use crate::report::{ErrorRecord, Event, Launch, Location, Report, Session, Span, Text};

type Numbers<T> = PrimitiveArray<T>;
type Times = PrimitiveArray<TimestampMillisecondType>;
/// A fault of a row, in words.
type Fault = String;

fn opt<T: ArrowPrimitiveType>(column: &Numbers<T>, place: usize) -> Option<T::Native> {
    column.is_valid(place).then(|| column.value(place))
}

fn opt_flag(column: &BooleanArray, place: usize) -> Option<bool> {
    column.is_valid(place).then(|| column.value(place))
}

/// A number as the narrower type the wire has for it.
fn narrow<W, N: TryFrom<W>>(value: W, name: &str) -> Result<N, Fault> {
    N::try_from(value).map_err(|_| format!("{name} is out of range"))
}

/// The span of what was pushed to a flat vector since it had `start` entries.
fn span<T>(start: usize, flat: &[T]) -> Span {
    start as u32..flat.len() as u32
}

struct Pairs {
    name: TextColumn,
    value: TextColumn,
}

impl Pairs {
    fn new(columns: &StructArray) -> Result<Self, RestoreError> {
        Ok(Self {
            name: columns.text("name")?,
            value: columns.text("value")?,
        })
    }
}

impl ListColumn<Pairs> {
    fn fill<'a>(&'a self, row: usize, conv: bool, flat: &mut Vec<(Text<'a>, Text<'a>)>) -> Span {
        let start = flat.len();
        let Pairs { name, value } = &self.elements;
        flat.extend(
            self.places(row)
                .map(|place| (name.wire(place, conv), value.wire(place, conv))),
        );
        span(start, flat)
    }
}

/// A multi-map: names, and lists of texts.
struct Values {
    name: TextColumn,
    lists: ListArray,
    value: TextColumn,
}

impl Values {
    fn new(columns: &StructArray) -> Result<Self, RestoreError> {
        let lists: ListArray = columns.get("values")?;
        let texts = lists.values().as_any().downcast_ref().cloned();
        let texts = texts.ok_or_else(|| RestoreError::column("values", "has another type"))?;
        Ok(Self {
            name: columns.text("name")?,
            lists,
            value: TextColumn::new(texts),
        })
    }
}

impl ListColumn<Values> {
    fn fill<'a>(
        &'a self,
        row: usize,
        conv: bool,
        entries: &mut Vec<(Text<'a>, Span)>,
        flat: &mut Vec<Text<'a>>,
    ) {
        let Values { name, lists, value } = &self.elements;
        for place in self.places(row) {
            let start = flat.len();
            flat.extend(places(lists, place).map(|place| value.wire(place, conv)));
            entries.push((name.wire(place, conv), span(start, flat)));
        }
    }
}

struct Origins {
    name: TextColumn,
    pairs: ListColumn<Pairs>,
}

struct OtherIds {
    kind: Numbers<Int32Type>,
    id: BinaryArray,
}

struct AdIds {
    kind: Numbers<Int16Type>,
    id: Numbers<Int64Type>,
}

struct Events {
    id: Numbers<Int32Type>,
    name: TextColumn,
    params: ListColumn<Pairs>,
    offset: Numbers<Int64Type>,
    duration: Numbers<Int64Type>,
}

struct Errors {
    id: Numbers<Int32Type>,
    time: Times,
    error_id: TextColumn,
    message: TextColumn,
    class: TextColumn,
    kind: Numbers<Int16Type>,
    trace: TextColumn,
}

struct Launches {
    launch: StructArray,
    flag: BooleanArray,
    kind: Numbers<Int8Type>,
    origin: TextColumn,
    deep_link: TextColumn,
    options: ListColumn<Pairs>,
}

struct Locations {
    location: StructArray,
    lat: Numbers<Float64Type>,
    lon: Numbers<Float64Type>,
    accuracy: Numbers<Float32Type>,
}

struct Counts {
    name: TextColumn,
    count: Numbers<Int32Type>,
}

struct Sessions {
    app_version: TextColumn,
    start: Times,
    duration: Numbers<Int64Type>,
    pause: Numbers<Int64Type>,
    locale: TextColumn,
    timezone: TextColumn,
    network: Numbers<Int8Type>,
    user_id: TextColumn,
    location: Locations,
    page_views: Numbers<Int32Type>,
    unknown: Numbers<Int16Type>,
    gender: Numbers<Int8Type>,
    birth: Times,
    counts: ListColumn<Counts>,
    events: ListColumn<Events>,
    events_complete: BooleanArray,
    total_errors: Numbers<Int32Type>,
    errors: ListColumn<Errors>,
    orientation: Numbers<Int16Type>,
    launch: Launches,
    properties: ListColumn<Pairs>,
}

impl Sessions {
    fn new(columns: &StructArray) -> Result<Self, RestoreError> {
        let location: StructArray = columns.get("location")?;
        let launch: StructArray = columns.get("launch")?;
        Ok(Self {
            app_version: columns.text("app_version")?,
            start: columns.get("start")?,
            duration: columns.get("duration_ms")?,
            pause: columns.get("pause_ms")?,
            locale: columns.text("locale")?,
            timezone: columns.text("timezone")?,
            network: columns.get("network")?,
            user_id: columns.text("user_id")?,
            location: Locations {
                lat: location.get("lat")?,
                lon: location.get("lon")?,
                accuracy: location.get("accuracy")?,
                location,
            },
            page_views: columns.get("page_views")?,
            unknown: columns.get("unknown")?,
            gender: columns.get("gender")?,
            birth: columns.get("birth")?,
            counts: columns.list("event_counts", |counts| {
                Ok(Counts {
                    name: counts.text("name")?,
                    count: counts.get("count")?,
                })
            })?,
            events: columns.list("events", |events| {
                Ok(Events {
                    id: events.get("id")?,
                    name: events.text("name")?,
                    params: events.list("params", Pairs::new)?,
                    offset: events.get("offset_ms")?,
                    duration: events.get("duration_ms")?,
                })
            })?,
            events_complete: columns.get("events_complete")?,
            total_errors: columns.get("total_errors")?,
            errors: columns.list("errors", |errors| {
                Ok(Errors {
                    id: errors.get("id")?,
                    time: errors.get("time")?,
                    error_id: errors.text("error_id")?,
                    message: errors.text("message")?,
                    class: errors.text("class")?,
                    kind: errors.get("kind")?,
                    trace: errors.text("trace")?,
                })
            })?,
            orientation: columns.get("orientation")?,
            launch: Launches {
                flag: launch.get("flag")?,
                kind: launch.get("kind")?,
                origin: launch.text("origin")?,
                deep_link: launch.text("deep_link")?,
                options: launch.list("options", Pairs::new)?,
                launch,
            },
            properties: columns.list("properties", Pairs::new)?,
        })
    }

    fn fill<'a>(
        &'a self,
        place: usize,
        protocol: u16,
        shape: i16,
        report: &mut Report<'a>,
    ) -> Result<(), Fault> {
        let conv = shape & shape::CONVERTED != 0;
        let birth_zero = shape & shape::BIRTH_ZERO != 0;
        let unknown = opt(&self.unknown, place).unwrap_or(-1).to_be_bytes();
        let session = Session {
            app_version: self.app_version.wire(place, conv),
            start_ms: self.start.value(place),
            duration_ms: opt(&self.duration, place).unwrap_or(-1),
            pause_ms: self.pause.value(place),
            launch: self.launch.get(place, conv, report),
            properties: self.properties.fill(place, conv, &mut report.pairs),
            locale: self.locale.opt_wire(place, conv),
            timezone: self.timezone.opt_wire(place, conv),
            network: opt(&self.network, place).unwrap_or(-1),
            orientation: match opt(&self.orientation, place) {
                Some(value) => Some(narrow(value, "orientation")?),
                None => None,
            },
            user_id: self.user_id.wire(place, conv),
            location: self.location.get(place),
            page_views: self.page_views.value(place),
            unknown: unknown.map(|byte| byte as i8),
            gender: opt(&self.gender, place).unwrap_or(-1),
            birth_ms: opt(&self.birth, place).or(birth_zero.then_some(0)),
            counts: {
                let start = report.counts.len();
                let Counts { name, count } = &self.counts.elements;
                let places = self.counts.places(place);
                report
                    .counts
                    .extend(places.map(|place| (name.wire(place, conv), count.value(place))));
                span(start, &report.counts)
            },
            events: self.fill_events(place, protocol, conv, report)?,
            events_complete: self.events_complete.value(place),
            total_errors: self.total_errors.value(place),
            errors: self.fill_errors(place, conv, report)?,
        };
        report.sessions.push(session);
        Ok(())
    }

    fn fill_events<'a>(
        &'a self,
        place: usize,
        protocol: u16,
        conv: bool,
        report: &mut Report<'a>,
    ) -> Result<Span, Fault> {
        let start = report.events.len();
        let events = &self.events.elements;
        for place in self.events.places(place) {
            let event = Event {
                id: match opt(&events.id, place) {
                    Some(id) => Some(narrow(id, "an event id")?),
                    None => None,
                },
                name: events.name.wire(place, conv),
                params: events.params.fill(place, conv, &mut report.params),
                offset_ms: opt(&events.offset, place),
                // The wire's 0 is null, where the protocol has durations.
                duration_ms: opt(&events.duration, place).or((protocol != 8).then_some(0)),
            };
            report.events.push(event);
        }
        Ok(span(start, &report.events))
    }

    fn fill_errors<'a>(
        &'a self,
        place: usize,
        conv: bool,
        report: &mut Report<'a>,
    ) -> Result<Span, Fault> {
        let start = report.errors.len();
        let errors = &self.errors.elements;
        for place in self.errors.places(place) {
            let error = ErrorRecord {
                id: match opt(&errors.id, place) {
                    Some(id) => Some(narrow(id, "an error id")?),
                    None => None,
                },
                time_ms: errors.time.value(place),
                error_id: errors.error_id.wire(place, conv),
                message: errors.message.wire(place, conv),
                class: errors.class.wire(place, conv),
                kind: match opt(&errors.kind, place) {
                    Some(kind) => Some(narrow(kind, "an error kind")?),
                    None => None,
                },
                trace: errors
                    .trace
                    .is_valid(place)
                    .then(|| errors.trace.shown(place)),
            };
            report.errors.push(error);
        }
        Ok(span(start, &report.errors))
    }
}

impl Launches {
    fn get<'a>(&'a self, place: usize, conv: bool, report: &mut Report<'a>) -> Option<Launch<'a>> {
        self.launch.is_valid(place).then(|| Launch {
            flag: self.flag.value(place),
            kind: self.kind.value(place),
            origin: self.origin.opt_wire(place, conv),
            deep_link: self.deep_link.opt_wire(place, conv),
            options: self.options.fill(place, conv, &mut report.pairs),
        })
    }
}

impl Locations {
    fn get(&self, place: usize) -> Option<Location> {
        self.location.is_valid(place).then(|| Location {
            lat_bits: self.lat.value(place).to_bits(),
            lon_bits: self.lon.value(place).to_bits(),
            accuracy_bits: self.accuracy.value(place).to_bits(),
        })
    }
}

/// Every column that a report is made of.
pub struct ReportColumns {
    protocol: Numbers<Int32Type>,
    ad_flag: Numbers<Int32Type>,
    ad_cache: Numbers<Int64Type>,
    ad_ids: ListColumn<AdIds>,
    platform: Numbers<Int32Type>,
    agent_version: Numbers<Int32Type>,
    reported_at: Times,
    api_key: TextColumn,
    app_version: TextColumn,
    device_id: TextColumn,
    imei_sha1: BinaryArray,
    other_ids: ListColumn<OtherIds>,
    previous_delivered: BooleanArray,
    ad_tracking: BooleanArray,
    first_session_start: Times,
    session_start: Times,
    known_properties: Vec<(Text<'static>, TextColumn)>,
    other_properties: ListColumn<Pairs>,
    referrer: ListColumn<Values>,
    push_token: TextColumn,
    launch_options: ListColumn<Values>,
    origins: ListColumn<Origins>,
    package: TextColumn,
    sessions: ListColumn<Sessions>,
}

impl ReportColumns {
    pub fn new(batch: &RecordBatch) -> Result<Self, RestoreError> {
        let known = PROPERTIES.iter();
        let known = known.map(|(name, column)| Ok((*name, batch.text(column)?)));
        Ok(Self {
            protocol: batch.get("protocol")?,
            ad_flag: batch.get("ad_flag")?,
            ad_cache: batch.get("ad_cache_ms")?,
            ad_ids: batch.list("ad_ids", |ids| {
                Ok(AdIds {
                    kind: ids.get("type")?,
                    id: ids.get("id")?,
                })
            })?,
            platform: batch.get("platform")?,
            agent_version: batch.get("agent_version")?,
            reported_at: batch.get("reported_at")?,
            api_key: batch.text("api_key")?,
            app_version: batch.text("app_version")?,
            device_id: batch.text("device_id")?,
            imei_sha1: batch.get("imei_sha1")?,
            other_ids: batch.list("other_ids", |ids| {
                Ok(OtherIds {
                    kind: ids.get("type")?,
                    id: ids.get("id")?,
                })
            })?,
            previous_delivered: batch.get("previous_delivered")?,
            ad_tracking: batch.get("ad_tracking")?,
            first_session_start: batch.get("first_session_start")?,
            session_start: batch.get("session_start")?,
            known_properties: known.collect::<Result<_, RestoreError>>()?,
            other_properties: batch.list("other_properties", Pairs::new)?,
            referrer: batch.list("referrer", Values::new)?,
            push_token: batch.text("push_token")?,
            launch_options: batch.list("launch_options", Values::new)?,
            origins: batch.list("origins", |origins| {
                Ok(Origins {
                    name: origins.text("name")?,
                    pairs: origins.list("pairs", Pairs::new)?,
                })
            })?,
            package: batch.text("package")?,
            sessions: batch.list("sessions", Sessions::new)?,
        })
    }

    /// The report of `row`, whose `outcome` is ok, into `report`.
    pub fn fill<'a>(
        &'a self,
        row: usize,
        shape: i16,
        report: &mut Report<'a>,
    ) -> Result<(), Fault> {
        let conv = shape & shape::CONVERTED != 0;
        report.clear();
        report.non_ascii = conv;
        report.protocol = narrow(self.protocol.value(row), "protocol")?;
        report.ad_flag = narrow(self.ad_flag.value(row), "ad_flag")?;
        report.ad_cache_ms = self.ad_cache.value(row);
        for place in self.ad_ids.places(row) {
            let AdIds { kind, id } = &self.ad_ids.elements;
            let kind = narrow(kind.value(place), "an ad id's type")?;
            report.ad_ids.push((kind, id.value(place)));
        }
        report.platform = narrow(self.platform.value(row), "platform")?;
        report.agent_version = narrow(self.agent_version.value(row), "agent_version")?;
        report.created_ms = self.reported_at.value(row);
        report.api_key = self.api_key.wire(row, conv);
        report.app_version = self.app_version.wire(row, conv);
        self.fill_ids(row, conv, report)?;
        report.previous_delivered = opt_flag(&self.previous_delivered, row);
        report.ad_tracking = opt_flag(&self.ad_tracking, row);
        report.first_session_ms = self.first_session_start.value(row);
        report.session_start_ms = self.session_start.value(row);
        for (name, column) in &self.known_properties {
            if let Some(value) = column.opt_wire(row, conv) {
                report.properties.push((name, value));
            }
        }
        self.other_properties
            .fill(row, conv, &mut report.properties);
        self.referrer
            .fill(row, conv, &mut report.referrer, &mut report.values);
        report.push_token = self.push_token.opt_wire(row, conv);
        self.launch_options
            .fill(row, conv, &mut report.launch_options, &mut report.values);
        for place in self.origins.places(row) {
            let Origins { name, pairs } = &self.origins.elements;
            let pairs = pairs.fill(place, conv, &mut report.pairs);
            report.origins.push((name.wire(place, conv), pairs));
        }
        report.package = self.package.opt_wire(row, conv);
        for place in self.sessions.places(row) {
            let protocol = report.protocol;
            self.sessions
                .elements
                .fill(place, protocol, shape, report)?;
        }
        Ok(())
    }

    fn fill_ids<'a>(
        &'a self,
        row: usize,
        conv: bool,
        report: &mut Report<'a>,
    ) -> Result<(), Fault> {
        if self.device_id.is_valid(row) {
            // Bytes shown as text are kept only where they are UTF-8 already.
            let is_text = report.protocol < 22;
            let id = self.device_id.wire(row, conv && is_text);
            report.device_ids.push((schema::DEVICE_ID, id));
        }
        if self.imei_sha1.is_valid(row) {
            let id = self.imei_sha1.value(row);
            report.device_ids.push((schema::IMEI_SHA1, id));
        }
        for place in self.other_ids.places(row) {
            let OtherIds { kind, id } = &self.other_ids.elements;
            let kind = narrow(kind.value(place), "a device id's type")?;
            report.device_ids.push((kind, id.value(place)));
        }
        Ok(())
    }
}
