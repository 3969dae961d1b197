use std::collections::HashMap;
use std::sync::OnceLock;

use super::super::arena::MAX_KEY;
use super::*;
use crate::counters::fingerprint::Keys;
use crate::plan::Measure;

/// A block, and what it must hold: rollup and numbers by key.
#[derive(Default)]
struct Known {
    region: Region,
    groups: HashMap<Vec<u8>, (u8, Vec<u64>)>,
}

fn print(keys: &Keys, text: &str) -> Print {
    Print::of(keys.text(text.as_bytes()))
}

/// Of rollups 0 to 255: one to three measures, some of them never in a cell.
fn layouts() -> &'static [Layout] {
    static LAYOUTS: OnceLock<Vec<Layout>> = OnceLock::new();
    LAYOUTS.get_or_init(make_layouts)
}

fn make_layouts() -> Vec<Layout> {
    let all: Vec<_> = Measure::ALL.iter().take(13).copied().collect();
    let sets = [
        &[Measure::Sessions][..],
        &[
            Measure::Events,
            Measure::EventSessions,
            Measure::EventDuration,
        ],
        &all,
        &[Measure::Duration, Measure::Sessions],
    ];
    (0..256)
        .map(|at| Layout::of(sets[at % sets.len()]))
        .collect()
}

fn numbers(layout: &Layout, number: u32) -> Vec<u64> {
    (0..layout.width as u64)
        .map(|at| u64::from(number) + at)
        .collect()
}

fn insert(
    table: &mut GroupTable,
    region: &mut Region,
    (print, rollup): (Print, u16),
    delta: Delta<'_>,
    key: &[u8],
) -> Result<usize, TableFull> {
    let write = |out: &mut Vec<u8>| out.extend_from_slice(key);
    table.insert((region, 1), (print, rollup), delta, (key.len(), write))
}

/// Whether a group is there; then `numbers` are added to it.
fn add(
    table: &mut GroupTable,
    region: Region,
    (print, rollup): (Print, u16),
    numbers: &[u64],
) -> bool {
    let layouts = layouts();
    let packed = Delta::of(&layouts[usize::from(rollup)], numbers).packed;
    let op = Op::new(print, 0, packed, 0, rollup);
    table.add(region, &[op], layouts, numbers).unwrap() == 1
}

fn check(table: &GroupTable, known: &Known) {
    let layouts = layouts();
    let mut found = 0;
    for cell in table.all(known.region) {
        let (rollup, key) = table.key(cell.key);
        let mut numbers = Vec::new();
        table.values(cell, &layouts[usize::from(rollup)], &mut numbers);
        assert_eq!(known.groups[key], (rollup, numbers));
        found += 1;
    }
    assert_eq!(found, known.groups.len());
    assert_eq!(known.region.used as usize, found);
}

/// Two blocks whose groups come in turn.
fn filled(keys: &Keys, groups: u32) -> (GroupTable, [Known; 2]) {
    let (mut table, layouts) = (GroupTable::new(), layouts());
    let mut blocks = [Known::default(), Known::default()];
    for number in 0..groups {
        let text = number.to_string();
        let block = &mut blocks[number as usize % 2];
        let rollup = number % 256;
        let layout = &layouts[rollup as usize];
        let values = numbers(layout, number);
        let group = (print(keys, &text), rollup as u16);
        let none = vec![0; layout.width];
        assert!(!add(&mut table, block.region, group, &none));
        let delta = Delta::of(layout, &values);
        insert(&mut table, &mut block.region, group, delta, text.as_bytes()).unwrap();
        block
            .groups
            .insert(text.into_bytes(), (rollup as u8, values));
    }
    (table, blocks)
}

