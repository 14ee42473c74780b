//! The short run: the corpus, and seeded mutations of it.

mod mutate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mutate::mutated;
use soloist_fuzz::{TARGETS, inputs};
use soloist_seed::{Random, seed};

/// Mutations for each target: seconds on a slow machine.
const MUTATIONS: [(&str, u64); 3] = [("loader", 50_000), ("config", 20_000), ("records", 200_000)];

fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let (_, mutations) = MUTATIONS.iter().find(|(target, _)| *target == name).unwrap();
    let inputs = inputs(name);
    assert!(!inputs.is_empty());
    for (file, input) in &inputs {
        println!("{file}");
        target(input);
    }
    let mut random = Random::new(seed());
    for _ in 0..*mutations {
        let any = |random: &mut Random| &inputs[usize::try_from(random.below(inputs.len() as u64)).unwrap()];
        let ((file, input), (_, other)) = (any(&mut random), any(&mut random));
        let input = mutated(input, other, &mut random);
        let taken = catch_unwind(AssertUnwindSafe(|| target(&input)));
        assert!(taken.is_ok(), "of {file}: {}", kept(name, &input));
    }
}

/// Keeps what was found, and says what to do with it.
fn kept(target: &str, input: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("found-{target}"));
    match fs::write(&path, input) {
        Ok(()) => format!("it lies in {}; mend it, and copy it into tests/fuzz/corpus/{target}", path.display()),
        Err(_) => input.escape_ascii().to_string(),
    }
}

#[test]
fn the_loader_takes_anything() {
    run("loader");
}

#[test]
fn the_configuration_takes_anything() {
    run("config");
}

#[test]
fn records_may_hold_anything() {
    run("records");
}
