//! Where this machine has Java and ZooKeeper.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The Java machine: the one of `JAVA_HOME`, or else the first one in `PATH`.
pub(super) fn java() -> PathBuf {
    match std::env::var_os("JAVA_HOME") {
        Some(home) => Path::new(&home).join("bin/java"),
        None => PathBuf::from("java"),
    }
}

/// Where ZooKeeper is installed: `ZOOKEEPER_HOME` as unpacked from the project's archive, or Debian's package.
pub(super) fn class_path() -> Result<String> {
    if let Some(home) = std::env::var_os("ZOOKEEPER_HOME") {
        let home = PathBuf::from(home);
        ensure!(
            home.join("lib").is_dir(),
            "no ZooKeeper at ZOOKEEPER_HOME: {} has no lib directory",
            home.display()
        );
        // `conf` holds the logging configuration.
        let parts = [home.join("conf"), home.join("lib/*"), home.join("*")];
        return Ok(parts.map(|part| part.display().to_string()).join(":"));
    }
    let debian = Path::new("/usr/share/java");
    ensure!(
        debian.join("zookeeper.jar").is_file(),
        "no ZooKeeper on this machine: install the package `libzookeeper-java` (Debian, Ubuntu), or unpack a release \
         from zookeeper.apache.org and set ZOOKEEPER_HOME to where it is"
    );
    // The archive names what it needs, but for what TLS takes; and the logging is a matter of choice.
    let jars = [
        "zookeeper.jar",
        "slf4j-simple.jar",
        "netty-codec.jar",
        "netty-resolver.jar",
        "netty-transport-native-unix-common.jar",
    ];
    Ok(jars
        .map(|jar| debian.join(jar).display().to_string())
        .join(":"))
}