#[test]
fn every_group_is_found_in_its_block_after_growing() {
    let keys = Keys::random();
    let (mut table, mut blocks) = filled(&keys, 50_000);
    assert_eq!(table.len(), 50_000);
    for number in 0..50_000u32 {
        let text = number.to_string();
        let group = (print(&keys, &text), (number % 256) as u16);
        let ours = number as usize % 2;
        let more = numbers(&layouts()[number as usize % 256], 7);
        assert!(!add(&mut table, blocks[1 - ours].region, group, &more));
        assert!(add(&mut table, blocks[ours].region, group, &more));
        let (_, values) = blocks[ours].groups.get_mut(text.as_bytes()).unwrap();
        values
            .iter_mut()
            .zip(&more)
            .for_each(|(value, more)| *value += more);
    }
    blocks.iter().for_each(|block| check(&table, block));
}

/// Whatever comes, in whatever order: plain sums, and none beyond 64 bits.
#[test]
fn numbers_outgrow_their_cells_exactly() {
    let (keys, layouts) = (Keys::random(), layouts());
    let steps = [
        1,
        0,
        40_000,
        1 << 38,
        1 << 39,
        5,
        u64::MAX / 2,
        3,
        u64::MAX,
        1,
    ];
    for rollup in 0..4u16 {
        let layout = &layouts[usize::from(rollup)];
        for place in 0..layout.width {
            for skip in 0..steps.len() - 1 {
                let (mut table, mut block) = (GroupTable::new(), Known::default());
                let group = (print(&keys, "x"), rollup);
                let mut sums = vec![0u64; layout.width];
                for step in steps.iter().skip(skip) {
                    let mut deltas = vec![1; layout.width];
                    deltas[place] = *step;
                    for (sum, delta) in sums.iter_mut().zip(&deltas) {
                        *sum = sum.saturating_add(*delta);
                    }
                    if !add(&mut table, block.region, group, &deltas) {
                        let delta = Delta::of(layout, &deltas);
                        insert(&mut table, &mut block.region, group, delta, b"x").unwrap();
                    }
                    block
                        .groups
                        .insert(b"x".to_vec(), (rollup as u8, sums.clone()));
                    check(&table, &block);
                }
                assert_eq!(sums[place], u64::MAX);
            }
        }
    }
}

#[test]
fn cells_are_given_to_others_and_never_more_than_three_quarters_full() {
    let keys = Keys::random();
    let (mut table, [a, b]) = filled(&keys, 20_000);
    assert!(a.region.used * 4 <= a.region.cells * 3 && a.region.used == 10_000);
    let held = table.cells.bytes();
    table.release(a.region);
    let (mut c, layouts) = (Region::default(), layouts());
    for number in 0..10_000 {
        let text = number.to_string();
        let group = (print(&keys, &text), 0);
        assert!(!add(&mut table, c, group, &[0]));
        let delta = Delta::of(&layouts[0], &[0]);
        insert(&mut table, &mut c, group, delta, b"").unwrap();
    }
    assert!(
        table.cells.bytes() < held + 4_096,
        "the regions of the first were used"
    );
    check(&table, &b);
}

#[test]
fn the_living_can_be_moved() {
    let keys = Keys::random();
    let (mut table, [a, mut b]) = filled(&keys, 5_000);
    assert_eq!(table.dead(), 0);
    table.release(a.region);
    let held = table.bytes();
    let old = table.take_texts();
    table.copy_texts(&old, b.region, layouts()).unwrap();
    drop(old);
    check(&table, &b);
    let old = table.take_cells();
    b.region = table.copy_cells(&old, b.region).unwrap();
    drop(old);
    check(&table, &b);
    assert!(table.bytes() < held * 3 / 4);
    for (key, (rollup, numbers)) in &b.groups {
        let text = std::str::from_utf8(key).unwrap();
        let group = (print(&keys, text), u16::from(*rollup));
        let zeros = vec![0; numbers.len()];
        assert!(add(&mut table, b.region, group, &zeros));
    }
    assert_eq!(table.len(), b.groups.len());
}

