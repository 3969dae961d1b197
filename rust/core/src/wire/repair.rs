//! Reports whose agent counted error records that it did not write: the
//! section "Repair" of `docs/wire-format.md`, word for word.

use crate::reason::Reason;
use crate::report::Report;
use crate::wire::Limits;
use crate::wire::cursor::Cursor;
use crate::wire::decode::{read_body, read_end};
use crate::wire::frame::Frame;
use crate::wire::layout::Layout;
use crate::wire::session;

/// How a body is read.
pub(super) enum Course<'p, 'a> {
    /// As it says.
    Plain,
    /// As it says, noting where a session could have ended early.
    Survey(&'p mut Survey<'a>),
    /// With fewer error records than announced in one session.
    Shorten {
        /// Its number in the report, from 0.
        session: usize,
        /// Error records that it truly has.
        kept: u16,
    },
}

impl Course<'_, '_> {
    #[inline(always)]
    pub(super) fn errors_to_read(&self, index: usize, announced: u16) -> u16 {
        match self {
            Course::Shorten { session, kept } if *session == index => *kept,
            _ => announced,
        }
    }
}

/// What the plain reading met on its way.
#[derive(Debug, Default)]
pub(super) struct Survey<'a> {
    /// Sessions that the report announces.
    pub(super) sessions: usize,
    /// Every place where a tail stands, in the order of the reading.
    pub(super) places: Vec<Place<'a>>,
}

/// After `kept` error records of a session, where its tail stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) session: usize,
    pub(super) kept: u16,
    /// Error records that were announced beyond `kept`.
    pub(super) missing: u16,
    pub(super) cursor: Cursor<'a>,
}

/// Reads a body into the empty `out` that failed plainly with `reason`.
///
/// # Errors
///
/// `reason` if there is no such reading or more than one, `over_budget` if the
/// search would look at too many bytes. `out` is empty again then.
#[cold]
#[inline(never)]
pub(super) fn repair<'a>(
    frame: &Frame<'a>,
    limits: &Limits,
    reason: Reason,
    out: &mut Report<'a>,
) -> Result<(), Reason> {
    let outcome = find(frame, limits, reason, out).and_then(|place| {
        out.clear();
        let mut course = Course::Shorten {
            session: place.session,
            kept: place.kept,
        };
        read_body(frame, limits, &mut course, out)?;
        out.repaired_errors = place.missing;
        Ok(())
    });
    if outcome.is_err() {
        out.clear();
    }
    outcome
}

fn find<'a>(
    frame: &Frame<'a>,
    limits: &Limits,
    reason: Reason,
    scratch: &mut Report<'a>,
) -> Result<Place<'a>, Reason> {
    use Reason::{BadText, BadValue, TrailingBytes, Truncated};
    if !frame.layout.is_repairable()
        || !matches!(reason, Truncated | BadText | BadValue | TrailingBytes)
    {
        return Err(reason);
    }
    let mut survey = Survey::default();
    // It fails as it did before: what matters is what it meets on the way.
    let _ = read_body(frame, limits, &mut Course::Survey(&mut survey), scratch);
    let mut work = 0;
    let mut found = None;
    for place in survey.places {
        work += place.cursor.rest().len();
        if work > limits.max_repair_bytes {
            return Err(Reason::OverBudget);
        }
        scratch.clear();
        if continues(place, frame.layout, survey.sessions, scratch)
            && found.replace(place).is_some()
        {
            return Err(reason);
        }
    }
    found.ok_or(reason)
}

/// Whether the session may end at `place` and the rest of the body then reads.
fn continues<'a>(
    place: Place<'a>,
    layout: Layout,
    sessions: usize,
    scratch: &mut Report<'a>,
) -> bool {
    let mut cursor = place.cursor;
    let c = &mut cursor;
    session::read_tail(c, layout).is_ok()
        && (place.session + 1..sessions)
            .all(|index| session::read(c, layout, index, &mut Course::Plain, scratch).is_ok())
        && read_end(c, layout).is_ok()
}
