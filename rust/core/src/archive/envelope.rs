//! The columns of the envelope. All are null in a row that could not be read.

use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMillisecondType};

use super::columns::{Ends, Numbers, OptBytes, OptFlags, OptNumbers, OptTexts};
use super::intern::Texts;
use super::key::Key;
use super::lists::{OriginLists, PairLists, ValueLists};
use super::schema::{self, PROPERTIES};
use super::scribe::Scribe;
use super::visit::Visitor;
use crate::report::Report;

#[derive(Debug, Default)]
struct AdIds {
    ends: Ends,
    kind: Numbers<Int16Type>,
    id: Numbers<Int64Type>,
}

impl AdIds {
    fn push(&mut self, ids: &[(u8, i64)]) {
        for (kind, id) in ids {
            self.kind.push(i16::from(*kind));
            self.id.push(*id);
        }
        self.ends.push(self.id.len());
    }

    fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(None, &self.ends, |v| {
            v.numbers::<Int16Type>(None, &self.kind.values);
            v.numbers::<Int64Type>(None, &self.id.values);
        });
    }
}

/// The first id of type 0, the first of type 5, and the rest in wire order.
#[derive(Debug, Default)]
struct DeviceIds {
    device_id: OptBytes,
    imei_sha1: OptBytes,
    other_ends: Ends,
    other_kind: Numbers<Int32Type>,
    other_id: Texts,
}

impl DeviceIds {
    /// Holds the report's ids wholly if 0 comes first and 5 next, as in every known agent.
    fn push(&mut self, scribe: &mut Scribe<'_>, protocol: u16, ids: &[(u16, &[u8])]) {
        let mut own = [None, None];
        for (place, (kind, id)) in ids.iter().enumerate() {
            let slot = match *kind {
                schema::DEVICE_ID => 0,
                schema::IMEI_SHA1 => 1,
                _ => 2,
            };
            let expected = own.iter().flatten().count();
            match own.get_mut(slot) {
                Some(column @ None) => {
                    // Restored as: device id, SHA-1, others. Anything before this one moved it.
                    if place != expected || (slot == 0 && expected == 1) {
                        scribe.lose();
                    }
                    *column = Some(*id);
                }
                _ => {
                    self.other_kind.push(i32::from(*kind));
                    self.other_id.push(&Key::within(id, scribe.around()), id);
                }
            }
        }
        let [device_id, imei_sha1] = own;
        if protocol < 22 {
            scribe.opt_text(&mut self.device_id, device_id);
        } else {
            scribe.opt_bytes_as_text(&mut self.device_id, device_id);
        }
        self.imei_sha1.push(imei_sha1);
        self.other_ends.push(self.other_id.len());
    }

    fn visit(&self, visitor: &mut impl Visitor) {
        visitor.opt_bytes(&self.device_id);
        visitor.opt_bytes(&self.imei_sha1);
        visitor.list(None, &self.other_ends, |v| {
            v.numbers::<Int32Type>(None, &self.other_kind.values);
            v.own_texts(&self.other_id);
        });
    }
}

/// The six known device properties, and the rest in wire order.
#[derive(Debug, Default)]
struct Properties {
    known: [OptTexts; PROPERTIES.len()],
    others: PairLists,
}

impl Properties {
    /// Holds the report's properties wholly if the known ones come first, once
    /// each and in order, as in every known agent.
    fn push(&mut self, scribe: &mut Scribe<'_>, properties: &[(&[u8], &[u8])]) {
        let mut own = [None; PROPERTIES.len()];
        let mut next = 0;
        for (name, value) in properties {
            // Agents write them in order, so the first comparison nearly always hits.
            let place = (next..PROPERTIES.len()).chain(0..next).find(|place| {
                PROPERTIES
                    .get(*place)
                    .is_some_and(|(known, _)| known == name)
            });
            match place.and_then(|place| Some((place, own.get_mut(place)?))) {
                Some((place, column @ None)) => {
                    if place < next {
                        scribe.lose();
                    }
                    next = place + 1;
                    *column = Some(*value);
                }
                Some(_) => {
                    scribe.lose();
                    self.others.push(scribe, (name, value));
                }
                None => {
                    // No known one may follow.
                    next = PROPERTIES.len();
                    self.others.push(scribe, (name, value));
                }
            }
        }
        for (column, value) in self.known.iter_mut().zip(own) {
            scribe.opt_text(column, value);
        }
        self.others.close();
    }
}