#[test]
fn what_is_dead_is_known() {
    let keys = Keys::random();
    let (mut table, [a, b]) = filled(&keys, 5_000);
    let (free, taken) = (table.free_cells(), table.taken_cells());
    table.release(a.region);
    assert_eq!(table.dead(), a.groups.len());
    assert_eq!(table.free_cells(), free + a.region.cells as usize);
    table.release(b.region);
    assert_eq!(table.dead(), a.groups.len() + b.groups.len());
    assert_eq!((table.len(), table.taken_cells()), (0, 0));
    assert_eq!(table.free_cells(), free + taken);
}

/// A rollup may have a million groups: more cells than an ordinary chunk.
#[test]
fn a_block_may_be_larger_than_a_chunk() {
    let (keys, layouts) = (Keys::random(), layouts());
    let (mut table, mut region) = (GroupTable::new(), Region::default());
    let print = |number: u32| Print::of(keys.text(&number.to_le_bytes()));
    let numbers = |number: u32| [u64::from(number)];
    for number in 0..900_000 {
        let (group, numbers) = ((print(number), 0), numbers(number));
        let delta = Delta::of(&layouts[0], &numbers);
        insert(&mut table, &mut region, group, delta, &number.to_le_bytes()).unwrap();
    }
    let mut small = Region::default();
    let delta = Delta::of(&layouts[0], &[5]);
    insert(&mut table, &mut small, (print(7), 0), delta, b"").unwrap();
    let values = |region| {
        let mut values = Vec::new();
        for cell in table.all(region) {
            table.values(cell, &layouts[0], &mut values);
        }
        values.sort_unstable();
        values
    };
    assert!(values(region).into_iter().eq(0..900_000));
    assert_eq!(values(small), [5]);
    assert_eq!(region.used, 900_000);
    for number in 0..900_000 {
        assert!(add(&mut table, region, (print(number), 0), &[0]));
    }
}

#[test]
fn others_are_sums_as_well() {
    let (mut table, layouts) = (GroupTable::new(), layouts());
    let layout = &layouts[1];
    let other = table.insert_other(layout).unwrap();
    assert_ne!(other, 0);
    table.add_other(other, Delta::of(layout, &[1, 2, 3]));
    table.add_other(other, Delta::of(layout, &[1, u64::MAX - 2, 1 << 50]));
    assert_eq!(table.other(other, layout), [2, u64::MAX, (1 << 50) + 3]);
    let old = table.take_texts();
    table.insert_other(layout).unwrap();
    let copy = table.copy_other(&old, other, layout).unwrap();
    assert_ne!(copy, other);
    assert_eq!(table.other(copy, layout), [2, u64::MAX, (1 << 50) + 3]);
}

#[test]
fn what_has_no_name_is_refused() {
    let (keys, layouts) = (Keys::random(), layouts());
    let (mut table, mut region) = (GroupTable::new(), Region::default());
    let delta = Delta::of(&layouts[0], &[1]);
    let print = |text| print(&keys, text);
    let long = vec![b'x'; MAX_KEY + 1];
    let group = (print("long"), 0);
    assert_eq!(
        insert(&mut table, &mut region, group, delta, &long),
        Err(TableFull)
    );
    let group = (print("rollup"), 256);
    assert_eq!(
        insert(&mut table, &mut region, group, delta, b""),
        Err(TableFull)
    );
    let lying = |out: &mut Vec<u8>| out.extend_from_slice(b"longer");
    let group = (print("lying"), 0);
    let refused = table.insert((&mut region, 1), group, delta, (5, lying));
    assert_eq!(refused, Err(TableFull));
    let group = (print("longest"), 255);
    let longest = &long[1..];
    let length = insert(&mut table, &mut region, group, delta, longest).unwrap();
    assert_eq!(length, MAX_KEY);
    let keys: Vec<_> = table.all(region).map(|cell| table.key(cell.key)).collect();
    assert_eq!(keys, [(255, longest)]);
}
