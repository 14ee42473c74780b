//! Functions: many of them, and some that mean much work for a compiler.

use soloist_sandbox::{Excess, MAX_FLOW, MAX_FUNCTIONS, PluginProblem};
use wasm_encoder::{BlockType, Function, ValType};

use super::bare::{Bare, function};
use super::{bounded, load, refused, too_many};

/// A function with so many loops, and locals that change in all of them.
fn loops(locals: u32, loops: u32) -> Function {
    function(locals, |code| {
        for number in 0..loops {
            let local = number % locals;
            code.loop_(BlockType::Empty)
                .local_get(local)
                .i32_const(1)
                .i32_add()
                .local_set((local + 1) % locals);
            code.local_get(local).br_if(0).end();
        }
    })
}

#[test]
fn a_hundred_thousand_functions() {
    bounded(|| {
        let with = |count| {
            (0..count)
                .fold(Bare::new(), |bare, _| bare.with(&function(0, |_| ())))
                .finish()
                .finish()
        };
        too_many(&with(MAX_FUNCTIONS - 1), MAX_FUNCTIONS);
        load("wasm", &with(MAX_FUNCTIONS - 2)).unwrap();
    });
}

#[test]
fn a_function_that_carries_many_values_over_many_branches() {
    bounded(|| {
        let with = |function| Bare::new().with(&function).finish().finish();
        // Twice the locals for each loop: at its head and at its branch.
        let most = u32::try_from(MAX_FLOW.isqrt() / 2).unwrap();
        load("wasm", &with(loops(most, most))).unwrap();
        for (locals, count) in [(50_000, 1_000), (1_000, 50_000), (50_000, 100_000)] {
            let problem = refused("wasm", &with(loops(locals, count)));
            assert!(
                matches!(
                    problem,
                    PluginProblem::Excess(Excess::TooComplex { function: 2 })
                ),
                "{problem:?}"
            );
        }
    });
}

#[test]
fn a_function_that_passes_many_values_to_many_calls_or_targets() {
    bounded(|| {
        let mut bare = Bare::new();
        bare.types
            .ty()
            .function([ValType::I32; 1000], [ValType::I32; 1000]);
        bare.functions.function(1);
        bare.code.function(&function(0, |code| {
            for parameter in 0..1000 {
                code.local_get(parameter);
            }
            for _ in 0..100_000 {
                code.call(2);
            }
        }));
        let problem = refused("wasm", &bare.finish().finish());
        assert!(
            matches!(
                problem,
                PluginProblem::Excess(Excess::TooComplex { function: 2 })
            ),
            "{problem:?}"
        );

        let table = function(1, |code| {
            let targets = vec![0; 100_000];
            for _ in 0..10 {
                code.block(BlockType::Empty);
                for _ in 0..100 {
                    code.i32_const(0);
                }
                code.local_get(0).br_table(targets.iter().copied(), 0).end();
            }
        });
        let problem = refused("wasm", &Bare::new().with(&table).finish().finish());
        assert!(
            matches!(
                problem,
                PluginProblem::Excess(Excess::TooComplex { function: 2 })
            ),
            "{problem:?}"
        );
    });
}

#[test]
fn blocks_in_blocks_and_long_code() {
    bounded(|| {
        let blocks = |depth| {
            function(1, |code| {
                for _ in 0..depth {
                    code.block(BlockType::Empty);
                }
                code.local_get(0).br_if(0);
                for _ in 0..depth {
                    code.end();
                }
            })
        };
        load(
            "wasm",
            &Bare::new().with(&blocks(1_000_000)).finish().finish(),
        )
        .unwrap();
        let long = function(2, |code| {
            for _ in 0..1_000_000 {
                code.local_get(0).local_get(1).i32_add().local_set(0);
            }
        });
        load("wasm", &Bare::new().with(&long).finish().finish()).unwrap();
    });
}
