//! Session records, where nearly all bytes of a report are.

use crate::reason::Reason;
use crate::report::{ErrorRecord, Event, Launch, Location, Report, Session, Span};
use crate::wire::cursor::Cursor;
use crate::wire::decode::{end_of, read_pairs};
use crate::wire::layout::Layout;
use crate::wire::repair::{Course, Place};

/// Reads session `index` of the report and appends it to `out`.
pub(super) fn read<'a>(
    cursor: &mut Cursor<'a>,
    layout: Layout,
    index: usize,
    course: &mut Course<'_, 'a>,
    out: &mut Report<'a>,
) -> Result<(), Reason> {
    // A local copy lives in registers; through the reference every advance
    // would be a store and a load on the critical path.
    let mut local = *cursor;
    let c = &mut local;
    let mut session = Session {
        network: -1,
        gender: -1,
        unknown: [-1, -1],
        ..Session::default()
    };
    read_circumstances(c, layout, &mut session, out)?;
    session.counts = read_counts(c, out)?;
    session.events = match (layout.is_full(), layout.has_trailer()) {
        (_, true) => read_events::<true, true>(c, out)?,
        (true, false) => read_events::<true, false>(c, out)?,
        (false, false) => read_events::<false, false>(c, out)?,
    };
    session.events_complete = c.bool()?;
    session.total_errors = c.i32()?;
    session.errors = read_errors(c, layout, index, course, out)?;
    read_tail(c, layout)?;
    out.sessions.push(session);
    *cursor = local;
    Ok(())
}

/// Fields 1 to 17.
#[inline(always)]
fn read_circumstances<'a>(
    c: &mut Cursor<'a>,
    layout: Layout,
    session: &mut Session<'a>,
    out: &mut Report<'a>,
) -> Result<(), Reason> {
    if layout.is_full() && c.u16()? != layout.session_version() {
        return Err(Reason::BadValue);
    }
    session.app_version = c.text()?;
    (session.start_ms, session.duration_ms) = c.two_i64()?;
    if layout.is_full() {
        session.pause_ms = c.i64()?;
    }
    if layout.is_latest() {
        session.launch = Some(read_launch(c, out)?);
    }
    if layout.is_late() {
        session.properties = read_properties(c, out)?;
    }
    if layout.is_full() {
        session.locale = Some(c.text()?);
        session.timezone = Some(c.text()?);
        session.network = c.i8()?;
    }
    if layout.is_latest() {
        session.orientation = Some(c.u8()?);
    }
    session.user_id = c.text()?;
    if c.bool()? {
        session.location = Some(Location {
            lat_bits: c.u64()?,
            lon_bits: c.u64()?,
            accuracy_bits: c.u32()?,
        });
    }
    session.page_views = c.i32()?;
    if layout.is_full() {
        session.unknown = [c.i8()?, c.i8()?];
        session.gender = c.i8()?;
        if c.bool()? {
            session.birth_ms = Some(c.i64()?);
        }
    } else {
        session.unknown = [c.i8()?, -1];
    }
    Ok(())
}

/// Field 6.
fn read_launch<'a>(c: &mut Cursor<'a>, out: &mut Report<'a>) -> Result<Launch<'a>, Reason> {
    let mut launch = Launch {
        flag: c.bool()?,
        kind: c.i8()?,
        ..Launch::default()
    };
    if c.bool()? {
        launch.origin = Some(c.text()?);
    }
    if c.bool()? {
        launch.deep_link = Some(c.text()?);
    }
    launch.options = read_pairs(c, &mut out.pairs)?;
    Ok(launch)
}

/// Field 7.
#[inline(always)]
fn read_properties<'a>(c: &mut Cursor<'a>, out: &mut Report<'a>) -> Result<Span, Reason> {
    let start = end_of(&out.pairs);
    for _ in 0..c.count()? {
        out.pairs.push((c.text()?, c.text()?));
        c.zero()?;
    }
    Ok(start..end_of(&out.pairs))
}

