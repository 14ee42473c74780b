//! The process that compiles a plugin: what it is told, what ends it, and that it ends alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use soloist_core::limits::Limits;
use soloist_dev::testbed::{PATIENCE, wait_for_message};
use soloist_sandbox::{
    COMPILE_WORD, Compiler, Plugin, PluginEngine, PluginProblem, PluginSettings,
};

use crate::guests::{File, compiler, engine, guest, soloist};

/// A compiler that is a script: `$SOLOIST` is the real one.
struct Script {
    directory: tempfile::TempDir,
}

impl Script {
    fn new(lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("compiler");
        let here = directory.path().display();
        fs::write(
            &path,
            format!(
                "#!/bin/sh\nHERE='{here}'\nSOLOIST='{}'\n{lines}\n",
                soloist().display()
            ),
        )
        .unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        Self { directory }
    }

    fn engine(&self) -> Arc<PluginEngine> {
        let compiler = Compiler::Process(self.directory.path().join("compiler"));
        Arc::new(PluginEngine::with_cache(compiler, None).unwrap())
    }

    fn load(&self, limits: Limits) -> Result<Plugin, PluginProblem> {
        let settings = PluginSettings {
            limits,
            ..PluginSettings::default()
        };
        Plugin::load(&self.engine(), &guest("hello"), settings).map_err(|error| error.problem)
    }

    fn wrote(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }
}

/// A module of many functions: compiling it takes a while.
fn slow() -> File {
    let functions = "(func (param i64) (result i64) (i64.mul (i64.add (local.get 0) (i64.const 3)) (local.get 0)))";
    let text = format!(
        r#"(module {} (func (export "on_elected")) (func (export "on_demoted")))"#,
        functions.repeat((4 << 20) / functions.len() - 2)
    );
    File::new("wasm", &wat::parse_str(text).unwrap())
}

