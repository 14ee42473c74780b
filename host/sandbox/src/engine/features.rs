//! What of WebAssembly a plugin may use.

use wasmparser::WasmFeatures;
use wasmtime::Config;

/// What compilers make of Rust, C and Python, and no more: a new version of the compiler adds nothing by itself.
///
/// Memory of 64 bits, threads, exceptions, garbage collection, tail calls and relaxed SIMD are not among them.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::SIMD)
    // Libraries that are linked when they are loaded compute their addresses with it.
    .union(WasmFeatures::EXTENDED_CONST)
    // The compiler itself needs it for the calls between two components.
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::CM_ASYNC);

/// Has the compiler take these features and no other.
pub(crate) fn pin(config: &mut Config) {
    config
        .wasm_features(WasmFeatures::all().difference(FEATURES), false)
        .wasm_features(FEATURES, true);
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;
    use wasmtime::component::Component;

    use super::*;

    /// What the check before the compiler lets through, the compiler takes, and the other way round.
    #[test]
    fn the_compiler_and_the_check_before_it_agree_on_every_feature() {
        let mut config = Config::new();
        pin(&mut config);
        let engine = Engine::new(&config).unwrap();
        let uses = [
            (
                "(func (param i64) (result i64) (i64.extend8_s (local.get 0)))",
                true,
            ),
            (
                "(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))",
                true,
            ),
            ("(func (result i32 i32) (i32.const 1) (i32.const 2))", true),
            (
                "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
                true,
            ),
            ("(table 1 externref)", false),
            (
                "(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
                true,
            ),
            ("(func (result v128) (v128.const i64x2 0 0))", true),
            ("(global i32 (i32.add (i32.const 1) (i32.const 2)))", true),
            ("(memory 1) (memory 1)", true),
            ("(memory i64 1)", false),
            ("(table i64 1 funcref)", false),
            ("(memory 1 1 shared)", false),
            (
                "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))",
                false,
            ),
            ("(memory 1 (pagesize 1))", false),
            ("(func $f (return_call $f))", false),
            ("(tag)", false),
            ("(type (struct))", false),
            ("(type $t (func)) (func (param (ref $t)))", false),
            (
                "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))",
                false,
            ),
            (
                "(func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))",
                false,
            ),
        ];
        for (text, taken) in uses {
            let binary = wat::parse_str(format!("(component (core module {text}))")).unwrap();
            let checked = crate::load::bounds::check(&binary);
            assert_eq!(checked.is_ok(), taken, "{text}: {checked:?}");
            let compiled = Component::from_binary(&engine, &binary);
            assert_eq!(compiled.is_ok(), taken, "{text}: {:?}", compiled.err());
        }
        for text in ["(type (future u8))", "(canon task.cancel (core func))"] {
            let binary = wat::parse_str(format!("(component {text})")).unwrap();
            crate::load::bounds::check(&binary).unwrap();
            Component::from_binary(&engine, &binary).unwrap();
        }
        for text in [
            "(type (list u8 4))",
            "(type (map string u8))",
            "(type error-context)",
            "(canon error-context.drop (core func))",
            "(canon thread.yield cancellable (core func)) (type (map string u8))",
        ] {
            let binary = wat::parse_str(format!("(component {text})")).unwrap();
            assert!(crate::load::bounds::check(&binary).is_err(), "{text}");
            assert!(Component::from_binary(&engine, &binary).is_err(), "{text}");
        }
    }
}
