//! TOML to settings. Walked by hand rather than derived, so that every refusal
//! names the full key (`rollup[2].measures[0]`).

use std::collections::HashSet;

use toml::{Table, Value};

use super::dedup::SLICES;
use super::{
    CountLimits, DedupRules, Dimension, Level, Measure, PlanError, Rollup, UNREADABLE_NAME,
};
use crate::clock::TimeRules;

/// Rollups of a plan, not counting `unreadable`.
pub const MAX_ROLLUPS: usize = 255;
/// Dimensions of a rollup.
pub const MAX_DIMENSIONS: usize = 8;
/// Measures of a rollup.
pub const MAX_MEASURES: usize = 16;
/// Groups of a rollup in a block.
pub const MAX_CAP: i64 = 1_000_000;

const DEFAULT_CAP: i64 = 1_000;
/// A hundred years: longer time settings can only be typing errors.
const MAX_TIME_MS: i64 = 100 * 31_556_952_000;
/// Of sessions that deduplication remembers: one a slice at least.
const MIN_SESSIONS: i64 = SLICES + 1;
const MAX_SESSIONS: i64 = 100_000_000;
/// What a wire number can hold.
const MAX_COUNT: i64 = i32::MAX as i64;

pub(super) struct Settings {
    pub time: TimeRules,
    pub limits: CountLimits,
    pub dedup: DedupRules,
    pub rollups: Vec<Rollup>,
}

pub(super) fn settings(text: &str) -> Result<Settings, PlanError> {
    let root: Table = text
        .parse()
        .map_err(|error: toml::de::Error| refuse("", syntax(text, &error)))?;
    only(&root, "", &["time", "limits", "dedup", "rollup"])?;
    let time = section(
        &root,
        "time",
        &["max_skew_ms", "max_age_ms", "max_ahead_ms"],
    )?;
    let limits = section(&root, "limits", &["max_count", "max_duration_ms"])?;
    let dedup = section(&root, "dedup", &["window_ms", "max_sessions"])?;
    Ok(Settings {
        time: TimeRules {
            max_skew_ms: integer(time, "time.max_skew_ms", 600_000, 0, MAX_TIME_MS)?,
            max_age_ms: integer(time, "time.max_age_ms", 2_592_000_000, 0, MAX_TIME_MS)?,
            max_ahead_ms: integer(time, "time.max_ahead_ms", 600_000, 0, MAX_TIME_MS)?,
        },
        limits: CountLimits {
            max_count: integer(limits, "limits.max_count", 1_000_000, 1, MAX_COUNT)?.unsigned_abs(),
            max_duration_ms: integer(
                limits,
                "limits.max_duration_ms",
                2_592_000_000,
                1,
                MAX_TIME_MS,
            )?
            .unsigned_abs(),
        },
        dedup: DedupRules {
            window_ms: integer(dedup, "dedup.window_ms", 0, 0, MAX_TIME_MS)?,
            max_sessions: integer(
                dedup,
                "dedup.max_sessions",
                1_800_000,
                MIN_SESSIONS,
                MAX_SESSIONS,
            )?,
        },
        rollups: rollups(&root)?,
    })
}

fn rollups(root: &Table) -> Result<Vec<Rollup>, PlanError> {
    let list = match root.get("rollup") {
        None => return Err(refuse("rollup", "a plan needs at least one rollup")),
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(_) => return Err(refuse("rollup", "must be a list of [[rollup]] tables")),
    };
    if list.len() > MAX_ROLLUPS {
        return Err(refuse(
            "rollup",
            format!("{} rollups, at most {MAX_ROLLUPS}", list.len()),
        ));
    }
    let mut names = HashSet::new();
    let mut rollups = Vec::with_capacity(list.len());
    for (number, value) in (0..=u8::MAX).zip(list) {
        let key = format!("rollup[{number}]");
        let Value::Table(table) = value else {
            return Err(refuse(key, "must be a table"));
        };
        let rollup = rollup(number, table, &key)?;
        if !names.insert(rollup.name.clone()) {
            return Err(refuse(
                format!("{key}.name"),
                format!("`{}` is used twice", rollup.name),
            ));
        }
        rollups.push(rollup);
    }
    Ok(rollups)
}

