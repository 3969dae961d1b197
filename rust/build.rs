//! What `build_info()` tells: the commit, profile and compiler of this build.
//! Works outside git too (an unpacked sdist): the commit is then `unknown`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FLURRY_FAST_COMMIT");
    println!("cargo:rerun-if-env-changed=RUSTFLAGS");
    tell("COMMIT", &commit());
    tell("PROFILE", &variable("PROFILE"));
    tell("OPT_LEVEL", &variable("OPT_LEVEL"));
    tell("TARGET", &variable("TARGET"));
    tell("RUSTC", &said(&variable("RUSTC"), &["--version"]));
    tell("TARGET_CPU", &target_cpu());
    tell("TARGET_FEATURES", &variable("CARGO_CFG_TARGET_FEATURE"));
}

fn tell(name: &str, value: &str) {
    println!("cargo:rustc-env=FLURRY_FAST_{name}={value}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn commit() -> String {
    let given = variable("FLURRY_FAST_COMMIT");
    if !given.is_empty() {
        return given;
    }
    // A new commit moves HEAD or the branch it names; both are files of git.
    for name in ["HEAD", &said("git", &["symbolic-ref", "-q", "HEAD"])] {
        let path = said("git", &["rev-parse", "--git-path", name]);
        if !name.is_empty() && Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    // Of this project's repository only, not of one that it was unpacked into.
    let is_ours = said("git", &["ls-files", "--error-unmatch", "build.rs"]) == "build.rs";
    let found = said("git", &["rev-parse", "--short=12", "HEAD"]);
    if is_ours && !found.is_empty() {
        found
    } else {
        "unknown".to_owned()
    }
}

/// The CPU that was asked for; `CARGO_ENCODED_RUSTFLAGS` separates by 0x1f.
fn target_cpu() -> String {
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    let asked = flags
        .split('\x1f')
        .filter_map(|flag| flag.split_once("target-cpu=").map(|(_, cpu)| cpu))
        .next_back();
    asked.unwrap_or("baseline").to_owned()
}

/// The first line a command prints, or nothing if it fails.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().next().unwrap_or_default().trim().to_owned()
        }
        _ => String::new(),
    }
}
