//! One session record: what a user did, as an agent of the given protocol writes it.

use super::fleet::{Agent, Device};
use super::ink::{Decimal, Ink};
use super::rng::{Rng, mix};
use super::words::{App, Words};
use crate::report::{ErrorRecord, Event, Launch, Location, Report, Session, Span, Text};

/// Agent 155 adds its continue interval to every duration.
const CONTINUE_INTERVAL_MS: i64 = 10_000;

/// A session before it is written; a function of its seed.
#[derive(Clone, Copy)]
pub struct Plan {
    seed: u64,
    /// −1 = never ended (the process was killed).
    pub duration_ms: i64,
    /// How long it lasted in truth.
    pub length_ms: i64,
    events: usize,
    errors: u64,
    heavy: bool,
}

/// Who and where: everything about a session that its report knows.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub words: &'a Words,
    pub ink: Ink<'a>,
    pub app: App,
    pub version: Text<'a>,
    pub device: Device,
    pub agent: Agent,
}

/// How much of a session a record holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// As at an interruption, after which the session was resumed.
    FirstHalf,
    Whole,
}

impl Plan {
    /// The plan of a visit's `index`-th session, 0 = the newest.
    pub fn of(visit: u64, index: u64) -> Self {
        let seed = mix(visit, 0x5E55 + index);
        let mut rng = Rng::new(seed);
        let length_ms = rng.exponential(240_000.0) as i64 + 500;
        let ended = !rng.chance(0.04);
        let heavy = rng.chance(0.0007);
        let events = if rng.chance(0.12) {
            0
        } else if heavy {
            60 + rng.below(140) as usize
        } else {
            (rng.exponential(9.5) as usize + 1).min(30)
        };
        let errors = if rng.chance(0.025) {
            1 + rng.below(2)
        } else {
            0
        };
        Plan {
            seed,
            duration_ms: if ended { length_ms } else { -1 },
            length_ms,
            events,
            errors,
            heavy,
        }
    }
}

/// Appends the record of a session that began at `start_ms` (device clock).
pub fn write<'a>(report: &mut Report<'a>, scene: Scene<'a>, plan: Plan, start_ms: i64, part: Part) {
    let Scene {
        ink, agent, device, ..
    } = scene;
    let protocol = agent.protocol;
    let mut rng = Rng::new(plan.seed ^ 0xE7E7);
    let half = part == Part::FirstHalf;
    let mut session = Session {
        app_version: scene.version,
        start_ms,
        duration_ms: match (half, agent.version) {
            (true, _) => plan.length_ms / 2,
            (false, 155) if plan.duration_ms >= 0 => plan.duration_ms + CONTINUE_INTERVAL_MS,
            (false, _) => plan.duration_ms,
        },
        network: -1,
        unknown: [-1, -1],
        gender: -1,
        events_complete: !plan.heavy,
        ..Session::default()
    };
    if protocol >= 15 {
        session.locale = Some(device.locale);
        session.timezone = Some(device.time_zone);
        session.network = *rng.pick(&[-1, -1, -1, 0, 1, 2, 2, 3]).unwrap_or(&-1);
        session.gender = *rng
            .pick(&[-1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 1])
            .unwrap_or(&-1);
        session.birth_ms = birth(&mut rng, start_ms, agent);
    }
    if protocol == 30 {
        session.orientation = Some(rng.below(3) as u8);
        session.launch = Some(launch(report, &mut rng, ink));
    }
    if protocol >= 29 {
        session.properties = properties(report, &mut rng, ink);
    }
    // A user is the device's, not the session's.
    if device.hash % 20 < 3 {
        session.user_id = ink.join(&[b"user", Decimal::of(device.hash >> 24).bytes()]);
    }
    if rng.chance(0.2) {
        session.location = Some(location(&mut rng));
    }
    session.page_views = rng.below(9) as i32 / if half { 2 } else { 1 };
    write_events(report, scene, plan, half, &mut rng, &mut session);
    if !half {
        write_errors(report, scene, plan, start_ms, &mut session);
    }
    report.sessions.push(session);
}

fn birth(rng: &mut Rng, start_ms: i64, agent: Agent) -> Option<i64> {
    const YEAR_MS: i64 = 31_556_952_000;
    if rng.chance(0.05) {
        return Some(start_ms - (8 + rng.ms(62)) * YEAR_MS - rng.ms(YEAR_MS));
    }
    (agent.version == 155).then_some(0)
}

fn location(rng: &mut Rng) -> Location {
    let thousandths = |n: u64, from: i64| (n as i64 - from) as f64 / 1000.0;
    Location {
        lat_bits: thousandths(rng.below(120_000), 60_000).to_bits(),
        lon_bits: thousandths(rng.below(300_000), 150_000).to_bits(),
        accuracy_bits: (5.0 + rng.below(200) as f32 / 2.0).to_bits(),
    }
}

