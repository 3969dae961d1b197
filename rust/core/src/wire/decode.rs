//! From bytes to a [`Report`]: the envelope, and what happens when it fails.

use crate::reason::Reason;
use crate::report::{Report, Span, Text};
use crate::trials;
use crate::wire::Limits;
use crate::wire::cursor::Cursor;
use crate::wire::frame::Frame;
use crate::wire::layout::Layout;
use crate::wire::repair::{self, Course};
use crate::wire::session;

/// Reads one report into `out`, which borrows from `bytes` and keeps its
/// allocations from one report to the next.
///
/// All or nothing: on `Err` `out` is empty.
///
/// # Errors
///
/// The reason that `docs/wire-format.md` ("Order") defines for these bytes.
pub fn decode<'a>(bytes: &'a [u8], limits: &Limits, out: &mut Report<'a>) -> Result<(), Reason> {
    out.clear();
    let frame = Frame::of(bytes, limits)?;
    frame.verify()?;
    read_body(&frame, limits, &mut Course::Plain, out).or_else(|reason| {
        out.clear();
        repair::repair(&frame, limits, reason, out)
    })
}

/// Steps 4 and 5 of the order of reasons. On `Err` `out` holds what was read.
pub(super) fn read_body<'a>(
    frame: &Frame<'a>,
    limits: &Limits,
    course: &mut Course<'_, 'a>,
    out: &mut Report<'a>,
) -> Result<(), Reason> {
    let layout = frame.layout;
    let mut cursor = Cursor::new(frame.body, limits.max_records);
    let c = &mut cursor;
    read_identity(c, layout, out)?;
    read_install(c, layout, out)?;
    trials::fail_point("engine.decode.inside");
    let sessions = usize::from(c.count()?);
    if let Course::Survey(survey) = course {
        survey.sessions = sessions;
    }
    for index in 0..sessions {
        session::read(c, layout, index, course, out)?;
    }
    read_end(c, layout)?;
    out.non_ascii = cursor.non_ascii;
    Ok(())
}

/// Fields 1 to 10: who sent it.
pub(super) fn read_identity<'a>(
    c: &mut Cursor<'a>,
    layout: Layout,
    out: &mut Report<'a>,
) -> Result<(), Reason> {
    out.protocol = c.u16()?;
    out.ad_flag = c.u16()?;
    if layout.is_full() {
        out.ad_cache_ms = c.i64()?;
        for _ in 0..c.count()? {
            out.ad_ids.push((c.u8()?, c.i64()?));
        }
    }
    out.platform = c.u16()?;
    out.agent_version = c.u16()?;
    out.created_ms = c.i64()?;
    out.api_key = c.text()?;
    if out.api_key.is_empty() || out.api_key.len() > 255 {
        return Err(Reason::BadKey);
    }
    out.app_version = c.text()?;
    if layout.has_trailer() {
        for _ in 0..c.count()? {
            out.device_ids.push((c.u16()?, c.bytes()?));
        }
    } else {
        let kind = if layout.is_full() { c.u16()? } else { 0 };
        out.device_ids.push((kind, c.text()?));
    }
    Ok(())
}

/// Fields 11 to 22: what it runs on and how it came there.
fn read_install<'a>(
    c: &mut Cursor<'a>,
    layout: Layout,
    out: &mut Report<'a>,
) -> Result<(), Reason> {
    if layout.has_trailer() {
        c.zero()?;
    }
    if layout.has_delivery_flag() {
        out.previous_delivered = Some(c.bool()?);
    }
    if layout.is_late() {
        out.ad_tracking = Some(c.bool()?);
    }
    (out.first_session_ms, out.session_start_ms) = c.two_i64()?;
    for _ in 0..c.count()? {
        out.properties.push((c.text()?, c.text()?));
        if layout.is_late() {
            c.zero()?;
        }
    }
    if layout.has_referrer() {
        read_lists(c, &mut out.referrer, &mut out.values)?;
        if c.bool()? {
            out.push_token = Some(c.text()?);
        }
    }
    if layout.has_reserved_bool() {
        c.zero()?;
    }
    if layout.has_launch_options() {
        read_lists(c, &mut out.launch_options, &mut out.values)?;
    }
    if layout.is_late() {
        for _ in 0..c.count()? {
            let name = c.text()?;
            let pairs = read_pairs(c, &mut out.pairs)?;
            out.origins.push((name, pairs));
        }
    }
    if layout.is_latest() {
        out.package = Some(c.text()?);
    }
    Ok(())
}

/// n × (UTF, m × UTF).
fn read_lists<'a>(
    c: &mut Cursor<'a>,
    names: &mut Vec<(Text<'a>, Span)>,
    values: &mut Vec<Text<'a>>,
) -> Result<(), Reason> {
    for _ in 0..c.count()? {
        let name = c.text()?;
        let start = end_of(values);
        for _ in 0..c.count()? {
            values.push(c.text()?);
        }
        names.push((name, start..end_of(values)));
    }
    Ok(())
}

/// n × (UTF, UTF).
#[inline(always)]
pub(super) fn read_pairs<'a>(
    c: &mut Cursor<'a>,
    pairs: &mut Vec<(Text<'a>, Text<'a>)>,
) -> Result<Span, Reason> {
    let start = end_of(pairs);
    for _ in 0..c.count()? {
        pairs.push((c.text()?, c.text()?));
    }
    Ok(start..end_of(pairs))
}

/// Field 24, and nothing after it.
pub(super) fn read_end(c: &mut Cursor<'_>, layout: Layout) -> Result<(), Reason> {
    if layout.is_late() && c.u16()? != 0 {
        return Err(Reason::BadValue);
    }
    if c.rest().is_empty() {
        Ok(())
    } else {
        Err(Reason::TrailingBytes)
    }
}

/// Where the next record of a flat vector goes. Records are limited far below
/// `u32::MAX`, whatever `Limits` say: each takes bytes of a body.
#[inline(always)]
pub(super) fn end_of<T>(flat: &[T]) -> u32 {
    flat.len() as u32
}
