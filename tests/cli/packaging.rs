//! What `host/operation` has to install a host with: systemd's unit, the package, and the manifests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use soloist_config::{Config, Given};
use soloist_tests::build;
use soloist_tests::tools::{or_skipped, python};

/// The most that `systemd-analyze security` may find, of 10.
const EXPOSURE_MAX: f64 = 1.5;

fn operation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/operation")
}

fn unit() -> PathBuf {
    operation().join("systemd/soloist.service")
}

/// Runs a program, and gives what it says.
fn output(command: &mut Command) -> Result<(Output, String)> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    Ok((output, String::from_utf8_lossy(&said).into_owned()))
}

/// Runs a program that has to succeed.
fn said(command: &mut Command) -> Result<String> {
    let (output, said) = output(command)?;
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(said)
}

fn is_there(program: &str) -> Result<Option<()>> {
    let found = Command::new(program).arg("--version").output();
    or_skipped(found.map(drop).with_context(|| program.to_owned()), program)
}

#[test]
fn the_unit_leaves_little_to_a_host_that_is_broken_into() -> Result<()> {
    if is_there("systemd-analyze")?.is_none() {
        return Ok(());
    }
    let said = said(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(unit()),
    )?;
    let exposure = said
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for soloist.service: "))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .context("no figure")?;
    println!("exposure {exposure}");
    ensure!(exposure.parse::<f64>()? <= EXPOSURE_MAX, "{said}");
    let guide = fs::read_to_string(operation().join("../../OPERATING.md"))?;
    ensure!(
        guide.contains(&format!("rates it {exposure} of 10")),
        "OPERATING.md has another figure than {exposure}"
    );
    Ok(())
}

/// systemd's setting is a filter of system calls; the kernel's own, which is the same in this, can be set by everybody.
#[test]
fn plugins_cannot_be_loaded_where_no_memory_may_become_executable() -> Result<()> {
    let refuse = r"$n = `uname -m` =~ /aarch64/ ? 167 : 157; exit 77 if syscall($n, 65, 1, 0, 0, 0) != 0; exec @ARGV or exit 78";
    let artifacts = build::artifacts()?;
    let check = |restricted: bool| {
        let mut command = if restricted {
            let mut command = Command::new("perl");
            command.args(["-e", refuse]).arg(&artifacts.soloist);
            command
        } else {
            Command::new(&artifacts.soloist)
        };
        command.arg("check").arg(artifacts.guest("heartbeat"));
        output(&mut command)
    };
    // So that it is compiled already.
    let (allowed, told) = check(false)?;
    ensure!(allowed.status.success(), "{told}");
    let (refused, told) = check(true)?;
    if refused.status.code() == Some(77) {
        println!("SKIPPED: this kernel has no PR_SET_MDWE");
        return Ok(());
    }
    ensure!(!refused.status.success(), "it is not refused: {told}");
    let unit = fs::read_to_string(unit())?;
    ensure!(unit.contains("\nMemoryDenyWriteExecute=no\n"));
    Ok(())
}

/// A chroot that has all of this machine, and forgets what is written into it.
const INSTALL: &str = r#"
set -eu
exec 2>&1
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/merged"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/merged"
mount -t proc proc "$1/merged/proc"
mount --bind /dev "$1/merged/dev"
cp "$2" "$1/merged/soloist.deb"
root() { chroot "$1/merged" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive sh -euc "$2"; }
# The index of manuals takes long.
rm -f "$1/merged/var/lib/man-db/auto-update"
root "$1" '
    userdel soloist 2>/dev/null || true
    dpkg --install /soloist.deb
    getent passwd soloist
    stat --format="%U:%G %a" /etc/soloist
    soloist --version
    soloist run --help >/dev/null
    systemd-analyze verify /lib/systemd/system/soloist.service
    bash -c ". /usr/share/bash-completion/completions/soloist && complete -p soloist"
    zcat /usr/share/man/man1/soloist.1.gz | grep -q "^.TH"
    test -s /usr/share/zsh/vendor-completions/_soloist
    test -s /usr/share/fish/vendor_completions.d/soloist.fish
    dpkg --verify soloist
    mkdir -p /var/lib/soloist /var/cache/soloist
    cp /usr/share/doc/soloist/examples/soloist.toml /etc/soloist/mine.toml
    test -s /usr/share/doc/soloist/examples/every-key.toml
    # Again, as an upgrade is.
    dpkg --install /soloist.deb
    dpkg --remove soloist
    test ! -e /usr/bin/soloist
    test -e /var/lib/soloist
    dpkg --purge soloist
    test ! -e /var/lib/soloist
    test -e /etc/soloist/mine.toml
    rm -r /etc/soloist /soloist.deb
'
echo LEFT
cd "$1/upper"
find . -type f | grep -v -e '^./var/lib/dpkg/' -e '^./var/log/' -e '^./etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\|\.pwd\.lock\)-\?$' \
    -e '^./var/cache/man/' -e '^./run/' || true
"#;

