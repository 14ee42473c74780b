//! libFuzzer over the target that `SOLOIST_FUZZ` names, from seeds that it first writes to `SOLOIST_FUZZ_SEEDS`. See
//! `make fuzz`.

#![no_main]
#![allow(
    unsafe_code,
    reason = "libFuzzer's entry point is a symbol with a plain name"
)]
#![allow(missing_docs, reason = "so is what the macro makes of it")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (name, seeds) = (variable("SOLOIST_FUZZ"), variable("SOLOIST_FUZZ_SEEDS"));
    let (_, target) = soloist_fuzz::TARGETS
        .iter()
        .find(|(target, _)| *target == name)
        .expect("there is such a target");
    for (input, content) in soloist_fuzz::inputs(&name) {
        fs::write(Path::new(&seeds).join(input), content).expect("the seeds can be written");
    }
    *target
});

fuzz_target!(
    init: {
        // libfuzzer-sys aborts in its hook, also where a panic is caught and means that the input is refused.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
        LazyLock::force(&TARGET);
    },
    |data: &[u8]| TARGET(data)
);
