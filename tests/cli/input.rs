//! What cannot be right is refused before anything begins: exit code 2, and a message that says what is wrong, where,
//! and what would be right.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use soloist_tests::ports::Port;
use soloist_tests::{build, host};
use tempfile::TempDir;

const GOOD: &str = r#"(module (func (export "on_elected")) (func (export "on_demoted")))"#;

/// Runs `soloist` to its end. Should it accept what is bad, it ends all the same: there is no ensemble.
fn soloist(args: &[&str]) -> Result<Output> {
    soloist_with(&[], args)
}

/// Runs `soloist` with variables of the environment.
fn soloist_with(variables: &[(&str, &str)], args: &[&str]) -> Result<Output> {
    let nobody = Port::reserve()?;
    let mut command = Command::new(&build::artifacts()?.soloist);
    host::clear_settings(&mut command);
    command
        .env("SOLOIST_CONNECT_TIMEOUT", "1s")
        .env("SOLOIST_ZOOKEEPER", nobody.address().to_string());
    command
        .env("XDG_CACHE_HOME", build::target()?.join("cache"))
        .envs(variables.iter().copied());
    command.args(args).stdin(Stdio::null());
    Ok(command.output()?)
}

/// Expects exit code 2 and all of `words` in the message.
fn refused(args: &[&str], words: &[&str]) -> Result<()> {
    refused_with(&[], args, words)
}

/// Expects exit code 2 and all of `words` in the message, with variables of the environment.
fn refused_with(variables: &[(&str, &str)], args: &[&str], words: &[&str]) -> Result<()> {
    let output = soloist_with(variables, args)?;
    let message = String::from_utf8(output.stderr).context("the message is not text")?;
    ensure!(
        output.status.code() == Some(2),
        "{args:?}: {}: {message}",
        output.status
    );
    for word in words {
        ensure!(
            message.contains(word),
            "{args:?}: {word:?} is not in the message: {message}"
        );
    }
    ensure!(
        !message.contains('\u{1b}') && !message.contains("panicked"),
        "{args:?}: {message}"
    );
    Ok(())
}

/// A directory with one file.
struct Input {
    _directory: TempDir,
    path: PathBuf,
}

impl Input {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Result<Self> {
        let directory = TempDir::new()?;
        let path = directory.path().join(name);
        std::fs::write(&path, content)?;
        std::fs::write(directory.path().join("good.wat"), GOOD)?;
        Ok(Self {
            _directory: directory,
            path,
        })
    }

    fn path(&self) -> &str {
        self.path
            .to_str()
            .expect("temporary directories have plain names")
    }

    /// Both commands refuse it alike.
    fn refused(&self, words: &[&str]) -> Result<()> {
        refused(&["check", self.path()], words)?;
        refused(&["run", self.path()], words)
    }
}

/// What others can read, and a plugin that could open files and has none, are told of, and nothing else is.
#[test]
fn what_deserves_a_word_is_said_before_anything_begins() -> Result<()> {
    let directory = TempDir::new()?;
    let path = |name: &str| directory.path().join(name);
    for name in ["identity", "secret"] {
        fs::write(path(name), "digest:a:b")?;
    }
    fs::write(path("good.wat"), GOOD)?;
    let secret = format!("--secret=KEY={}", path("secret").display());
    let identity = format!("--auth-file={}", path("identity").display());
    let told = |plugin: &Path| {
        let output = soloist(&[
            "check",
            &plugin.to_string_lossy(),
            &secret,
            &identity,
            "--acl=creator",
            "--allow-tcp=",
            "--allow-state",
        ])?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stderr)?)
    };
    let opened = |right| -> Result<()> {
        for place in [directory.path(), &path("identity"), &path("secret")] {
            fs::set_permissions(place, Permissions::from_mode(right))?;
        }
        Ok(())
    };
    opened(0o700)?;
    let warnings = told(&path("good.wat"))?;
    ensure!(
        !warnings.contains("every user") && !warnings.contains("open files"),
        "{warnings}"
    );
    opened(0o755)?;
    let warnings = told(&path("good.wat"))?;
    for what in [
        "the identity: every user",
        "task good: the secret KEY: every user",
        "chmod o-r",
    ] {
        ensure!(
            warnings.contains(what),
            "{what:?} is missing in: {warnings}"
        );
    }
    opened(0o700)?;
    let warnings = told(&build::artifacts()?.guest("misbehave"))?;
    ensure!(
        warnings.contains("it can open files") && !warnings.contains("every user"),
        "{warnings}"
    );
    Ok(())
}

