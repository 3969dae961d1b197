//! One report: who sends it, and which sessions are in it.

use bumpalo::Bump;

use super::fleet::{Agent, Device, Fleet};
use super::ink::{Decimal, Ink};
use super::rng::{Alias, Rng, mix};
use super::session::{self, Part, Plan, Scene};
use super::settings::Settings;
use super::words::{App, Words};
use crate::report::{Report, Span, Text};

/// What one report is made from. The same recipe gives the same bytes, which is
/// how a resend is byte-identical without the bytes being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipe {
    /// Seed of everything that belongs to one use of an app by one device.
    pub visit: u64,
    /// True time at which the newest session began.
    pub anchor_ms: i64,
    /// True time at which the report is first sent.
    pub sent_ms: i64,
    pub stage: Stage,
}

/// Which report of a visit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A session just began: no record of it yet, perhaps of earlier ones.
    Opening,
    /// The newest session's first half, sent before it was resumed.
    Interrupted,
    /// The whole newest session, after `Opening` or `Interrupted`.
    Complete,
    /// One or more whole sessions that waited on the device.
    Stored,
}

/// Everything that is the same for all reports of a run.
pub struct World {
    pub words: Words,
    pub fleet: Fleet,
    apps: Alias,
    start_ms: i64,
}

/// Who sends a visit's reports.
#[derive(Clone, Copy)]
pub struct Sender {
    pub app: App,
    pub device: Device,
    pub agent: Agent,
    newcomer: bool,
}

impl World {
    pub fn new(settings: &Settings) -> Self {
        World {
            words: Words::new(),
            fleet: Fleet::new(settings),
            apps: Alias::zipf(settings.apps as usize, 1.1),
            start_ms: settings.start_ms,
        }
    }

    pub fn sender(&self, visit: u64) -> Sender {
        let mut rng = Rng::new(visit);
        let rank = self.apps.draw(&mut rng) as u64;
        let newcomer = rng.chance(0.12);
        let number = if newcomer {
            self.fleet.newcomer(rng.next())
        } else {
            self.fleet.user_of(rank, &mut rng)
        };
        let device = self.fleet.device(number);
        Sender {
            app: App::new(rank),
            device,
            agent: self.fleet.agent(rank, &device),
            newcomer,
        }
    }

    /// Fills `report`, which must be empty, and returns who sends it.
    pub fn write<'a>(&'a self, recipe: &Recipe, bump: &'a Bump, report: &mut Report<'a>) -> Sender {
        let ink = Ink(bump);
        let sender = self.sender(recipe.visit);
        let mut rng = Rng::new(mix(recipe.visit, 0x0E));
        let Sender {
            app, device, agent, ..
        } = sender;
        let age = if rng.chance(0.7) { 0 } else { 1 + rng.below(4) };
        let scene = Scene {
            words: &self.words,
            ink,
            app,
            version: app.version(age, ink),
            device,
            agent,
        };
        let oldest_ms = write_sessions(report, scene, recipe, sender.newcomer, &mut rng);
        let clock = device.clock_error_ms;
        report.protocol = agent.protocol;
        report.agent_version = agent.version;
        report.platform = 3;
        report.api_key = app.api_key(ink);
        report.app_version = scene.version;
        report.created_ms = created_ms(recipe, agent, &mut rng) + clock;
        report.first_session_ms = clock
            + if sender.newcomer {
                oldest_ms
            } else {
                device.installed_ms(app.number, self.start_ms)
            };
        // The session that runs while the report is sent, or the newest one in it.
        report.session_start_ms = clock + recipe.anchor_ms;
        write_envelope(report, scene, recipe.stage, &mut rng);
        sender
    }
}

/// Agents from 27 on keep whole reports and may deliver them days later.
fn created_ms(recipe: &Recipe, agent: Agent, rng: &mut Rng) -> i64 {
    let ended = recipe.anchor_ms + Plan::of(recipe.visit, 0).length_ms + 10_000;
    let spooled = agent.protocol >= 27 && recipe.stage == Stage::Stored && rng.chance(0.3);
    if spooled {
        ended.min(recipe.sent_ms)
    } else {
        recipe.sent_ms
    }
}

