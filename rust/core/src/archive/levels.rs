//! Repetition and definition levels, made once for all columns of a list.

use std::ops::Range;

use super::columns::Ends;
use super::presence::Presence;
use crate::parquet::chunk::{write_levels, write_same_level};

/// Where columns stand in the tree of lists, for the rows of one page. Every
/// entry is one level of each kind; an entry whose definition level is at least
/// `slot_def` has a place in the flat columns, and a value there if it is `max_def`.
#[derive(Debug, Default)]
pub struct Scope {
    /// Of the flat columns.
    pub range: Range<usize>,
    rep: Vec<u8>,
    def: Vec<u8>,
    max_rep: u8,
    max_def: u8,
    slot_def: u8,
    /// The places that have values, where not all of `range` have.
    picks: Option<Vec<u32>>,
    /// Levels of columns without nulls, with nothing but values, and with nothing
    /// but nulls where there is a parent, as a page holds them.
    rep_bytes: Vec<u8>,
    def_bytes: Vec<u8>,
    full_bytes: Option<Vec<u8>>,
    void_bytes: Option<Vec<u8>>,
}

/// What a column has in a page besides its levels.
pub enum Picks<'a> {
    /// Every place of the scope's range.
    All,
    /// These places.
    Some(&'a [u32]),
    /// So many of them, of a column that keeps nothing else.
    Dense(usize),
}

impl Scope {
    /// Rows, where every column of the root has one entry.
    pub fn rows(range: Range<usize>) -> Self {
        Self {
            def: vec![0; range.len()],
            rep: vec![0; range.len()],
            range,
            ..Self::default()
        }
    }

    /// Entries of levels.
    pub fn entries(&self) -> usize {
        self.def.len()
    }

    /// The elements of a list column of this scope.
    pub fn list(&self, present: Option<&Presence>, ends: &Ends) -> Self {
        let end = |place: usize| ends.0.get(place).map_or(0, |end| *end as usize);
        let empty_def = self.max_def + u8::from(present.is_some());
        let (max_rep, max_def) = (self.max_rep + 1, empty_def + 1);
        let range = end(self.range.start)..end(self.range.end);
        let (mut rep, mut def);
        if range.is_empty() && present.is_none() {
            // No list has an element: an empty list looks like its parent.
            rep = self.rep.clone();
            def = self.def.clone();
        } else {
            // All elements are alike but for the first of a list, so that only
            // those are written one by one.
            rep = vec![max_rep; self.entries() + range.len()];
            def = vec![max_def; self.entries() + range.len()];
            let ends = ends.0.get(self.range.start + 1..=self.range.end);
            let mut ends = ends.unwrap_or_default().iter();
            let mut slot = self.range.start;
            let mut start = range.start;
            let mut at = 0;
            for (parent_rep, parent_def) in self.rep.iter().zip(&self.def) {
                let (Some(first_rep), Some(first_def)) = (rep.get_mut(at), def.get_mut(at)) else {
                    break; // lists that end before they begin: no builder makes them
                };
                *first_rep = *parent_rep;
                if *parent_def < self.slot_def {
                    *first_def = *parent_def;
                    at += 1;
                    continue;
                }
                let stop = ends.next().map_or(start, |end| *end as usize);
                let elements = stop.saturating_sub(start);
                if *parent_def < self.max_def {
                    *first_def = *parent_def;
                } else if elements == 0 {
                    let absent = present.is_some_and(|present| !present.get(slot));
                    *first_def = empty_def - u8::from(absent);
                }
                at += elements.max(1);
                slot += 1;
                start = stop;
            }
            rep.truncate(at);
            def.truncate(at);
        }
        Self {
            range,
            rep,
            def,
            max_rep,
            max_def,
            slot_def: max_def,
            ..Self::default()
        }
        .encoded()
    }

    /// The columns of a struct of this scope that may be absent.
    pub fn group(&self, present: &Presence) -> Self {
        let mut def = Vec::with_capacity(self.entries());
        let mut picks = Vec::new();
        let count = self.nullable::<true>(present, &mut def, &mut picks);
        let all = count == self.range.len();
        Self {
            range: self.range.clone(),
            rep: self.rep.clone(),
            def,
            max_rep: self.max_rep,
            max_def: self.max_def + 1,
            slot_def: self.slot_def,
            picks: (!all).then_some(picks),
            ..Self::default()
        }
        .encoded()
    }

    fn encoded(mut self) -> Self {
        write_levels(&self.rep, self.max_rep, &mut self.rep_bytes);
        write_levels(&self.def, self.max_def, &mut self.def_bytes);
        self
    }

    /// Definition levels of a column with nulls, the number of places that are
    /// there, and, if asked for, which.
    fn nullable<const PICKS: bool>(
        &self,
        present: &Presence,
        def: &mut Vec<u8>,
        picks: &mut Vec<u32>,
    ) -> usize {
        // No branch: which are there is anybody's guess.
        if PICKS {
            picks.resize(self.entries(), 0);
        }
        let (mut slot, mut count) = (self.range.start, 0);
        def.extend(self.def.iter().map(|level| {
            let there = (*level == self.max_def) & present.get(slot);
            if PICKS && let Some(place) = picks.get_mut(count) {
                *place = slot as u32;
            }
            count += usize::from(there);
            slot += usize::from(*level >= self.slot_def);
            level + u8::from(there)
        }));
        picks.truncate(count);
        count
    }

    /// Writes the levels of a column of this scope to `out`. The places of its
    /// values are `Picks`; `own` is where they are put if they are its own.
    /// `dense`: it keeps no value for what is not there.
    pub fn write<'a>(
        &'a mut self,
        present: Option<&Presence>,
        dense: bool,
        own: &'a mut Vec<u32>,
        out: &mut Vec<u8>,
    ) -> Picks<'a> {
        out.extend_from_slice(&self.rep_bytes);
        let Some(present) = present else {
            out.extend_from_slice(&self.def_bytes);
            return match &self.picks {
                Some(picks) => Picks::Some(picks),
                None => Picks::All,
            };
        };
        own.clear();
        let there = present.count(&self.range);
        let greatest = self.max_def + 1;
        if there == self.range.len() && self.picks.is_none() {
            let bytes = self.full_bytes.get_or_insert_with(|| {
                let raised = |level: &u8| level + u8::from(*level == self.max_def);
                let def: Vec<u8> = self.def.iter().map(raised).collect();
                encode(&def, greatest)
            });
            out.extend_from_slice(bytes);
            return if dense {
                Picks::Dense(there)
            } else {
                Picks::All
            };
        }
        if there == 0 {
            let bytes = self
                .void_bytes
                .get_or_insert_with(|| encode(&self.def, greatest));
            out.extend_from_slice(bytes);
            return Picks::Some(own); // none
        }
        let mut def = Vec::with_capacity(self.entries());
        let count = match dense {
            true => self.nullable::<false>(present, &mut def, own),
            false => self.nullable::<true>(present, &mut def, own),
        };
        write_levels(&def, greatest, out);
        match count {
            _ if dense => Picks::Dense(count),
            _ if count == self.range.len() => Picks::All,
            _ => Picks::Some(own),
        }
    }
}

fn encode(def: &[u8], greatest: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    match def.first() {
        Some(first) if def.iter().all(|level| level == first) => {
            write_same_level(def.len(), *first, &mut bytes);
        }
        _ => write_levels(def, greatest, &mut bytes),
    }
    bytes
}