/// A plugin file with this content is refused.
fn plugin(content: impl AsRef<[u8]>, words: &[&str]) -> Result<()> {
    let name = if content.as_ref().starts_with(b"(") {
        "plugin.wat"
    } else {
        "plugin.wasm"
    };
    Input::new(name, content)?.refused(&[&["plugin.wa"], words].concat())
}

/// A configuration with this content is refused.
fn configuration(content: &str, words: &[&str]) -> Result<()> {
    Input::new("soloist.toml", content)?.refused(&[&["soloist.toml"], words].concat())
}

/// A configuration with a task of this name is refused.
fn task_name(name: &str, words: &[&str]) -> Result<()> {
    let text = format!("[[task]]\nname = {name:?}\nplugin = \"good.wat\"\n");
    configuration(&text, &[&["soloist.toml:2:"], words].concat())?;
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["run", good.path(), "--task", name],
        &[&["--task"], words].concat(),
    )
}

/// A good plugin and a good configuration pass `soloist check` without any ZooKeeper.
#[test]
fn what_is_good_is_accepted() -> Result<()> {
    let input = Input::new(
        "soloist.toml",
        "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\n",
    )?;
    for path in [
        input.path(),
        input
            .path
            .with_file_name("good.wat")
            .to_str()
            .context("not text")?,
    ] {
        let output = soloist(&["check", path])?;
        ensure!(
            output.status.success(),
            "{path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// A plugin that is not there.
#[test]
fn a_plugin_that_does_not_exist() -> Result<()> {
    let input = Input::new("other", "")?;
    let path = input.path.with_file_name("nowhere.wasm");
    refused(
        &["run", path.to_str().context("not text")?],
        &["nowhere.wasm"],
    )
}

/// A configuration that is not there.
#[test]
fn a_configuration_that_does_not_exist() -> Result<()> {
    refused(
        &["run", "/nowhere/soloist.toml"],
        &["/nowhere/soloist.toml"],
    )
}

/// A configuration in JSON is checked as one in TOML is, by every command, and a name that is neither's says what is.
#[test]
fn a_configuration_in_json() -> Result<()> {
    let good = r#"{"task": [{"name": "t", "plugin": "good.wat"}]}"#;
    let input = Input::new("soloist.json", good)?;
    let output = soloist(&["check", input.path()])?;
    ensure!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("task t"),
        "{output:?}"
    );
    let misspelt = good.replace("plugin", "pluginn");
    let misspelt = Input::new("soloist.json", misspelt)?;
    misspelt.refused(&["soloist.json:1:25: task.pluginn: unknown field"])?;
    let zookeeper = Input::new("soloist.json", r#"{"zookeeper": {"root": "a"}}"#)?;
    refused(
        &["status", "--config-file", zookeeper.path()],
        &["soloist.json:1:24: zookeeper.root", "begin with a slash"],
    )?;
    Input::new("soloist.yaml", "task:\n")?.refused(&["soloist.yaml", "NAME.toml or NAME.json"])
}

/// A directory in place of a plugin.
#[test]
fn a_plugin_that_is_a_directory() -> Result<()> {
    let input = Input::new("other", "")?;
    let directory = input
        .path
        .parent()
        .and_then(|path| path.to_str())
        .context("not text")?;
    refused(&["run", directory], &[directory])
}

/// A pipe in place of a configuration is not waited for.
#[test]
fn a_configuration_that_is_a_pipe() -> Result<()> {
    let input = Input::new("other", "")?;
    let pipe = input.path.with_file_name("pipe.toml");
    ensure!(
        Command::new("mkfifo").arg(&pipe).status()?.success(),
        "no pipe"
    );
    let pipe = pipe.to_str().context("not text")?;
    refused(&["run", pipe], &["pipe.toml", "is not a file"])?;
    refused(&["check", pipe], &["pipe.toml", "is not a file"])?;
    refused(
        &["status", "--config-file", pipe],
        &["pipe.toml", "is not a file"],
    )
}

/// A plugin that is not the one it is pinned to, by a flag and in a file: both digests are shown, and `check` prints the one
/// to write.
#[test]
fn a_plugin_with_another_sha256() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    let output = soloist(&["check", good.path()])?;
    let summary = String::from_utf8(output.stdout)?;
    let sha256 = summary
        .lines()
        .find_map(|line| line.trim().strip_prefix("sha256"))
        .context("no sha256")?
        .trim();
    let pinned = soloist(&["check", good.path(), "--sha256", sha256])?;
    ensure!(
        pinned.status.success(),
        "{}",
        String::from_utf8_lossy(&pinned.stderr)
    );
    let other = "0".repeat(64);
    for command in ["check", "run"] {
        refused(
            &[command, good.path(), "--sha256", &other],
            &["good.wat", sha256, &other],
        )?;
    }
    let task = format!("[[task]]\nname = \"t\"\nplugin = \"good.wat\"\nsha256 = \"{other}\"\n");
    Input::new("soloist.toml", task)?.refused(&["task t", "good.wat", sha256, &other])?;
    refused(
        &["run", good.path(), "--sha256", "abc"],
        &["--sha256", "abc", "64 hexadecimal digits"],
    )
}

/// What a stranger wrote into a plugin's file is quoted, but drives no terminal and does not flood it.
#[test]
fn a_plugin_whose_names_are_hostile() -> Result<()> {
    let name = format!("\\1b[2J{}", "x".repeat(50_000));
    let imports = format!(
        r#"(module (import "e" "{name}" (func)) (func (export "on_elected")) (func (export "on_demoted")))"#
    );
    let good = Input::new("plugin.wat", imports)?;
    let message = String::from_utf8(soloist(&["check", good.path()])?.stderr)?;
    ensure!(
        message.contains("\\u{1b}[2Jxxx") && !message.contains('\u{1b}') && message.len() < 5000,
        "{message}"
    );
    Ok(())
}

/// A file that is neither wasm nor its text form.
#[test]
fn a_plugin_that_is_not_wasm() -> Result<()> {
    plugin("#!/bin/sh\necho hello\n", &["WebAssembly"])
}

/// An empty file.
#[test]
fn a_plugin_that_is_empty() -> Result<()> {
    plugin("", &[])
}

/// A plugin that was only copied in part.
#[test]
fn a_plugin_that_is_cut_off() -> Result<()> {
    let whole = std::fs::read(build::artifacts()?.guest("hello"))?;
    plugin(&whole[..whole.len() / 2], &[])
}

/// Text that is no module: the place of the mistake is shown.
#[test]
fn a_plugin_whose_text_is_broken() -> Result<()> {
    plugin(
        "(module\n  (func (export \"on_elected\") (what)))",
        &["2:", "what"],
    )
}

/// A module without any export: the two that are missing are named.
#[test]
fn a_plugin_without_exports() -> Result<()> {
    plugin("(module)", &["on_elected"])?;
    plugin(r#"(module (func (export "on_elected")))"#, &["on_demoted"])
}

/// An export of the wrong type: it is named.
#[test]
fn a_plugin_with_an_export_of_the_wrong_type() -> Result<()> {
    let text = r#"(module (func (export "on_elected") (param f32)) (func (export "on_demoted")))"#;
    plugin(text, &["on_elected"])
}

/// Imports that nobody offers: they are named.
#[test]
fn a_plugin_with_unknown_imports() -> Result<()> {
    let text = r#"(module (import "env" "launch_missiles" (func)) (func (export "on_elected")) (func (export "on_demoted")))"#;
    plugin(text, &["env", "launch_missiles"])
}

/// TOML that cannot be parsed: file, line and column.
#[test]
fn a_configuration_that_is_not_toml() -> Result<()> {
    configuration("[zookeeper]\nservers = \"a:1\n", &["soloist.toml:2:"])
}

/// A key nobody knows: file, line and the key.
#[test]
fn a_configuration_with_an_unknown_key() -> Result<()> {
    configuration(
        "[zookeeper]\n\nsesion_timeout = \"10s\"\n",
        &["soloist.toml:3:", "sesion_timeout"],
    )?;
    let task = "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\npluginn = \"x\"\n";
    configuration(task, &["soloist.toml:4:", "pluginn"])
}

/// A value of the wrong type: file, line and the key.
#[test]
fn a_configuration_with_a_value_of_the_wrong_type() -> Result<()> {
    configuration(
        "[[task]]\nname = 7\nplugin = \"good.wat\"\n",
        &["soloist.toml:2:"],
    )
}

/// One table where there is a list of them: what to write is shown.
#[test]
fn a_task_in_single_brackets() -> Result<()> {
    configuration(
        "[task]\nname = \"t\"\nplugin = \"good.wat\"\n",
        &["soloist.toml:1:1: task: ", "[[task]]"],
    )
}

/// No task at all.
#[test]
fn a_configuration_without_a_task() -> Result<()> {
    configuration("[zookeeper]\nservers = \"a:1\"\n", &["task"])
}

/// A task whose plugin is not there: the task and the file.
#[test]
fn a_task_whose_plugin_does_not_exist() -> Result<()> {
    Input::new(
        "soloist.toml",
        "[[task]]\nname = \"t\"\nplugin = \"nowhere.wasm\"\n",
    )?
    .refused(&["nowhere.wasm"])
}

/// Durations that are none, in a file and as a flag; the unit is asked for.
#[test]
fn bad_durations() -> Result<()> {
    let task = "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\n";
    for bad in ["10", "ten seconds", "-1s", ""] {
        let text = format!("[zookeeper]\nsession_timeout = \"{bad}\"\n{task}");
        configuration(&text, &["soloist.toml:2:", "session_timeout", "duration"])?;
    }
    let good = Input::new("good.wat", GOOD)?;
    for flag in [
        "--session-timeout",
        "--tick-time",
        "--demote-timeout",
        "--connect-timeout",
    ] {
        refused(&["run", good.path(), flag, "soon"], &[flag, "soon"])?;
    }
    Ok(())
}

/// Times that leave a leader no time to act: the arithmetic is shown.
#[test]
fn a_session_timeout_without_room_for_a_lease() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["run", good.path(), "--session-timeout", "2s"],
        &["session timeout", "2s", "demote"],
    )
}

/// A task name with a slash in it.
#[test]
fn a_task_name_with_a_slash() -> Result<()> {
    task_name("a/b", &["slash"])
}

/// Task names of dots only, which ZooKeeper refuses.
#[test]
fn a_task_name_of_dots() -> Result<()> {
    task_name(".", &[])?;
    task_name("..", &[])
}

/// An empty task name.
#[test]
fn a_task_name_that_is_empty() -> Result<()> {
    task_name("", &[])
}

/// A task name longer than anybody needs.
#[test]
fn a_task_name_that_is_too_long() -> Result<()> {
    task_name(&"x".repeat(129), &["128"])
}

/// Two tasks of one name: the second is pointed at.
#[test]
fn a_task_name_given_twice() -> Result<()> {
    let task = "[[task]]\nname = \"twin\"\nplugin = \"good.wat\"\n";
    configuration(&[task, task].concat(), &["soloist.toml:5:", "twin"])
}

/// Connect strings that cannot be parsed.
#[test]
fn bad_connect_strings() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    for bad in [
        "",
        "host:port",
        "host:0",
        "host:99999",
        "a:1,,b:1",
        "a:1/chroot,b:1",
        "a:1/chroot/",
    ] {
        refused(&["run", good.path(), "--zookeeper", bad], &["--zookeeper"])?;
    }
    Ok(())
}

