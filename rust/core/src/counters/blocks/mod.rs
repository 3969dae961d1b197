//! The blocks in memory: which are there, what is known of them, and the
//! groups that they hold in the common table.

mod apply;
mod cell;
mod heads;
mod merge;
mod packed;
mod shrink;
mod tidy;

use flurry_hints as hints;

use super::arena::KeyBytes;
use super::block::Decoded;
use super::index::{Index, NONE};
use super::program::Program;
use super::table::{GroupTable, Region, TableFull};
use heads::Heads;
use shrink::{SAMPLE_BYTES, Shrinker};
pub use tidy::Worth;

/// One block's place and state, in a cache line; its groups lie in the common table.
#[derive(Debug)]
#[repr(align(64))]
pub struct Block {
    /// Where its groups are looked for.
    region: Region,
    /// Where its API key is.
    key: u32,
    /// Where its head is, `NONE` while all its groups are put away.
    head: u32,
    /// Where groups are put away as bytes, 0 while all of them lie in the table.
    /// Those that came since lie there, to be added to these.
    packed: u32,
    pub partition: i32,
    pub bucket: u32,
    /// E of the stored cell that it was built on: records below are in it. 0: there was none.
    pub base: i64,
    /// Offset of the last record counted here, −1 before the first.
    pub touched: i64,
    /// The engine's turn at that time: blocks of old turns are put away first.
    pub turn: u64,
    dirty: bool,
    /// Part of the flush in flight.
    pub flying: bool,
    /// Its stored cell is not known yet: nothing may be counted here.
    pub pending: bool,
    /// Dropped: its number is nobody's until the next renumbering.
    pub dead: bool,
    /// About the bytes that it takes, 4 GiB at most.
    bytes: u32,
}

/// All blocks of an engine.
pub struct Blocks {
    table: GroupTable,
    index: Index,
    blocks: Vec<Block>,
    /// Fingerprints of the blocks.
    prints: Vec<u128>,
    heads: Heads,
    /// Groups of rollups without dimensions.
    single_groups: usize,
    /// About the bytes of what is put away, and of the blocks' places.
    packed_bytes: usize,
    live_bytes: usize,
    /// The groups of blocks that are put away.
    bodies: KeyBytes,
    shrinker: Shrinker,
    body_bytes: usize,
    /// Of those that were not compressed yet.
    plain_bytes: usize,
    /// Of blocks that came back since, or are dropped.
    dead_body_bytes: usize,
    dirty_bytes: usize,
    full: bool,
    /// Updates of groups that were applied.
    pub updates: u64,
    encoding: cell::Encoding,
    decoded: Decoded,
}

impl Blocks {
    /// None yet.
    pub fn new(program: &Program) -> Self {
        Self {
            table: GroupTable::new(),
            index: Index::with_room(0),
            blocks: Vec::new(),
            prints: Vec::new(),
            heads: Heads::new(program),
            single_groups: 0,
            packed_bytes: 0,
            live_bytes: 0,
            bodies: KeyBytes::new(),
            shrinker: Shrinker::new(SAMPLE_BYTES),
            body_bytes: 0,
            plain_bytes: 0,
            dead_body_bytes: 0,
            dirty_bytes: 0,
            full: false,
            updates: 0,
            encoding: cell::Encoding::default(),
            decoded: Decoded::default(),
        }
    }

    /// Blocks in memory.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Groups in the table: those of blocks that are put away are not counted.
    pub fn groups(&self) -> usize {
        self.table.len() + self.single_groups
    }

    /// Whether the table has run out of numbers: what was counted since is not to be trusted.
    pub fn is_full(&self) -> bool {
        self.full
    }

    #[cfg(test)]
    pub fn run_out_of_numbers(&mut self) {
        self.full = true;
    }