#[derive(Debug, Default)]
pub struct Envelope {
    protocol: OptNumbers<Int32Type>,
    ad_flag: OptNumbers<Int32Type>,
    ad_cache: OptNumbers<Int64Type>,
    ad_ids: AdIds,
    platform: OptNumbers<Int32Type>,
    agent_version: OptNumbers<Int32Type>,
    reported_at: OptNumbers<TimestampMillisecondType>,
    api_key: OptTexts,
    app_version: OptTexts,
    ids: DeviceIds,
    previous_delivered: OptFlags,
    ad_tracking: OptFlags,
    first_session_start: OptNumbers<TimestampMillisecondType>,
    session_start: OptNumbers<TimestampMillisecondType>,
    properties: Properties,
    referrer: ValueLists,
    push_token: OptBytes,
    launch_options: ValueLists,
    origins: OriginLists,
    package: OptTexts,
}

impl Envelope {
    /// To be called some time before `push`: there are as many API keys as apps,
    /// and the place of this one may have left the caches.
    pub fn prepare(&self, scribe: &Scribe<'_>, report: &Report<'_>) {
        let key = Key::within(report.api_key, scribe.around());
        self.api_key.values.dictionary.soon(&key);
    }

    pub fn push(&mut self, scribe: &mut Scribe<'_>, report: Option<&Report<'_>>) {
        let r = report;
        self.protocol.push(r.map(|r| r.protocol.into()));
        self.ad_flag.push(r.map(|r| r.ad_flag.into()));
        self.ad_cache.push(r.map(|r| r.ad_cache_ms));
        self.ad_ids.push(r.map_or(&[], |r| &r.ad_ids));
        self.platform.push(r.map(|r| r.platform.into()));
        self.agent_version.push(r.map(|r| r.agent_version.into()));
        self.reported_at.push(r.map(|r| scribe.time(r.created_ms)));
        scribe.opt_text(&mut self.api_key, r.map(|r| r.api_key));
        scribe.opt_text(&mut self.app_version, r.map(|r| r.app_version));
        let protocol = r.map_or(0, |r| r.protocol);
        self.ids
            .push(scribe, protocol, r.map_or(&[], |r| &r.device_ids));
        self.previous_delivered
            .push(r.and_then(|r| r.previous_delivered));
        self.ad_tracking.push(r.and_then(|r| r.ad_tracking));
        self.first_session_start
            .push(r.map(|r| scribe.time(r.first_session_ms)));
        self.session_start
            .push(r.map(|r| scribe.time(r.session_start_ms)));
        self.properties
            .push(scribe, r.map_or(&[], |r| &r.properties));
        self.referrer
            .push_list(scribe, r, r.map_or(&[], |r| &r.referrer));
        scribe.opt_text(&mut self.push_token, r.and_then(|r| r.push_token));
        self.launch_options
            .push_list(scribe, r, r.map_or(&[], |r| &r.launch_options));
        self.origins
            .push_list(scribe, r, r.map_or(&[], |r| &r.origins));
        scribe.opt_text(&mut self.package, r.and_then(|r| r.package));
    }

    pub fn visit(&self, visitor: &mut impl Visitor) {
        visitor.opt_numbers(&self.protocol);
        visitor.opt_numbers(&self.ad_flag);
        visitor.opt_numbers(&self.ad_cache);
        self.ad_ids.visit(visitor);
        visitor.opt_numbers(&self.platform);
        visitor.opt_numbers(&self.agent_version);
        visitor.opt_numbers(&self.reported_at);
        visitor.opt_texts(&self.api_key);
        visitor.opt_texts(&self.app_version);
        self.ids.visit(visitor);
        visitor.opt_flags(&self.previous_delivered);
        visitor.opt_flags(&self.ad_tracking);
        visitor.opt_numbers(&self.first_session_start);
        visitor.opt_numbers(&self.session_start);
        for column in &self.properties.known {
            visitor.opt_texts(column);
        }
        self.properties.others.visit(visitor);
        self.referrer.visit(visitor);
        visitor.opt_bytes(&self.push_token);
        self.launch_options.visit(visitor);
        self.origins.visit(visitor);
        visitor.opt_texts(&self.package);
    }
}