/// Entries of a plugin's configuration that are none.
#[test]
fn a_plugin_setting_without_a_value() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["run", good.path(), "--config", "interval"],
        &["--config", "KEY=VALUE"],
    )
}

/// Flags of a single task beside a file that describes the tasks.
#[test]
fn a_task_flag_beside_a_configuration() -> Result<()> {
    let input = Input::new(
        "soloist.toml",
        "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\n",
    )?;
    refused(
        &["run", input.path(), "--task", "other"],
        &["--task", "soloist.toml"],
    )
}

/// A variable of the environment is named as the place of its bad value.
#[test]
fn a_bad_variable() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    for (variable, bad) in [
        ("SOLOIST_SESSION_TIMEOUT", "later"),
        ("SOLOIST_ALLOW_STATE", "maybe"),
        ("SOLOIST_IDENTIFY", ""),
    ] {
        refused_with(
            &[(variable, bad)],
            &["check", good.path()],
            &[&format!("error: {variable}: \"{bad}\"")],
        )?;
    }
    for (variable, bad) in [
        ("SOLOIST_LOG_LEVEL", "loud"),
        ("SOLOIST_LOG_FORMAT", "xml"),
        ("SOLOIST_ONCE", "twice"),
    ] {
        refused_with(
            &[(variable, bad)],
            &["run", good.path()],
            &[&format!("error: {variable}: \"{bad}\"")],
        )?;
    }
    Ok(())
}

