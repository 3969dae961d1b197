//! Operations: what reports add, gathered until there are enough of them that
//! the cache misses of applying them overlap.

use super::fingerprint::Keys;
use super::index::NONE;
use super::pack::Packed;
use super::slots::Print;
use crate::wire::text;

/// Operations worth a trip to the table.
pub(super) const BATCH: usize = 256;

/// "Add these numbers to that group."
#[derive(Clone, Copy)]
pub(super) struct Op {
    /// The group's fingerprint among those of its block.
    tag: u64,
    check: u32,
    /// Its place in `Ops::scopes`.
    pub scope: u32,
    /// The numbers, or where they begin in `Ops::deltas`.
    pub add: Packed,
    /// Where the texts of its leaf begin in `Ops::pieces`.
    pub leaf: u32,
    /// Position of its rollup in the plan.
    pub rollup: u16,
}

impl Op {
    #[inline]
    pub fn new(print: Print, scope: u32, add: Packed, leaf: u32, rollup: u16) -> Self {
        Self {
            tag: print.tag,
            check: print.check,
            scope,
            add,
            leaf,
            rollup,
        }
    }

    #[inline]
    pub fn print(&self) -> Print {
        Print {
            tag: self.tag,
            check: self.check,
        }
    }
}

/// The same for the only group of a rollup without dimensions.
#[derive(Clone, Copy)]
pub(super) struct Single {
    pub scope: u32,
    /// Where the numbers begin in `Ops::deltas`.
    pub deltas: u32,
    pub rollup: u16,
}

/// What the operations of one session (or of a report itself) share.
#[derive(Clone, Copy)]
pub(super) struct OpScope {
    /// Fingerprint of its block.
    pub print: u128,
    pub bucket: u32,
    /// Which record it is a part of, as its engine numbers them.
    pub record: u32,
    /// Its block, once it was decided that it is counted there now.
    pub block: u32,
    /// Where the report's and the session's texts begin in `Ops::pieces`.
    pub report: u32,
    pub session: u32,
}

/// A text of a group key: borrowed from the message where it is UTF-8 already.
#[derive(Clone, Copy)]
pub(super) enum Piece<'b> {
    Borrowed(&'b [u8]),
    /// A span of `Ops::own`.
    Own(u32, u32),
}

pub(super) const EMPTY: Piece<'static> = Piece::Borrowed(&[]);

/// Operations that wait to be applied, and the texts of the groups that they
/// may have to create. `'b` is the batch of messages.
#[derive(Default)]
pub struct Ops<'b> {
    pub(super) ops: Vec<Op>,
    pub(super) singles: Vec<Single>,
    pub(super) deltas: Vec<u64>,
    pub(super) scopes: Vec<OpScope>,
    /// Scopes before it are decided.
    pub(super) decided: usize,
    pub(super) pieces: Vec<Piece<'b>>,
    own: Vec<u8>,
    /// Where most texts of the report at hand stand.
    message: &'b [u8],
}

impl<'b> Ops<'b> {
    /// Whether no operation waits.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.singles.is_empty()
    }

    /// Whether it is worth applying them now.
    pub fn is_full(&self) -> bool {
        self.ops.len() + self.singles.len() >= BATCH
    }

    /// Forgets applied operations, but not the texts: the report at hand still needs them.
    pub(super) fn clear_applied(&mut self) {
        self.ops.clear();
        self.singles.clear();
        self.deltas.clear();
    }

    /// Has it decided in which block the operations of each new scope count,
    /// if in any: by print and hour of the block, number of the record, and the
    /// block that was found.
    pub fn decide(&mut self, mut admit: impl FnMut(u128, u32, u32, Option<u32>) -> Option<u32>) {
        for scope in self.scopes.get_mut(self.decided..).unwrap_or_default() {
            let found = Some(scope.block).filter(|block| *block != NONE);
            let admitted = admit(scope.print, scope.bucket, scope.record, found);
            scope.block = admitted.unwrap_or(NONE);
        }
        self.decided = self.scopes.len();
    }

    /// Between two reports, once everything is applied: lets go of the texts as well.
    pub fn forget(&mut self) {
        self.clear_applied();
        self.scopes.clear();
        self.decided = 0;
        self.pieces.clear();
        self.own.clear();
    }

    /// The block of a scope, or `NONE`.
    #[inline]
    pub(super) fn block(&self, scope: u32) -> u32 {
        let scope = self.scopes.get(scope as usize);
        scope.map_or(NONE, |scope| scope.block)
    }

    pub(super) fn piece(&self, at: usize) -> &[u8] {
        self.pieces.get(at).map_or(&[], |piece| self.bytes(*piece))
    }

    pub(super) fn bytes(&self, piece: Piece<'b>) -> &[u8] {
        match piece {
            Piece::Borrowed(bytes) => bytes,
            Piece::Own(start, end) => self
                .own
                .get(start as usize..end as usize)
                .unwrap_or_default(),
        }
    }

    /// Whose texts come now. Only makes them faster to look at.
    pub fn begin(&mut self, message: &'b [u8]) {
        self.message = message;
    }

    /// The fingerprint of a text.
    #[inline(always)]
    pub(super) fn print(&self, keys: &Keys, piece: Piece<'b>) -> u128 {
        match piece {
            Piece::Borrowed(bytes) => keys.text_of(self.message, bytes),
            Piece::Own(..) => keys.text(self.bytes(piece)),
        }
    }

    /// Wire text as UTF-8.
    #[inline]
    pub(super) fn normal(&mut self, wire: &'b [u8], non_ascii: bool) -> Piece<'b> {
        if !non_ascii || wire.is_ascii() {
            Piece::Borrowed(wire)
        } else {
            self.write(|own| text::to_utf8(wire, own))
        }
    }

    /// A text that somebody writes.
    pub(super) fn write(&mut self, writer: impl FnOnce(&mut Vec<u8>)) -> Piece<'b> {
        let start = self.own.len();
        writer(&mut self.own);
        match (u32::try_from(start), u32::try_from(self.own.len())) {
            (Ok(start), Ok(end)) => Piece::Own(start, end),
            // A report is at most 16 MiB: four gigabytes of text are impossible.
            _ => EMPTY,
        }
    }

    /// A part of a text, by a function of its bytes that returns a span.
    pub(super) fn part(
        &self,
        piece: Piece<'b>,
        span: impl FnOnce(&[u8]) -> (usize, usize),
    ) -> Piece<'b> {
        let (from, to) = span(self.bytes(piece));
        match piece {
            Piece::Borrowed(bytes) => Piece::Borrowed(bytes.get(from..to).unwrap_or(&[])),
            Piece::Own(start, _) => Piece::Own(start + from as u32, start + to as u32),
        }
    }

    /// Appends texts; returns where they begin.
    #[inline]
    pub(super) fn push<const N: usize>(&mut self, pieces: [Piece<'b>; N]) -> u32 {
        let at = self.pieces.len() as u32;
        self.pieces.extend(pieces);
        at
    }

    #[inline]
    pub(super) fn set_piece(&mut self, at: usize, piece: Piece<'b>) {
        if let Some(to) = self.pieces.get_mut(at) {
            *to = piece;
        }
    }

    pub(super) fn push_scope(&mut self, of: Part, report: u32, session: u32) -> u32 {
        let at = self.scopes.len() as u32;
        self.scopes.push(OpScope {
            print: of.print,
            bucket: of.bucket,
            record: of.record,
            block: NONE,
            report,
            session,
        });
        at
    }
}

/// What a record adds to one block.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub record: u32,
    pub print: u128,
    pub bucket: u32,
}
