//! Parquet by the parquet crate, as a contender of `bench/bench_archive.py`.
//!
//! `parquet-contender NAME=FILE ...` reads record batches from Arrow IPC streams, says `ready`, and answers each line
//! `write SETTINGS` with `done {"cpu_ns": ..., "bytes": ...}`: a row group of each batch, in a file that is new. The
//! time is that of all threads of this process, by the kernel's clock, from opening the file to closing it; reading
//! the batches is not in it.

mod settings;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stdin, stdout};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use rustix::time::{ClockId, clock_gettime};

use settings::Settings;

type Inputs = BTreeMap<String, Vec<RecordBatch>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut inputs = Inputs::new();
    for argument in std::env::args().skip(1) {
        let (name, path) = argument.split_once('=').ok_or("NAME=FILE is expected")?;
        let batches: Vec<_> = StreamReader::try_new(BufReader::new(File::open(path)?), None)?
            .collect::<Result<_, _>>()?;
        if batches.is_empty() {
            return Err(format!("{path} has no rows").into());
        }
        inputs.insert(name.to_owned(), batches);
    }
    say("ready")?;
    for line in stdin().lock().lines() {
        let line = line?;
        let asked = line
            .strip_prefix("write ")
            .ok_or("only `write SETTINGS` is understood")?;
        let settings: Settings = serde_json::from_str(asked)?;
        let batches = inputs.get(&settings.rows).ok_or("there are no such rows")?;
        let nanoseconds = write(batches, &settings)?;
        let answer =
            serde_json::json!({"cpu_ns": nanoseconds, "bytes": settings.path.metadata()?.len()});
        say(&format!("done {answer}"))?;
    }
    Ok(())
}

/// Makes the file; CPU nanoseconds.
fn write(batches: &[RecordBatch], settings: &Settings) -> Result<i64, Box<dyn Error>> {
    let schema = batches[0].schema();
    let properties = settings.properties(&ArrowSchemaConverter::new().convert(&schema)?)?;
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let start = clock();
    let mut writer =
        ArrowWriter::try_new_with_options(File::create_new(&settings.path)?, schema, options)?;
    for batch in batches {
        let step = settings.rows_at_once.unwrap_or(batch.num_rows()).max(1);
        for first in (0..batch.num_rows()).step_by(step) {
            writer.write(&batch.slice(first, step.min(batch.num_rows() - first)))?;
        }
        writer.flush()?;
    }
    writer.close()?;
    Ok(clock() - start)
}

fn clock() -> i64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