/// The same options as flags are named as such.
#[test]
fn bad_words() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    let flags = [
        ("--log-level", "loud"),
        ("--log-format", "xml"),
        ("--identify", "maybe"),
        ("--on-complete", "stop"),
    ];
    for (flag, bad) in flags {
        refused(
            &["run", good.path(), flag, bad],
            &[&format!("error: {flag}: \"{bad}\"")],
        )?;
    }
    refused(
        &["run", good.path(), "--allow-state=maybe"],
        &["error: --allow-state: \"maybe\""],
    )?;
    refused(
        &["run", good.path(), "--once=maybe"],
        &["error: --once: \"maybe\""],
    )
}

/// What is on or off can be said in the usual words, in a variable and in a flag.
#[test]
fn what_is_on_or_off() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    let allows = |variables: &[(&str, &str)], flags: &[&str]| {
        let output = soloist_with(variables, &[&["check", good.path()], flags].concat())?;
        ensure!(
            output.status.success(),
            "{variables:?} {flags:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.contains("its state"))
    };
    for on in ["true", "yes", "ON", "1"] {
        ensure!(allows(&[("SOLOIST_ALLOW_STATE", on)], &[])?, "{on}");
    }
    for off in ["false", "no", "Off", "0"] {
        ensure!(!allows(&[("SOLOIST_ALLOW_STATE", off)], &[])?, "{off}");
    }
    ensure!(
        allows(&[("SOLOIST_ALLOW_STATE", "no")], &["--allow-state"])?,
        "a flag is preferred"
    );
    ensure!(!allows(&[], &["--allow-state=off"])?, "--allow-state=off");
    Ok(())
}