/// The processes that compile for another one.
fn compilers_of(parent: u32) -> Vec<u32> {
    let told = format!("\"parent\":{parent},");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes
        .filter(|process| {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            line.contains(COMPILE_WORD) && line.contains(&told)
        })
        .collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A host in a process of its own.
struct Host(Child);

impl Host {
    fn start(arguments: &[&Path], cache: &Path) -> Self {
        let command = Command::new(soloist())
            .args(arguments)
            .env("XDG_CACHE_HOME", cache)
            .env("API_TOKEN", "hunter2")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(command.unwrap())
    }

    /// Waits for the process that compiles for it.
    fn compiler(&self) -> u32 {
        let mut found = Vec::new();
        wait_until("nothing is compiled", || {
            found = compilers_of(self.0.id());
            !found.is_empty()
        });
        found[0]
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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
    // One that goes on after it has said nothing, or that says too much, is ended: nobody else has ended it.
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

/// One that says that it has compiled, and has not, does not make the host compile.
#[test]
fn what_was_not_compiled_is_not_compiled_by_the_host() {
    let needs =
        r#"{"instances":0,"memories":0,"tables":0,"lifting":0,"components":0,"bytes":0,"held":0}"#;
    let lines = format!(r#"cat > /dev/null; echo '{{"Ok":{{"needs":{needs},"encoded":false}}}}'"#);
    let problem = Script::new(&lines)
        .load(Limits::default())
        .map(drop)
        .unwrap_err();
    assert!(matches!(problem, PluginProblem::NotFound), "{problem:?}");
}

#[test]
fn a_compiler_that_takes_too_long_is_ended() {
    let script = Script::new(r#"echo $$ > "$HERE/process"; exec sleep 1000"#);
    let limits = Limits {
        compile_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let problem = script.load(limits).unwrap_err();
    assert!(
        matches!(problem, PluginProblem::TooSlow { .. }),
        "{problem:?}"
    );
    let process: u32 = script.wrote("process").trim().parse().unwrap();
    wait_until("it goes on", || !is_alive(process));

    // So is one that compiles in earnest, and nothing of its work is left.
    let cache = tempfile::tempdir().unwrap();
    let engine = Arc::new(PluginEngine::with_cache(compiler(), Some(cache.path())).unwrap());
    let limits = Limits {
        compile_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let settings = PluginSettings {
        limits,
        ..PluginSettings::default()
    };
    let problem = Plugin::load(&engine, &slow().0, settings)
        .unwrap_err()
        .problem;
    assert!(
        matches!(problem, PluginProblem::TooSlow { .. }),
        "{problem:?}"
    );
    let left = fs::read_dir(cache.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name());
    let left: Vec<_> = left
        .filter(|name| name != "code" && name != "kept")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// As a user of whom nothing else runs, which takes root.
#[test]
fn who_may_have_too_few_threads_is_told_of_that_limit() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let file = File::new(
        "wat",
        br#"(module (func (export "on_elected")) (func (export "on_demoted")))"#,
    );
    let user = 2_000_000_000 + std::process::id();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        command
            .args(arguments)
            .env("HOME", "/nowhere")
            .env_remove("XDG_CACHE_HOME")
            .uid(user)
            .output()
    };
    let program = soloist().to_str().unwrap();
    if !run(&[program, "--version"]).is_ok_and(|output| output.status.success()) {
        return;
    }
    let (mut told, mut panicked, mut succeeded) = (0, Vec::new(), false);
    for threads in 1..100 {
        let output = run(&[
            &format!("--nproc={threads}"),
            program,
            "check",
            file.0.to_str().unwrap(),
        ])
        .unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        told += u32::from(words.contains("raise the limit of processes and threads"));
        if words.contains("panicked") {
            panicked.push(words);
        }
        succeeded = output.status.success();
        if succeeded {
            break;
        }
    }
    // wasmtime panics when it has no thread for its cache: once, since it needs one.
    assert!(
        succeeded && told > 2 && panicked.len() <= 1,
        "{told} {panicked:#?}"
    );
}

/// The kernel ends one that has used its share of a processor, and says so.
#[test]
fn a_compiler_that_uses_too_much_of_a_processor_is_too_slow() {
    let script = Script::new(
        r#"order=$(printf %s "$2" | sed 's/"processor":[0-9]*/"processor":0/'); exec "$SOLOIST" "$1" "$order" "$3""#,
    );
    let settings = PluginSettings::default();
    let problem = Plugin::load(&script.engine(), &slow().0, settings)
        .map(drop)
        .unwrap_err()
        .problem;
    assert!(
        matches!(problem, PluginProblem::TooSlow { .. }),
        "{problem:?}"
    );
}

#[test]
fn a_compiler_without_enough_memory_ends_alone_and_the_limit_is_named() {
    let engine = Arc::new(PluginEngine::with_cache(compiler(), None).unwrap());
    let limits = Limits {
        compile_memory: 96 << 20,
        ..Limits::default()
    };
    let settings = PluginSettings {
        limits,
        ..PluginSettings::default()
    };
    let problem = Plugin::load(&engine, &slow().0, settings)
        .map(drop)
        .unwrap_err()
        .problem;
    // Where it ends depends on how large the program is.
    match problem {
        PluginProblem::Crashed { memory, .. } => assert_eq!(memory, 96 << 20),
        PluginProblem::Threads(_) | PluginProblem::Compile(_) => {}
        other => panic!("{other:?}"),
    }
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

/// Whether the process is there, and not only waits for its parent to hear of its end.
fn is_alive(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn a_compiler_ends_with_its_host_and_does_not_hear_what_is_for_the_host() {
    let (cache, file) = (tempfile::tempdir().unwrap(), slow());
    let mut host = Host::start(&[Path::new("check"), &file.0], cache.path());
    let process = host.compiler();
    // It may not be deaf yet when it is first seen; once it is, it has used the processor.
    wait_until("it does not begin", || {
        has_worked(process) || !is_alive(process)
    });
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    assert!(
        environment.is_empty(),
        "{}",
        String::from_utf8_lossy(&environment)
    );
    let pid = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    assert!(
        is_alive(process)
            || host
                .0
                .try_wait()
                .unwrap()
                .is_none_or(|status| status.success())
    );
    host.0.kill().unwrap();
    wait_until("it outlives its host", || !is_alive(process));
}

fn has_worked(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let ticks = status
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(11)?.parse::<u64>().ok());
    ticks.is_some_and(|ticks| ticks > 5)
}

/// Of several plugins those that were compiled are not compiled again.
#[test]
fn a_start_that_is_interrupted_keeps_what_was_compiled() {
    let (directory, file) = (tempfile::tempdir().unwrap(), slow());
    let config = directory.path().join("soloist.toml");
    let tasks = [("quick", guest("hello")), ("slow", file.0.clone())];
    let tasks = tasks.map(|(name, plugin)| {
        format!(
            "[[task]]\nname = \"{name}\"\nplugin = \"{}\"\n",
            plugin.display()
        )
    });
    fs::write(
        &config,
        format!(
            "zookeeper = {{ servers = \"127.0.0.1:1\" }}\n{}",
            tasks.concat()
        ),
    )
    .unwrap();
    let mut host = Host::start(&[Path::new("run"), &config], directory.path());
    let kept = || notes(directory.path()).len() == 1;
    wait_until("the first is not kept", kept);
    let process = host.compiler();
    let pid = rustix::process::Pid::from_child(&host.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut ended = None;
    wait_until("it does not end", || {
        ended = host.0.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    wait_until("the compiler outlives its host", || !is_alive(process));
    assert!(kept());
}

fn notes(cache: &Path) -> Vec<PathBuf> {
    let kept = fs::read_dir(cache.join("soloist/kept"))
        .into_iter()
        .flatten()
        .flatten();
    kept.map(|entry| entry.path())
        .filter(|path| path.extension().is_none())
        .collect()
}
