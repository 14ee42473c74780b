//! The short run: the corpus, and seeded mutations of it.

mod mutate;

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mutate::mutated;
use soloist_fuzz::{TARGETS, inputs};
use soloist_seed::{Random, seed};

/// Mutations for each target: seconds on a slow machine.
const MUTATIONS: [(&str, u64); 4] = [
    ("loader", 50_000),
    ("config", 20_000),
    ("records", 200_000),
    // To find that a day never comes takes a while.
    ("schedules", 5_000),
];

fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let (_, mutations) = MUTATIONS
        .iter()
        .find(|(target, _)| *target == name)
        .unwrap();
    let inputs = inputs(name);
    assert!(!inputs.is_empty());
    for (file, input) in &inputs {
        println!("{file}");
        target(input);
    }
    let mut random = Random::new(seed());
    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("found-{name}"));
    let mut kept = File::create(&found).expect("the target directory can be written");
    for _ in 0..*mutations {
        let any = |random: &mut Random| {
            &inputs[usize::try_from(random.below(inputs.len() as u64)).unwrap()]
        };
        let ((file, input), (_, other)) = (any(&mut random), any(&mut random));
        let input = mutated(input, other, &mut random);
        // Before it is tried: it may end the process.
        keep(&mut kept, &input).expect("the target directory can be written");
        let taken = catch_unwind(AssertUnwindSafe(|| target(&input)));
        assert!(
            taken.is_ok(),
            "of {file}; it lies in {}: mend it, and copy it into tests/fuzz/corpus/{name}",
            found.display()
        );
    }
    // Nothing was found.
    let _ = fs::remove_file(&found);
}

/// Writes what is tried now over what was tried before.
fn keep(kept: &mut File, input: &[u8]) -> io::Result<()> {
    kept.set_len(0)?;
    kept.rewind()?;
    kept.write_all(input)
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

#[test]
fn schedules_may_say_anything() {
    run("schedules");
}
