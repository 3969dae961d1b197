//! Partitions come, go and are set back.

use super::partition::{Archive, Counters, Partition};
use super::sink::ReportSink;
use super::{ArchivePosition, CountersPosition, Engine, EngineError, PartitionStop};
use crate::trials::{self, Bug};

impl<S: ReportSink> Engine<S> {
    /// Takes a partition on. `None` for a sink that is not run here.
    /// `read_from`: the first offset that will come, at most the lower
    /// position; where it is lower, the records before are only compared.
    /// `recall_from`: the first record whose sessions the counters must know,
    /// from `recall` or from Kafka, before they go on; `None` only where they
    /// need none ([`Engine::recall_since`]).
    #[allow(clippy::too_many_arguments)]
    pub fn assign(
        &mut self,
        partition: i32,
        log_start: i64,
        counters: Option<CountersPosition>,
        archive: Option<ArchivePosition>,
        read_from: i64,
        recall_from: Option<i64>,
    ) -> Result<(), EngineError> {
        if u16::try_from(partition).is_err() {
            return Err(EngineError::misuse(format!(
                "partition {partition}: a column name has room for 0 to 65535"
            )));
        }
        if self.position_of(partition).is_some() {
            return Err(EngineError::misuse(format!(
                "partition {partition} is assigned already"
            )));
        }
        let positions = counters
            .map(|c| c.position)
            .into_iter()
            .chain(archive.map(|a| a.position));
        for position in positions {
            if position < log_start {
                return Err(EngineError::misuse(format!(
                    "partition {partition}: position {position} is below the log's start {log_start}"
                )));
            }
            if read_from > position {
                return Err(EngineError::misuse(format!(
                    "partition {partition}: reading from {read_from} would leave a gap behind position {position}"
                )));
            }
        }
        if read_from < log_start {
            return Err(EngineError::misuse(format!(
                "partition {partition}: there is nothing to read at {read_from}, the log starts at {log_start}"
            )));
        }
        if let Some(position) = counters {
            let since = self.recall_since(position.max_timestamp);
            check_recall(&position, recall_from, since)?;
        }
        self.epochs += 1;
        let mut part = Partition::new(partition, self.epochs, read_from);
        if let Some(position) = counters {
            expect(&mut part, position.position, position.crc);
            part.counters = Some(Counters::at(
                &position,
                &self.program.plan.dedup,
                recall_from,
            ));
            if recall_from == Some(position.position) {
                self.stops.extend(part.note_recalled());
            }
        }
        if let Some(position) = archive {
            expect(&mut part, position.position, position.crc);
            part.archive = Some(self.archive_at(partition, &position));
        }
        self.partitions.push(part);
        Ok(())
    }

    /// The caller seeks back: the next record will be `offset`. What the sinks
    /// have, they pass by.
    pub fn rewind(&mut self, partition: i32, offset: i64) -> Result<(), EngineError> {
        let part = self.partition_mut(partition)?;
        if offset > part.next {
            return Err(EngineError::misuse(format!(
                "partition {partition}: {offset} is ahead of the next record {}",
                part.next
            )));
        }
        part.next = offset;
        if trials::seeded(Bug::RewindCountsAgain)
            && let Some(counters) = &mut part.counters
        {
            counters.next = offset;
        }
        let known = [
            part.counters.as_ref().map(|c| (c.next, c.crc)),
            part.archive.as_ref().map(|a| (a.next, a.crc)),
        ];
        for (position, crc) in known.into_iter().flatten() {
            expect(part, position, crc);
        }
        Ok(())
    }

    /// Forgets a partition: its blocks, its archive buffer, its deferred records.
    pub fn drop_partition(&mut self, partition: i32) {
        if let Some(at) = self.position_of(partition) {
            self.partitions.remove(at);
            self.last_partition = 0;
            self.drop_blocks(partition);
        }
    }

    /// Drops the archive's buffer of a partition; it stands at `position` again.
    pub fn archive_reset(
        &mut self,
        partition: i32,
        position: ArchivePosition,
    ) -> Result<(), EngineError> {
        let archive = self.archive_at(partition, &position);
        let part = self.partition_mut(partition)?;
        part.archive = Some(archive);
        expect(part, position.position, position.crc);
        Ok(())
    }

    /// Drops the blocks of a partition, and what is known of its sessions; its
    /// counters stand at `position` again. They take nothing before they are
    /// told, by the same call with `recall_from`, where the sessions are to be
    /// read again (unless they need none).
    pub fn counters_shed(
        &mut self,
        partition: i32,
        position: CountersPosition,
        recall_from: Option<i64>,
    ) -> Result<(), EngineError> {
        if recall_from.is_some() {
            check_recall(&position, recall_from, None)?;
        }
        self.epochs += 1;
        let epoch = self.epochs;
        let counters = Counters::at(&position, &self.program.plan.dedup, recall_from);
        let at = self
            .position_of(partition)
            .and_then(|at| self.partitions.get_mut(at));
        let Some(part) = at else {
            return Err(EngineError::misuse(format!(
                "partition {partition} is not assigned"
            )));
        };
        part.epoch = epoch;
        part.counters = Some(counters);
        if recall_from == Some(position.position) {
            self.stops.extend(part.note_recalled());
        }
        expect(part, position.position, position.crc);
        self.drop_blocks(partition);
        Ok(())
    }

    /// Partitions that were stopped since the last call.
    pub fn take_stops(&mut self) -> Vec<PartitionStop> {
        std::mem::take(&mut self.stops)
    }

    /// The archive buffer of a partition, to be taken out of or looked at.
    pub fn archive_sink(&mut self, partition: i32) -> Option<&mut S> {
        self.partitions
            .iter_mut()
            .find(|part| part.number == partition)
            .and_then(|part| part.archive.as_mut())
            .map(|archive| &mut archive.sink)
    }

    fn archive_at(&self, partition: i32, position: &ArchivePosition) -> Archive<S> {
        Archive {
            sink: (self.open_sink)(partition, position.position),
            next: position.position,
            crc: position.crc,
        }
    }

    fn drop_blocks(&mut self, partition: i32) {
        for id in self.blocks.of_partition(partition) {
            self.blocks.kill(&self.program, id);
        }
        self.give_back();
    }
}

/// Sessions are known from records below the position, and not from nowhere.
fn check_recall(
    position: &CountersPosition,
    recall_from: Option<i64>,
    since: Option<i64>,
) -> Result<(), EngineError> {
    match recall_from {
        Some(from) if from > position.position => Err(EngineError::misuse(format!(
            "recalling from {from} would leave out what lies below, up to position {}",
            position.position
        ))),
        None if since.is_some() => Err(EngineError::misuse(format!(
            "position {} has records below it whose sessions must be known: say from where",
            position.position
        ))),
        _ => Ok(()),
    }
}

/// The record before a position will be compared, if it comes.
fn expect<S>(part: &mut Partition<S>, position: i64, crc: Option<u32>) {
    if let Some(crc) = crc
        && position > part.next
    {
        part.expect(position - 1, crc);
    }
}
