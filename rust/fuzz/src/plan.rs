//! The plan parser: a refusal with a reason, or a plan that can be counted by.

use std::collections::HashSet;
use std::sync::Arc;

use flurry_core::counters::Program;
use flurry_core::plan::{MAX_CAP, MAX_DIMENSIONS, MAX_MEASURES, MAX_ROLLUPS, Plan};

/// Parses any text.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Plan::parse(text) {
        Ok(plan) => sound(text, &plan),
        Err(error) => {
            assert!(!error.reason.is_empty() && !error.reason.ends_with('.'));
            assert_eq!(Plan::parse(text), Err(error));
        }
    }
}

fn sound(text: &str, plan: &Plan) {
    assert!(plan.id != 0 && plan.toml == text);
    assert_eq!(
        Plan::parse(&format!("# a comment\n{text}")).map(|plan| plan.id),
        Ok(plan.id)
    );
    assert!((2..=MAX_ROLLUPS + 1).contains(&plan.rollups.len()));
    let mut names = HashSet::new();
    for (at, rollup) in plan.rollups.iter().enumerate() {
        assert!(names.insert(&rollup.name));
        assert_eq!(plan.position(rollup.number), Some(at));
        assert!(rollup.dimensions.len() <= MAX_DIMENSIONS);
        assert!((1..=MAX_MEASURES).contains(&rollup.measures.len()));
        assert!((1..=MAX_CAP).contains(&rollup.cap.into()));
        assert!(plan.canonical.contains(&format!(
            "rollup.{}.name = {}\n",
            rollup.number, rollup.name
        )));
    }
    let _ = Program::compile(Arc::new(plan.clone()));
}