/// Field 18.
#[inline(never)]
fn read_counts<'a>(cursor: &mut Cursor<'a>, out: &mut Report<'a>) -> Result<Span, Reason> {
    let mut local = *cursor;
    let c = &mut local;
    let start = end_of(&out.counts);
    for _ in 0..c.count()? {
        out.counts.push((c.text()?, c.i32()?));
    }
    *cursor = local;
    Ok(start..end_of(&out.counts))
}

/// Field 19. Not inlined: alone, the loop has enough registers.
#[inline(never)]
fn read_events<'a, const TIMES: bool, const IDS: bool>(
    cursor: &mut Cursor<'a>,
    out: &mut Report<'a>,
) -> Result<Span, Reason> {
    let mut local = *cursor;
    let c = &mut local;
    let start = end_of(&out.events);
    for _ in 0..c.count()? {
        let id = if IDS { Some(c.u16()?) } else { None };
        let name = c.text()?;
        let params = read_pairs(c, &mut out.params)?;
        let times = if TIMES { Some(c.two_i64()?) } else { None };
        out.events.push(Event {
            id,
            name,
            params,
            offset_ms: times.map(|(offset, _)| offset),
            duration_ms: times.map(|(_, duration)| duration),
        });
    }
    *cursor = local;
    Ok(start..end_of(&out.events))
}

/// Field 22. What the agent announced and what it wrote can differ: `course`
/// says whether to look for that, or to believe in a shorter list.
#[inline(always)]
fn read_errors<'a>(
    c: &mut Cursor<'a>,
    layout: Layout,
    index: usize,
    course: &mut Course<'_, 'a>,
    out: &mut Report<'a>,
) -> Result<Span, Reason> {
    let start = end_of(&out.errors);
    let announced = c.count()?;
    for kept in 0..course.errors_to_read(index, announced) {
        if let Course::Survey(survey) = course
            && c.rest().starts_with(layout.tail())
        {
            survey.places.push(Place {
                session: index,
                kept,
                missing: announced - kept,
                cursor: *c,
            });
        }
        read_error(c, layout, out)?;
    }
    Ok(start..end_of(&out.errors))
}

fn read_error<'a>(c: &mut Cursor<'a>, layout: Layout, out: &mut Report<'a>) -> Result<(), Reason> {
    let mut error = ErrorRecord {
        id: if layout.has_trailer() {
            Some(c.u16()?)
        } else {
            None
        },
        time_ms: c.i64()?,
        error_id: c.text()?,
        message: c.text()?,
        class: c.text()?,
        ..ErrorRecord::default()
    };
    if layout.has_traces() {
        error.kind = Some(c.u8()?);
        error.trace = match c.u8()? {
            0 => None,
            2 => {
                let length = usize::try_from(c.i32()?).map_err(|_| Reason::BadValue)?;
                Some(c.take(length)?)
            }
            _ => return Err(Reason::BadValue),
        };
    }
    out.errors.push(error);
    Ok(())
}

/// Field 23.
#[inline(always)]
pub(super) fn read_tail(c: &mut Cursor<'_>, layout: Layout) -> Result<(), Reason> {
    let tail = layout.tail();
    if c.rest().starts_with(tail) {
        c.take(tail.len())?;
        return Ok(());
    }
    Err(why_no_tail(*c, layout))
}

/// Field by field: one that is wrong comes before one that is missing.
#[cold]
fn why_no_tail(mut c: Cursor<'_>, layout: Layout) -> Reason {
    let mut expected = layout.tail();
    for &width in layout.tail_fields() {
        let (wanted, after) = expected.split_at_checked(width).unwrap_or((expected, &[]));
        expected = after;
        match c.take(width) {
            Ok(found) if found == wanted => {}
            Ok(_) => return Reason::BadValue,
            Err(reason) => return reason,
        }
    }
    Reason::BadValue
}