fn launch<'a>(report: &mut Report<'a>, rng: &mut Rng, ink: Ink<'a>) -> Launch<'a> {
    let from = report.pairs.len();
    let linked = rng.chance(0.06);
    if linked {
        report.pairs.push((b"campaign", ink.decimal(rng.below(40))));
    }
    Launch {
        flag: linked,
        kind: rng.below(3) as i8,
        origin: linked.then_some(b"com.android.browser".as_slice()),
        deep_link: linked.then(|| ink.join(&[b"app://item/", ink.decimal(rng.below(1000))])),
        options: span(from, report.pairs.len()),
    }
}

fn properties<'a>(report: &mut Report<'a>, rng: &mut Rng, ink: Ink<'a>) -> Span {
    const CARRIERS: [&[u8]; 4] = [b"AT&T", b"Verizon", "中国移动".as_bytes(), b""];
    let from = report.pairs.len();
    report
        .pairs
        .push((b"battery.level", ink.decimal(rng.below(101))));
    report
        .pairs
        .push((b"disk.size.free", ink.decimal(rng.below(16_000))));
    report
        .pairs
        .push((b"carrier.name", rng.pick(&CARRIERS).copied().unwrap_or(b"")));
    span(from, report.pairs.len())
}

/// Events in order of time, and how often each name occurred. The first half
/// of a session is a prefix of the whole.
fn write_events<'a>(
    report: &mut Report<'a>,
    scene: Scene<'a>,
    plan: Plan,
    half: bool,
    rng: &mut Rng,
    session: &mut Session<'a>,
) {
    let Scene {
        words,
        ink,
        app,
        agent,
        ..
    } = scene;
    let (first_count, first_event) = (report.counts.len(), report.events.len());
    let mut seen: [u64; 64] = [u64::MAX; 64];
    let step = (plan.length_ms / (plan.events as i64 + 1)).max(1);
    let until = if half { plan.events / 2 } else { plan.events };
    for i in 0..until {
        let which = words.draw_event(app, rng);
        let distinct = report.counts.len() - first_count;
        let at = seen.iter().take(distinct).position(|s| *s == which);
        let name = match at.and_then(|at| report.counts.get_mut(first_count + at)) {
            Some((name, count)) => {
                *count += 1;
                *name
            }
            None => {
                let name = words.event_name(app, which, ink);
                if let Some(slot) = seen.get_mut(distinct) {
                    *slot = which;
                }
                report.counts.push((name, 1));
                name
            }
        };
        let first_param = report.params.len();
        for _ in 0..Words::parameter_count(app, which, rng) {
            let (key, value) = words.parameter(app, rng, ink);
            let earlier = report.params.get(first_param..).unwrap_or(&[]);
            if earlier.iter().all(|(k, _)| *k != key) {
                report.params.push((key, value));
            }
        }
        let offset = step * i as i64 + rng.ms(step);
        let timed = Words::is_timed(app, which) && !rng.chance(0.05);
        let duration = if timed {
            rng.ms(60_000).min(plan.length_ms - offset)
        } else {
            0
        };
        report.events.push(Event {
            id: (agent.protocol >= 22).then_some(event_id(i, until, agent, plan)),
            name,
            params: span(first_param, report.params.len()),
            offset_ms: (agent.protocol != 8).then_some(offset),
            duration_ms: (agent.protocol != 8).then_some(if agent.version == 117 {
                0
            } else {
                duration
            }),
        });
    }
    if plan.heavy && !half {
        // The agent stopped keeping details, but went on counting.
        for (_, count) in report.counts.iter_mut().skip(first_count) {
            *count += 5;
        }
    }
    session.counts = span(first_count, report.counts.len());
    session.events = span(first_event, report.events.len());
}

/// Ids count from 1; before protocol 26 they restart when a session is resumed.
fn event_id(index: usize, events: usize, agent: Agent, plan: Plan) -> u16 {
    let resumed = agent.protocol < 26 && plan.seed.is_multiple_of(16) && index > events / 2;
    let index = if resumed { index - events / 2 } else { index };
    1 + index as u16
}

fn write_errors<'a>(
    report: &mut Report<'a>,
    scene: Scene<'a>,
    plan: Plan,
    start_ms: i64,
    session: &mut Session<'a>,
) {
    let Scene {
        words,
        ink,
        app,
        agent,
        ..
    } = scene;
    let mut rng = Rng::new(plan.seed ^ 0xE44);
    let first = report.errors.len();
    for i in 0..plan.errors {
        let crash = i + 1 == plan.errors && rng.chance(0.6);
        let thrown = crash || rng.chance(0.8);
        let described = agent.protocol >= 26;
        report.errors.push(ErrorRecord {
            id: (agent.protocol >= 22).then_some(1 + i as u16),
            time_ms: start_ms + rng.ms(plan.length_ms),
            error_id: if crash {
                b"uncaught"
            } else {
                words.error_id(&mut rng)
            },
            message: words.message(&mut rng),
            class: words.class(agent.version <= 140, &mut rng, ink),
            kind: described.then_some(if crash { 3 } else { 1 + u8::from(thrown) }),
            trace: (described && thrown).then(|| words.trace(app, &mut rng, ink)),
        });
    }
    session.total_errors = plan.errors as i32;
    session.errors = span(first, report.errors.len());
}

fn span(from: usize, to: usize) -> Span {
    from as u32..to as u32
}