/// A directory that the plugin would see at a place that is none.
#[test]
fn a_directory_without_a_slash() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["check", good.path(), "--allow-dir", "/etc:data"],
        &["--allow-dir", "AS begins with a slash"],
    )
}

/// A directory in one that another task may write to, or that a link there leads to; two tasks can share one.
#[test]
fn a_directory_that_another_task_decides_about() -> Result<()> {
    let place = TempDir::new()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    for name in ["n/sub", "target"] {
        fs::create_dir_all(path(name))?;
    }
    std::os::unix::fs::symlink("../target", path("n/link"))?;
    let tasks = |inner: &str| {
        let task = |name, more: &str| {
            format!(
                "[[task]]\nname = {name:?}\nplugin = \"good.wat\"\nallow.dirs = [{{ {more} }}]\n"
            )
        };
        let (inner, outer) = (
            format!("host = {:?}, guest = \"/s\"", path(inner)),
            format!("host = {:?}, guest = \"/n\"", path("n")),
        );
        [
            task("inner", &inner),
            task("outer", &format!("{outer}, mode = \"write\"")),
        ]
        .concat()
    };
    for inner in ["n/sub", "n/link"] {
        let named = format!("{} leads through {},", path(inner), path("n"));
        Input::new("soloist.toml", tasks(inner))?.refused(&["task inner", &named])?;
    }
    let shared = Input::new("soloist.toml", tasks("n"))?;
    let output = soloist(&["check", shared.path()])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A directory to write that holds what the host reads: a secret, the identity, a plugin, also by way of a link.
#[test]
fn a_directory_with_what_the_host_reads() -> Result<()> {
    let place = TempDir::new()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    for name in ["secret", "identity", "plugin", "link", "data"] {
        fs::create_dir(path(name))?;
        fs::write(path(&format!("{name}/file.wat")), GOOD)?;
    }
    fs::write(path("identity/file.wat"), "digest:a:b")?;
    std::os::unix::fs::symlink("../secret/file.wat", path("link/file"))?;
    let secret = format!("--secret=KEY={}", path("link/file"));
    let identity = format!("--auth-file={}", path("identity/file.wat"));
    let plugin = path("plugin/file.wat");
    let args = |directory: &str| {
        let allow = format!("--allow-dir={}:/data:write", path(directory));
        [secret.clone(), identity.clone(), allow]
    };
    for directory in ["secret", "identity", "plugin", "link"] {
        let args = args(directory);
        let [secret, identity, allow] = args.each_ref().map(String::as_str);
        let words = [&*path(directory), "this host reads"];
        refused(
            &["check", &plugin, "--acl=creator", secret, identity, allow],
            &words,
        )?;
    }
    let [secret, identity, allow] = args("data");
    let output = soloist(&[
        "check",
        &plugin,
        "--acl=creator",
        &secret,
        &identity,
        &allow,
    ])?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{message}");
    Ok(())
}

/// A directory whose path leads elsewhere: `check` says where, and warns if other users decide that.
#[test]
fn a_directory_by_way_of_a_link() -> Result<()> {
    let place = TempDir::new()?;
    let place = fs::canonicalize(place.path())?;
    let path = |name: &str| place.join(name).display().to_string();
    fs::create_dir_all(path("real/data"))?;
    std::os::unix::fs::symlink("real", path("link"))?;
    let good = Input::new("good.wat", GOOD)?;
    let check = |name: &str| -> Result<(String, String)> {
        let allow = format!("--allow-dir={}:/data", path(name));
        let output = soloist(&["check", good.path(), &allow])?;
        let [said, warned] = [output.stdout, output.stderr].map(String::from_utf8);
        Ok((said?, warned?))
    };
    let (said, warned) = check("link/data")?;
    ensure!(
        said.contains(&format!("(leads to {})", path("real/data"))),
        "{said}"
    );
    ensure!(!warned.contains("other users"), "{warned}");
    let (said, _) = check("real/data")?;
    ensure!(!said.contains("leads to"), "{said}");
    fs::set_permissions(path("real"), Permissions::from_mode(0o777))?;
    let (_, warned) = check("link/data")?;
    let expected = format!(
        "other users of this machine decide where the path of the granted directory {}",
        path("link/data")
    );
    ensure!(warned.contains(&expected), "{warned}");
    Ok(())
}

/// A file whose name cannot be that of a task: the flag that names the task is shown.
#[test]
fn a_plugin_whose_name_is_no_name() -> Result<()> {
    refused(&["check", "."], &["PLUGIN", "only dots", "--task"])
}

/// Usage nobody can make sense of.
#[test]
fn bad_usage() -> Result<()> {
    refused(&[], &["Usage"])?;
    refused(&["run"], &["PLUGIN"])?;
    refused(&["run", "x.wasm", "--no-such-flag"], &["--no-such-flag"])?;
    refused(&["lead"], &["lead"])
}

/// `--help` names every flag with its variable, and the exit codes.
#[test]
fn the_help_is_complete() -> Result<()> {
    let output = soloist(&["run", "--help"])?;
    let help = String::from_utf8(output.stdout)?;
    ensure!(output.status.success());
    for name in [
        "zookeeper",
        "session-timeout",
        "tick-time",
        "host-id",
        "log-format",
        "log-level",
        "path",
        "task",
    ] {
        let variable = format!("SOLOIST_{}", name.replace('-', "_").to_uppercase());
        ensure!(
            help.contains(&format!("--{name}")) && help.contains(&variable),
            "{name} is missing in: {help}"
        );
    }
    let output = soloist(&["--help"])?;
    ensure!(String::from_utf8(output.stdout)?.contains("Exit codes"));
    Ok(())
}
