//! What a compiler is told, and what the host makes of its answer.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use soloist_core::limits::Limits;
use soloist_dev::testbed::wait_for_message;
use soloist_sandbox::{
    COMPILE_WORD, Compiler, Plugin, PluginEngine, PluginProblem, PluginSettings,
};

use super::case::Script;
use crate::guests::{engine, guest};

#[test]
fn a_compiler_is_told_of_the_file_and_of_nothing_else() {
    let script = Script::new(
        r#"env > "$HERE/env"
           pwd > "$HERE/cwd"
           ls -l /proc/$$/fd > "$HERE/descriptors"
           cut -d ' ' -f 5 /proc/$$/stat > "$HERE/group"
           echo $$ > "$HERE/process"
           cat > "$HERE/input"
           printf '%s\n' "$@" > "$HERE/arguments"
           exit 3"#,
    );
    let problem = script.load(Limits::default()).unwrap_err();
    assert!(
        matches!(&problem, PluginProblem::Crashed { status, .. } if status.contains('3')),
        "{problem:?}"
    );
    assert_eq!(
        fs::read(script.directory.path().join("input")).unwrap(),
        fs::read(guest("hello")).unwrap()
    );
    // What a shell sets by itself.
    let environment = script.wrote("env");
    let others = environment.lines().filter(|line| {
        !["PWD=", "SHLVL=", "_=", "OLDPWD="]
            .iter()
            .any(|own| line.starts_with(own))
    });
    assert_eq!(others.count(), 0, "{environment}");
    assert_eq!(script.wrote("cwd").trim(), "/");
    assert_eq!(
        script.wrote("group"),
        script.wrote("process"),
        "it hears what a terminal sends to the host"
    );
    let arguments = script.wrote("arguments");
    let [word, order, directory] = &*arguments.lines().collect::<Vec<_>>() else {
        panic!("{arguments}")
    };
    assert_eq!(*word, COMPILE_WORD);
    assert!(
        order.starts_with('{') && !order.contains("hello"),
        "{order}"
    );
    assert!(!Path::new(directory).exists(), "it is left behind");
    // A test program may have been given more; of what the host opens there is nothing.
    let descriptors = script.wrote("descriptors");
    assert!(
        !descriptors.contains("soloist") && !descriptors.contains("socket"),
        "{descriptors}"
    );
}

#[test]
fn whatever_becomes_of_a_compiler_it_is_an_error_of_the_plugin_alone() {
    for (lines, status, said) in [
        ("kill -9 $$", "9", "nothing"),
        (
            "echo 'memory allocation of 9 bytes failed' >&2; kill -6 $$",
            "6",
            "memory allocation of 9 bytes failed",
        ),
        ("yes | head -c 1000000 >&2; exit 1", "1", "y"),
        ("exec <&-; echo '{}'; exit 0", "0", "nothing"),
        ("exit 0", "0", "nothing"),
    ] {
        let problem = Script::new(lines).load(Limits::default()).unwrap_err();
        let PluginProblem::Crashed {
            status: found,
            said: words,
            ..
        } = &problem
        else {
            panic!("{lines}: {problem:?}")
        };
        assert!(
            found.contains(status) && words == said,
            "{lines}: {problem:?}"
        );
        assert!(
            problem.to_string().contains("`limits.compile_memory`"),
            "{problem}"
        );
    }
    let told = |lines| Script::new(lines).load(Limits::default()).unwrap_err();
    assert!(matches!(
        told("kill -XCPU $$"),
        PluginProblem::TooSlow { .. }
    ));
    assert!(matches!(told("kill -XFSZ $$"), PluginProblem::CodeTooLarge));
    // The real one: what it makes is larger than a file may be.
    assert!(matches!(
        told(r#"ulimit -f 1; exec "$SOLOIST" "$@""#),
        PluginProblem::CodeTooLarge
    ));
    // The host ends a compiler that goes on after it has said nothing, and one that says too much.
    for lines in [
        "exec >&-; echo words >&2; exec 2>&-; exec sleep 1000",
        "echo words >&2; exec yes",
        "echo words >&2; yes 2> /dev/null | head -c 1000000; exit 0",
    ] {
        let problem = told(lines);
        assert!(
            matches!(&problem, PluginProblem::Senseless { said } if said == "words"),
            "{lines}: {problem:?}"
        );
    }
    let problem = Script::new(r#"cat > /dev/null; echo '{"Err":{"Panicked":{"message":"oh"}}}'"#)
        .load(Limits::default());
    assert!(
        matches!(problem, Err(PluginProblem::Panicked { ref message }) if message == "oh"),
        "{problem:?}"
    );
    let nobody =
        Arc::new(PluginEngine::with_cache(Compiler::Process("/nobody".into()), None).unwrap());
    let problem = Plugin::load(&nobody, &guest("hello"), PluginSettings::default())
        .unwrap_err()
        .problem;
    assert!(
        matches!(problem, PluginProblem::Compiler(_)) && problem.to_string().contains("/proc"),
        "{problem}"
    );
}

#[test]
fn a_compiler_that_cannot_write_its_code_says_so() {
    // A component has nothing else written for it. A signal would end the compiler; without it, writing fails.
    let script = Script::new("trap '' XFSZ; ulimit -f 1; exec \"$SOLOIST\" \"$@\"");
    let problem = script.load(Limits::default()).map(drop).unwrap_err();
    assert!(matches!(problem, PluginProblem::Write(_)), "{problem:?}");
}

/// A compiler that claims to have compiled, and has not, does not make the host compile.
#[test]
fn what_was_not_compiled_is_not_compiled_by_the_host() {
    let needs = r#"{"instances":0,"memories":0,"tables":0,"lifting":0,"lifts_async":false,"components":0,"bytes":0,"held":0}"#;
    let lines = format!(r#"cat > /dev/null; echo '{{"Ok":{{"needs":{needs},"encoded":false}}}}'"#);
    let problem = Script::new(&lines)
        .load(Limits::default())
        .map(drop)
        .unwrap_err();
    assert!(matches!(problem, PluginProblem::NotFound), "{problem:?}");
}

#[test]
fn a_long_compilation_says_so_and_how_long_it_took() {
    // What is said from here on is heard.
    drop(engine());
    let script = Script::new(r#"sleep 1.1; exec "$SOLOIST" "$@""#);
    script.load(Limits::default()).unwrap();
    wait_for_message("compiling hello.wasm (");
    wait_for_message("compiled hello.wasm in ");
}
