//! Text that nests deep, or is long.

use soloist_sandbox::{Excess, MAX_FUNCTIONS, MAX_TEXT_BYTES, PluginProblem};

use super::{bounded, load, refused};

#[test]
fn text_that_nests_deep_or_is_long() {
    bounded(|| {
        let nest = |before: &str, open: &str, inner: &str, after: &str| {
            let depth = 100_000;
            format!(
                "{before}{}{inner}{}{after}",
                open.repeat(depth),
                ")".repeat(depth)
            )
        };
        for text in [
            nest("(component (type ", "(list ", "u8", "))"),
            nest(
                r#"(component (import "a" (func (param "a" "#,
                "(tuple ",
                "u8",
                "))))",
            ),
            nest(
                "(component (type ",
                "(component (type ",
                "(component)",
                "))",
            ),
            nest("", "(component ", "", ""),
            nest("(module (func ", "(what ", "", "))"),
            "(".repeat(3_000_000),
        ] {
            let problem = refused("wat", text.as_bytes());
            assert!(matches!(problem, PluginProblem::Text(_)), "{problem:?}");
        }
        // What is read without recursion may nest as it likes.
        let demoted = r#") (func (export "on_demoted")))"#;
        load(
            "wat",
            nest(
                r#"(module (func (export "on_elected")"#,
                "(block ",
                "",
                demoted,
            )
            .as_bytes(),
        )
        .unwrap();
        let inner = "(i32.const 1)";
        load(
            "wat",
            nest(
                r#"(module (func (export "on_elected") (drop "#,
                "(i32.eqz ",
                inner,
                &format!("){demoted}"),
            )
            .as_bytes(),
        )
        .unwrap();
        let annotation = nest("(module (@a ", "(", "", "))");
        assert!(matches!(
            refused("wat", annotation.as_bytes()),
            PluginProblem::MissingExport { .. }
        ));
        let comments = format!(
            "(module {}{})",
            "(; ".repeat(100_000),
            " ;)".repeat(100_000)
        );
        assert!(matches!(
            refused("wat", comments.as_bytes()),
            PluginProblem::MissingExport { .. }
        ));

        let many = |bytes: usize| format!("(module {})", "(func)".repeat(bytes / 6));
        let problem = refused("wat", many(MAX_TEXT_BYTES - 20).as_bytes());
        assert!(
            matches!(
                problem,
                PluginProblem::Excess(Excess::TooMany {
                    max: MAX_FUNCTIONS,
                    ..
                })
            ),
            "{problem:?}"
        );
        assert!(matches!(
            refused("wat", many(MAX_TEXT_BYTES + 10).as_bytes()),
            PluginProblem::TextTooLarge
        ));
    });
}