#[test]
fn the_package_is_installed_and_removed_without_a_trace() -> Result<()> {
    if is_there("dpkg-deb")?.is_none() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can install a package");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    // What it is packed with makes no difference here, and takes long.
    let package = said(
        Command::new(operation().join("deb/build.sh"))
            .arg(&build::artifacts()?.soloist)
            .arg(directory.path())
            .env("COMPRESSION", "none"),
    )?;
    let package = package.trim();
    let root = directory.path().join("root");
    fs::create_dir(&root)?;
    let mut install = Command::new("unshare");
    install
        .args(["--mount", "sh", "-c", INSTALL, "sh"])
        .arg(&root)
        .arg(package);
    let told = said(&mut install)?;
    println!("{told}");
    for line in ["soloist:x:", "root:soloist 750", "soloist 0.1.0"] {
        ensure!(told.contains(line), "no {line:?}: {told}");
    }
    // `systemd-analyze verify` warns of what it does not like, and succeeds.
    ensure!(!told.contains("soloist.service:"), "{told}");
    let (_, left) = told.split_once("LEFT\n").context("no end")?;
    ensure!(left.trim().is_empty(), "it has left {left}");
    Ok(())
}

/// With the schemas that come with these tools: nothing is asked for over the network.
#[test]
fn the_manifests_are_what_kubernetes_and_compose_expect() -> Result<()> {
    let packages = ["kubernetes-validate==1.37.0", "check-jsonschema==0.39.0"];
    let Some(tools) = python("manifests", &packages)? else {
        return Ok(());
    };
    for version in ["1.30", "1.37"] {
        said(
            Command::new(tools.join("kubernetes-validate"))
                .args(["--strict", "--kubernetes-version", version])
                .arg(operation().join("kubernetes/soloist.yaml")),
        )?;
    }
    said(
        Command::new(tools.join("check-jsonschema"))
            .args(["--builtin-schema", "vendor.compose-spec"])
            .arg(operation().join("compose/compose.yaml")),
    )?;
    Ok(())
}

#[test]
fn the_manifests_name_the_image_that_is_built() -> Result<()> {
    let image = concat!("image: localhost/soloist:", env!("CARGO_PKG_VERSION"));
    for file in ["kubernetes/soloist.yaml", "compose/compose.yaml"] {
        let text = fs::read_to_string(operation().join(file))?;
        ensure!(text.lines().any(|line| line.trim() == image), "{file}");
    }
    let top = operation().join("../..");
    let plan = said(
        Command::new("make")
            .args(["--dry-run", "package"])
            .current_dir(&top),
    )?;
    let built = concat!(" localhost/soloist:", env!("CARGO_PKG_VERSION"), " ");
    ensure!(plan.contains(built), "{plan}");
    Ok(())
}

#[test]
fn the_plugin_of_compose_lies_there_and_loads() -> Result<()> {
    let folder = operation().join("compose/etc");
    let config = Config::load(&folder.join("soloist.toml"), Given::default())?;
    ensure!(config.tasks.len() == 1);
    let soloist = &build::artifacts()?.soloist;
    said(
        Command::new(soloist)
            .arg("check")
            .arg(folder.join("soloist.toml")),
    )?;
    Ok(())
}

/// But for files that are only there where it runs.
#[test]
fn the_configurations_of_the_manifests_are_valid() -> Result<()> {
    let manifest = fs::read_to_string(operation().join("kubernetes/soloist.yaml"))?;
    let (_, rest) = manifest
        .split_once("  soloist.toml: |\n")
        .context("no configuration")?;
    let (indented, _) = rest.split_once("\n---").context("no end")?;
    let kubernetes: Vec<_> = indented.lines().map(str::trim_start).collect();
    let compose = fs::read_to_string(operation().join("compose/etc/soloist.toml"))?;
    let systemd = fs::read_to_string(operation().join("systemd/soloist.toml"))?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("soloist.toml");
    for text in [kubernetes.join("\n"), compose, systemd] {
        let needs_files = |line: &&str| line.contains("_file =") || line.starts_with("acl =");
        let rest = text.lines().filter(|line| !needs_files(line));
        let mut lines: Vec<_> = rest.collect();
        if !text.contains("listen_open") {
            lines.insert(0, "listen_open = true");
        }
        fs::write(&file, lines.join("\n"))?;
        let config = Config::load(&file, Given::default())?;
        ensure!(config.tasks.len() == 1 && config.listen.is_some(), "{text}");
    }
    Ok(())
}

/// What stops a host, and how long it may take, is said in three places.
#[test]
fn a_host_has_the_time_to_hand_over_wherever_it_runs() -> Result<()> {
    for (file, line) in [
        ("systemd/soloist.service", "TimeoutStopSec=90s"),
        (
            "kubernetes/soloist.yaml",
            "terminationGracePeriodSeconds: 95",
        ),
        ("compose/compose.yaml", "stop_grace_period: 90s"),
    ] {
        let text = fs::read_to_string(operation().join(file))?;
        ensure!(text.lines().any(|it| it.trim() == line), "{file}: {line}");
    }
    Ok(())
}