fn rollup(number: u8, table: &Table, key: &str) -> Result<Rollup, PlanError> {
    only(table, key, &["name", "dimensions", "measures", "cap"])?;
    let name = name(table, &format!("{key}.name"))?;
    let dimensions = words(table, &format!("{key}.dimensions"), Dimension::named)?;
    let measures = words(table, &format!("{key}.measures"), Measure::named)?;
    if dimensions.len() > MAX_DIMENSIONS {
        let reason = format!("{} dimensions, at most {MAX_DIMENSIONS}", dimensions.len());
        return Err(refuse(format!("{key}.dimensions"), reason));
    }
    if measures.is_empty() || measures.len() > MAX_MEASURES {
        let reason = format!("{} measures, must be 1 to {MAX_MEASURES}", measures.len());
        return Err(refuse(format!("{key}.measures"), reason));
    }
    let level = level(&dimensions).ok_or_else(|| {
        refuse(
            format!("{key}.dimensions"),
            "event, parameter or value beside error or error_kind: no record has both",
        )
    })?;
    for (at, measure) in measures.iter().enumerate() {
        if measure.slot(level).is_none() {
            let reason = format!(
                "`{}` does not exist for a rollup of {} level",
                measure.name(),
                level.name()
            );
            return Err(refuse(format!("{key}.measures[{at}]"), reason));
        }
    }
    if let Some(measure) = measures.iter().find(|measure| measure.of_reports())
        && let Some(at) = dimensions.iter().position(|d| !d.known_of_reports())
    {
        let reason = format!(
            "`{}` belongs to sessions: a rollup with `{}` may have report dimensions and app_version only",
            dimensions.get(at).map_or("", |d| d.name()),
            measure.name()
        );
        return Err(refuse(format!("{key}.dimensions[{at}]"), reason));
    }
    let cap = integer(Some(table), &format!("{key}.cap"), DEFAULT_CAP, 1, MAX_CAP)?;
    Ok(Rollup {
        number,
        name,
        dimensions,
        measures,
        cap: u32::try_from(cap).unwrap_or(u32::MAX),
        level,
    })
}

fn level(dimensions: &[Dimension]) -> Option<Level> {
    let deepest = dimensions
        .iter()
        .map(|d| d.level())
        .max()
        .unwrap_or(Level::Session);
    let mixed = deepest == Level::Error
        && dimensions
            .iter()
            .any(|d| matches!(d.level(), Level::Event | Level::Parameter));
    (!mixed).then_some(deepest)
}

fn name(table: &Table, key: &str) -> Result<String, PlanError> {
    let text = match last(table, key) {
        Some(Value::String(text)) => text,
        Some(_) => return Err(refuse(key, "must be a text")),
        None => return Err(refuse(key, "is missing")),
    };
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    let goes_on_well = text
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !starts_well || !goes_on_well || text.len() > 64 {
        let reason = "must be a lower-case word ([a-z][a-z0-9_]*) of at most 64 letters";
        return Err(refuse(key, reason));
    }
    if text == UNREADABLE_NAME {
        return Err(refuse(key, "`unreadable` is reserved"));
    }
    Ok(text.clone())
}

fn words<T: Copy + PartialEq>(
    table: &Table,
    key: &str,
    named: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, PlanError> {
    let list = match last(table, key) {
        Some(Value::Array(list)) => list,
        Some(_) => return Err(refuse(key, "must be a list of names")),
        None => return Err(refuse(key, "is missing")),
    };
    let mut words = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let key = format!("{key}[{at}]");
        let Value::String(text) = value else {
            return Err(refuse(key, "must be a text"));
        };
        let Some(word) = named(text) else {
            return Err(refuse(key, format!("`{text}` is unknown")));
        };
        if words.contains(&word) {
            return Err(refuse(key, format!("`{text}` is listed twice")));
        }
        words.push(word);
    }
    Ok(words)
}

fn section<'t>(root: &'t Table, key: &str, known: &[&str]) -> Result<Option<&'t Table>, PlanError> {
    match root.get(key) {
        None => Ok(None),
        Some(Value::Table(table)) => only(table, key, known).map(|()| Some(table)),
        Some(_) => Err(refuse(key, "must be a table")),
    }
}

fn integer(
    table: Option<&Table>,
    key: &str,
    default: i64,
    least: i64,
    most: i64,
) -> Result<i64, PlanError> {
    match table.and_then(|table| last(table, key)) {
        None => Ok(default),
        Some(Value::Integer(value)) if (least..=most).contains(value) => Ok(*value),
        Some(Value::Integer(value)) => Err(refuse(
            key,
            format!("{value} is out of range, must be {least} to {most}"),
        )),
        Some(_) => Err(refuse(key, "must be a whole number")),
    }
}

/// The value under the last part of a full key.
fn last<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    table.get(key.rsplit('.').next().unwrap_or(key))
}

fn only(table: &Table, key: &str, known: &[&str]) -> Result<(), PlanError> {
    match table.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let full = if key.is_empty() {
                name.clone()
            } else {
                format!("{key}.{name}")
            };
            Err(refuse(
                full,
                format!("unknown key, known here: {}", known.join(", ")),
            ))
        }
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> String {
    let before = error
        .span()
        .and_then(|span| text.get(..span.start))
        .unwrap_or("");
    let line = before.matches('\n').count() + 1;
    format!("not TOML: line {line}: {}", error.message())
}

