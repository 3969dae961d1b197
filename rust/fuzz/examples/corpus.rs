//! `unpack DIR`: every target's seeds, a file each, in DIR/<target>/: `kept-…`
//! from the committed corpus, `seed-…` the others.
//! `pack DIR`: the short files of DIR/<target>/ that are not called `seed-…` become
//! the committed corpus of the targets that are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs, io};

use flurry_fuzz::seeds::{TARGETS, kept, made, pack, packed};

/// Longer inputs are rare in what is kept, and most of its bytes.
const SHORT: usize = 800;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    for (target, _) in TARGETS {
        match arguments.as_slice() {
            ["unpack", root] => unpack(target, &Path::new(root).join(target))?,
            ["pack", root] => pack_again(target, &Path::new(root).join(target))?,
            _ => return Err(io::Error::other("say `unpack DIR` or `pack DIR`")),
        }
    }
    Ok(())
}

fn unpack(target: &str, room: &Path) -> io::Result<()> {
    fs::create_dir_all(room)?;
    for (name, inputs) in [("kept", kept(target)), ("seed", made(target))] {
        for (number, input) in inputs.iter().enumerate() {
            fs::write(room.join(format!("{name}-{number:04}")), input)?;
        }
    }
    Ok(())
}

fn pack_again(target: &str, room: &Path) -> io::Result<()> {
    if !room.exists() {
        return Ok(());
    }
    let mut inputs = BTreeSet::new();
    if target == "round_trip" || target == "engine" {
        inputs.extend(kept(target)); // that of decode or archive, which came before
    }
    for file in fs::read_dir(room)? {
        let file = file?;
        if !file.file_name().to_string_lossy().starts_with("seed-") {
            let input = fs::read(file.path())?;
            if input.len() < SHORT {
                inputs.insert(input);
            }
        }
    }
    fs::write(packed(target), pack(&Vec::from_iter(inputs)))
}