/// Writes the records, oldest session first; returns when the oldest began (true time).
fn write_sessions<'a>(
    report: &mut Report<'a>,
    scene: Scene<'a>,
    recipe: &Recipe,
    newcomer: bool,
    rng: &mut Rng,
) -> i64 {
    let visit = recipe.visit;
    let earlier = match recipe.stage {
        Stage::Stored => match rng.below(100) {
            0..=64 => 0,
            65..=88 => 1,
            _ => 2,
        },
        Stage::Opening if !newcomer && rng.chance(0.25) => 1,
        _ => 0,
    };
    let mut starts = [recipe.anchor_ms; 3];
    let mut plans = [Plan::of(visit, 0); 3];
    let mut at = recipe.anchor_ms;
    for index in 1..=earlier {
        let plan = Plan::of(visit, index as u64);
        at -= plan.length_ms + 10_001 + rng.exponential(900_000.0) as i64;
        if let (Some(p), Some(s)) = (plans.get_mut(index), starts.get_mut(index)) {
            (*p, *s) = (plan, at);
        }
    }
    let oldest_ms = at;
    let newest_stored = usize::from(recipe.stage == Stage::Opening);
    let protocol = scene.agent.protocol;
    for index in (newest_stored..=earlier).rev() {
        let (Some(plan), Some(start)) = (plans.get(index), starts.get(index)) else {
            continue;
        };
        let start = start + scene.device.clock_error_ms;
        if recipe.stage == Stage::Interrupted {
            session::write(report, scene, *plan, start, Part::FirstHalf);
            continue;
        }
        if (22..=25).contains(&protocol) && rng.chance(0.03) {
            session::write(report, scene, *plan, start, Part::FirstHalf);
        }
        session::write(report, scene, *plan, start, Part::Whole);
        if protocol <= 26 && rng.chance(0.002) {
            session::write(report, scene, *plan, start, Part::Whole);
        }
    }
    oldest_ms
}

fn write_envelope<'a>(report: &mut Report<'a>, scene: Scene<'a>, stage: Stage, rng: &mut Rng) {
    let Scene {
        ink,
        app,
        device,
        agent,
        ..
    } = scene;
    let protocol = agent.protocol;
    let ads = device.hash % 11 == 0;
    report.ad_flag = u16::from(ads && stage == Stage::Opening);
    if ads && protocol != 8 {
        report.ad_cache_ms = report.created_ms - rng.ms(86_400_000);
        report.ad_ids.push((rng.below(3) as u8, rng.next() as i64));
    }
    report.device_ids.push((0, device.id(ink)));
    if protocol >= 22 && device.hash % 5 < 3 {
        report.device_ids.push((5, device.imei_digest(ink)));
    }
    if protocol >= 29 {
        report.device_ids.push((13, device.advertising_id(ink)));
        report.ad_tracking = Some(!device.hash.is_multiple_of(7));
    }
    if protocol >= 27 {
        report.previous_delivered = Some(rng.chance(0.9));
    }
    let properties = device.properties(ink);
    let sent = if protocol == 8 { 4 } else { 6 };
    report.properties.extend(properties.into_iter().take(sent));
    if protocol >= 24 {
        if device.hash % 19 == 0 {
            let source = ink.join(&[b"campaign ", Decimal::of(device.hash >> 40 & 31).bytes()]);
            push_multi(
                &mut report.referrer,
                &mut report.values,
                b"utm_source",
                &[b"google-play"],
            );
            let season = if device.hash % 190 == 0 {
                "été"
            } else {
                "summer"
            };
            push_multi(
                &mut report.referrer,
                &mut report.values,
                b"utm_campaign",
                &[source, season.as_bytes()],
            );
        }
        if device.hash % 31 == 0 {
            report.push_token = Some(ink.repeat(ink.hex(b"APA91b", device.hash), 6));
        }
    }
    if protocol >= 25 && rng.chance(0.02) {
        push_multi(
            &mut report.launch_options,
            &mut report.values,
            b"from",
            &[b"notification"],
        );
    }
    if protocol >= 29 && rng.chance(0.05) {
        let from = report.pairs.len();
        report.pairs.push((b"plugin", b"unity"));
        report.pairs.push((b"version", b"4.3"));
        report
            .origins
            .push((b"wrapper", span(from, report.pairs.len())));
    }
    if protocol == 30 {
        report.package = Some(app.package(ink));
    }
}

fn push_multi<'a>(
    map: &mut Vec<(Text<'a>, Span)>,
    values: &mut Vec<Text<'a>>,
    name: Text<'a>,
    entries: &[Text<'a>],
) {
    let from = values.len();
    values.extend_from_slice(entries);
    map.push((name, span(from, values.len())));
}

fn span(from: usize, to: usize) -> Span {
    from as u32..to as u32
}
