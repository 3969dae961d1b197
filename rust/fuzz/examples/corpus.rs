//! `unpack DIR`: every target's seeds, a file each, in DIR/<target>/: `kept-…`
//! from the committed corpus, `seed-…` the others.
//! `pack DIR`: the files of DIR/<target>/ that are not called `seed-…` become the
//! committed corpus of the targets that are there.

use std::path::Path;
use std::{env, fs, io};

use flurry_fuzz::seeds::{TARGETS, kept, made, pack, packed};

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
    let mut inputs = Vec::new();
    for file in fs::read_dir(room)? {
        let path = file?.path();
        if !path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("seed-"))
        {
            inputs.push(fs::read(path)?);
        }
    }
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    fs::write(packed(target), pack(&inputs))
}