fn refuse(key: impl Into<String>, reason: impl Into<String>) -> PlanError {
    PlanError {
        key: key.into(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Dimension, Level, Measure, Plan};

    const DEFAULT: &str = include_str!("../../../../flurry_fast/plans/default.toml");
    const SMALL: &str = "[[rollup]]\nname = 'app'\ndimensions = []\nmeasures = ['sessions']\n";

    #[test]
    fn the_default_plan_parses() {
        let plan = Plan::parse(DEFAULT).unwrap();
        assert_eq!(plan.rollups.len(), 12);
        assert_eq!(plan.rollups[7].level, Level::Parameter);
        assert_eq!(plan.rollups[8].level, Level::Error);
        assert_eq!(plan.rollup(255).unwrap().name, "unreadable");
        assert_eq!(plan.rollup(10).unwrap().name, "session_length");
        assert!(plan.rollup(11).is_none());
        assert_eq!(plan.rollups[1].measures[1], Measure::NewUsers);
        assert_eq!(plan.rollups[7].dimensions[2], Dimension::Value);
    }

    #[test]
    fn the_id_follows_every_setting_and_nothing_else() {
        let id = |text: &str| Plan::parse(text).unwrap().id;
        let base = id(SMALL);
        assert_eq!(base, id(&format!("# a comment\n{SMALL}cap = 1_000\n")));
        assert_eq!(
            base,
            id(&format!("[time]\nmax_age_ms = 2592000000\n{SMALL}"))
        );
        for other in [
            format!("[time]\nmax_age_ms = 1\n{SMALL}"),
            format!("[time]\nmax_skew_ms = 1\n{SMALL}"),
            format!("[time]\nmax_ahead_ms = 1\n{SMALL}"),
            format!("[limits]\nmax_count = 1\n{SMALL}"),
            format!("[limits]\nmax_duration_ms = 1\n{SMALL}"),
            format!("[dedup]\nwindow_ms = 1\n{SMALL}"),
            format!("[dedup]\nwindow_ms = 1\nmax_sessions = 9\n{SMALL}"),
            format!("{SMALL}cap = 7\n"),
            SMALL.replace("'app'", "'apps'"),
            SMALL.replace("['sessions']", "['sessions', 'duration']"),
            SMALL.replace("[]", "['country']"),
        ] {
            assert_ne!(base, id(&other), "{other}");
        }
    }

    #[test]
    fn a_registered_plan_keeps_its_id() {
        let parsed = Plan::parse(SMALL).unwrap();
        assert!(parsed.is_current());
        assert_eq!(Plan::registered(SMALL, parsed.id).unwrap(), parsed);
        let old = Plan::registered(SMALL, !parsed.id).unwrap();
        assert_eq!((old.id, old.is_current()), (!parsed.id, false));
        assert_eq!(old.rollups, parsed.rollups);
        assert!(Plan::registered("", 1).is_err());
    }

    #[test]
    fn the_canonical_text_names_what_results_depend_on() {
        let text = Plan::parse(SMALL).unwrap().canonical;
        assert!(
            text.contains(
                "\ndedup.window_ms = 0\ndedup.max_sessions = 1800000\ndedup.slices = 8\n"
            )
        );
        assert!(text.starts_with("semantics = 2\ntzdata = 20"));
        assert!(text.contains("\nblock_format = 2\ntime.max_skew_ms = 600000\n"));
        assert!(text.contains("\nrollup.0.name = app\nrollup.0.dimensions = \n"));
        assert!(text.ends_with("rollup.255.measures = reports\nrollup.255.cap = 1000\n"));
    }

    #[test]
    fn every_refusal_names_its_key() {
        let rollup = |body: &str| format!("[[rollup]]\nname = 'x'\n{body}\n");
        let many = |count: usize| {
            (0..count).fold(String::new(), |text, n| {
                text + &SMALL.replace("'app'", &format!("'r{n}'"))
            })
        };
        for (text, key, reason) in [
            ("x = ".to_owned(), "", "not TOML: line 1"),
            (format!("{SMALL}\n[[rollup]\n"), "", "not TOML: line 6"),
            (String::new(), "rollup", "at least one"),
            ("rollup = 3".to_owned(), "rollup", "must be a list"),
            ("rollup = []".to_owned(), "rollup", "must be a list"),
            ("rollup = [1]".to_owned(), "rollup[0]", "must be a table"),
            (format!("colour = 1\n{SMALL}"), "colour", "unknown key"),
            (format!("time = 1\n{SMALL}"), "time", "must be a table"),
            (
                format!("[time]\nage = 1\n{SMALL}"),
                "time.age",
                "unknown key",
            ),
            (
                format!("[time]\nmax_age_ms = -1\n{SMALL}"),
                "time.max_age_ms",
                "out of range",
            ),
            (
                format!("[time]\nmax_age_ms = '1'\n{SMALL}"),
                "time.max_age_ms",
                "whole number",
            ),
            (
                format!("[dedup]\nwindow = '1h'\n{SMALL}"),
                "dedup.window",
                "unknown key",
            ),
            (
                format!("[dedup]\nmax_sessions = 8\n{SMALL}"),
                "dedup.max_sessions",
                "out of range",
            ),
            (
                format!("[limits]\nmax_count = 0\n{SMALL}"),
                "limits.max_count",
                "out of range",
            ),
            (
                SMALL.replace("name", "nome"),
                "rollup[0].nome",
                "unknown key",
            ),
            (
                SMALL.replace("name = 'app'", ""),
                "rollup[0].name",
                "is missing",
            ),
            (
                SMALL.replace("'app'", "3"),
                "rollup[0].name",
                "must be a text",
            ),
            (
                SMALL.replace("'app'", "'App'"),
                "rollup[0].name",
                "lower-case",
            ),
            (SMALL.replace("'app'", "''"), "rollup[0].name", "lower-case"),
            (
                SMALL.replace("'app'", "'a-b'"),
                "rollup[0].name",
                "lower-case",
            ),
            (
                SMALL.replace("app", "unreadable"),
                "rollup[0].name",
                "reserved",
            ),
            (format!("{SMALL}{SMALL}"), "rollup[1].name", "used twice"),
            (
                rollup("measures = ['sessions']"),
                "rollup[0].dimensions",
                "is missing",
            ),
            (
                rollup("dimensions = []"),
                "rollup[0].measures",
                "is missing",
            ),
            (
                rollup("dimensions = 'country'\nmeasures = ['sessions']"),
                "rollup[0].dimensions",
                "must be a list",
            ),
            (
                rollup("dimensions = [1]\nmeasures = ['sessions']"),
                "rollup[0].dimensions[0]",
                "must be a text",
            ),
            (
                rollup("dimensions = ['country', 'moon']\nmeasures = ['sessions']"),
                "rollup[0].dimensions[1]",
                "`moon` is unknown",
            ),
            (
                rollup("dimensions = ['reason']\nmeasures = ['sessions']"),
                "rollup[0].dimensions[0]",
                "`reason` is unknown",
            ),
            (
                rollup("dimensions = ['brand', 'brand']\nmeasures = ['sessions']"),
                "rollup[0].dimensions[1]",
                "listed twice",
            ),
            (
                rollup("dimensions = []\nmeasures = []"),
                "rollup[0].measures",
                "must be 1 to 16",
            ),
            (
                rollup("dimensions = []\nmeasures = ['sessions', 'sessions']"),
                "rollup[0].measures[1]",
                "listed twice",
            ),
            (
                rollup("dimensions = ['event', 'error']\nmeasures = ['errors']"),
                "rollup[0].dimensions",
                "no record has both",
            ),
            (
                rollup("dimensions = ['event']\nmeasures = ['sessions']"),
                "rollup[0].measures[0]",
                "`sessions` does not exist for a rollup of event level",
            ),
            (
                rollup("dimensions = ['value']\nmeasures = ['event_duration']"),
                "rollup[0].measures[0]",
                "parameter level",
            ),
            (
                rollup("dimensions = []\nmeasures = ['event_sessions']"),
                "rollup[0].measures[0]",
                "session level",
            ),
            (
                rollup("dimensions = ['brand', 'country']\nmeasures = ['sessions', 'reports']"),
                "rollup[0].dimensions[1]",
                "belongs to sessions",
            ),
            (
                rollup("dimensions = []\nmeasures = ['sessions']\ncap = 0"),
                "rollup[0].cap",
                "out of range",
            ),
            (
                rollup("dimensions = []\nmeasures = ['sessions']\ncap = 1_000_001"),
                "rollup[0].cap",
                "out of range",
            ),
            (
                rollup(
                    "dimensions = ['brand', 'country', 'language', 'gender', 'network', 'platform', 'protocol', 'time_zone', 'age_band']\nmeasures = ['sessions']",
                ),
                "rollup[0].dimensions",
                "9 dimensions",
            ),
            (many(256), "rollup", "256 rollups, at most 255"),
        ] {
            let error = Plan::parse(&text).expect_err(&text);
            assert_eq!(error.key, key, "{text}\n{error}");
            assert!(error.reason.contains(reason), "{text}\n{error}");
        }
        assert_eq!(Plan::parse(&many(255)).unwrap().rollups.len(), 256);
    }
}