    /// Bytes that are held on to.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
            + self.blocks.capacity() * size_of::<Block>()
            + self.prints.capacity() * size_of::<u128>()
            + self.heads.bytes()
            + self.bodies.bytes()
            + self.shrinker.bytes()
            + self.index.bytes()
    }

    /// Bytes of a block beside head and groups.
    fn place_bytes(key: usize) -> usize {
        // Its slots in the index are half full at most.
        size_of::<Block>() + size_of::<u128>() + 32 + key + 8
    }

    /// About the bytes that the live blocks need: what eviction can bring down.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// The fingerprint of a block.
    #[inline]
    pub fn print(program: &Program, app: u128, partition: i32, bucket: u32) -> u128 {
        program.keys.block(app, partition, bucket)
    }

    /// The number of the block with this fingerprint.
    #[inline]
    pub fn find(&self, print: u128) -> Option<u32> {
        Some(self.index.find(print)).filter(|id| *id != NONE)
    }

    /// The block of a row.
    pub fn find_row(
        &self,
        program: &Program,
        partition: i32,
        api_key: &[u8],
        bucket: u32,
    ) -> Option<u32> {
        let app = program.keys.text(api_key);
        self.find(Self::print(program, app, partition, bucket))
    }

    /// Makes a block that was not found, without groups, on a base of nothing.
    pub fn create(
        &mut self,
        print: u128,
        partition: i32,
        api_key: &[u8],
        bucket: u32,
        pending: bool,
    ) -> u32 {
        let id = self.blocks.len() as u32;
        let bytes = Self::place_bytes(api_key.len()) + self.heads.each();
        self.live_bytes += bytes;
        let key = self.table.keep(api_key).unwrap_or_else(|TableFull| {
            self.full = true;
            0
        });
        hints::grow(&mut self.prints, 1);
        self.prints.push(print);
        hints::grow(&mut self.blocks, 1);
        self.blocks.push(Block {
            region: Region::default(),
            key,
            head: self.heads.take(),
            packed: 0,
            partition,
            bucket,
            base: 0,
            touched: -1,
            turn: 0,
            dirty: false,
            flying: false,
            pending,
            dead: false,
            bytes: bytes as u32,
        });
        self.index.insert(print, id);
        id
    }

    /// Whether something was counted in it since the last freeze (or since an
    /// abandoned one).
    pub fn is_dirty(&self, id: u32) -> bool {
        self.get(id).is_some_and(|block| block.dirty)
    }

    /// Says so, or takes it back; true if that changed anything.
    pub fn set_dirty(&mut self, id: u32, dirty: bool) -> bool {
        let Some(block) = self.blocks.get_mut(id as usize) else {
            return false;
        };
        if block.dirty == dirty {
            return false;
        }
        block.dirty = dirty;
        if dirty {
            self.dirty_bytes += block.bytes as usize;
        } else {
            self.dirty_bytes -= block.bytes as usize;
        }
        true
    }

    /// About the bytes of the dirty blocks.
    pub fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    /// The fingerprint of a block: of partition, app and hour, under the process's key.
    pub fn print_of(&self, id: u32) -> Option<u128> {
        self.prints.get(id as usize).copied()
    }

    /// A block by its number.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&Block> {
        self.blocks.get(id as usize)
    }

    /// A block by its number.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Block> {
        self.blocks.get_mut(id as usize)
    }

    /// All blocks that are not dropped, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Block)> {
        (0u32..).zip(&self.blocks).filter(|(_, block)| !block.dead)
    }

    /// The blocks of one partition.
    pub fn of_partition(&self, partition: i32) -> Vec<u32> {
        self.iter()
            .filter(|(_, block)| block.partition == partition)
            .map(|(id, _)| id)
            .collect()
    }

    /// Takes a block out of the index; its memory is given back by [`Self::tidy`].
    pub fn kill(&mut self, program: &Program, id: u32) {
        let Some(block) = self.blocks.get_mut(id as usize).filter(|block| !block.dead) else {
            return;
        };
        block.dead = true;
        let bytes = block.bytes as usize;
        self.set_dirty(id, false);
        self.live_bytes -= bytes;
        self.close(program, id);
        if let Some(print) = self.prints.get(id as usize) {
            self.index.remove(*print, id);
        }
    }
}
