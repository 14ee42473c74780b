//! Each way in which a value can be bad, with what to write instead.

use std::path::PathBuf;
use std::time::Duration;

use soloist_core::placement::BadLabel;
use soloist_core::text::printable_path;

use super::Excerpt;

/// What is wrong with a value, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum BadValue {
    /// Not a duration.
    #[error(
        "{text} is not a duration ({source}): write a number and its unit, like \"500ms\", \"10s\" or \"1m 30s\""
    )]
    Duration {
        /// What was written.
        text: Excerpt,
        /// What the parser says.
        source: humantime::DurationError,
    },
    /// A number where a duration is meant.
    #[error(
        "{number} has no unit: write a duration as text, like \"{number}s\" if seconds are meant"
    )]
    DurationWithoutUnit {
        /// What was written.
        number: u64,
    },
    /// A duration of no use.
    #[error("{text} is out of range: write a duration from 1ms to 1day")]
    DurationRange {
        /// What was written.
        text: Excerpt,
    },
    /// Not a name.
    #[error(
        "{text} cannot be a name: it {rule}; \
         a name has 1 to 128 bytes, no slash, no control character, no space at either end"
    )]
    Name {
        /// What was written.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not a digest.
    #[error(
        "{text} is not a SHA-256: write its 64 hexadecimal digits, as `soloist check` and `sha256sum` print them"
    )]
    Digest {
        /// What was written.
        text: Excerpt,
    },
    /// Not a label.
    #[error("{text} is not a label: {source}")]
    Label {
        /// What was written.
        text: Excerpt,
        /// What a label is.
        source: BadLabel,
    },
    /// Not the path of a node.
    #[error("{text} is not the path of a node: it {rule}; write it like \"/soloist/report\"")]
    Path {
        /// What was written.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not a list of servers.
    #[error(
        "{text} is not a server: it {rule}; write servers like \"zk1:2181,zk2:2181\", IPv6 like \"[::1]:2181\", \
         and a chroot once, at the end, like \"zk1,zk2/apps\""
    )]
    Server {
        /// The part that is wrong.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not an identity. The text is kept out of the message: it is a secret.
    #[error("not an identity: {rule}; write SCHEME:CREDENTIAL, like \"digest:user:password\"")]
    Auth {
        /// The rule it breaks.
        rule: &'static str,
    },
    /// An identity is kept in a file that cannot be read.
    #[error("{} cannot be read: {source}", printable_path(path))]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not a user and its password. The text is kept out of the message: it is a secret.
    #[error(
        "does not hold a user and its password: {rule}; write USER:PASSWORD, like \"soloist:secret\""
    )]
    Sasl {
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not where to listen.
    #[error(
        "{text} is not an address to listen at: write an IP address and a port, like \"127.0.0.1:9464\""
    )]
    ListenAddress {
        /// What was written.
        text: Excerpt,
    },
    /// Other machines could ask without a token.
    #[error(
        "{text} can be reached from other machines, and nothing says who may ask there: set `listen_token_file` or \
         `listen_client_ca`, or listen_open = true if everybody may who can reach it, or listen at 127.0.0.1"
    )]
    ListenOpen {
        /// What was written.
        text: Excerpt,
    },
    /// Not where a collector of traces is. The text is kept out of the message: it may have a password or a token in it.
    #[error("{source}")]
    Collector {
        /// The rule it breaks.
        source: soloist_core::spans::CollectorError,
    },
    /// Not a token. The text is kept out of the message: it is a secret.
    #[error(
        "does not hold a token: write 16 to 512 letters, digits or other visible characters of ASCII into it"
    )]
    Token,
    /// The token for orders is the one for reading.
    #[error(
        "holds the token that `listen_token_file` holds: whoever may read could give orders; write another one into it"
    )]
    SameToken,
    /// A token is kept in a file that cannot be read.
    #[error("{} cannot be read: {source}", printable_path(path))]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not an entry of an access control list.
    #[error(
        "{text} {rule}; write \"world\", \"creator\", \"creator-world-read\" or entries SCHEME:ID:PERMISSIONS \
         like \"world:anyone:r\" (permissions out of c, d, r, w, a)"
    )]
    Acl {
        /// The entry.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not one of the possible words.
    #[error("{text} is not possible here: write {choices}")]
    Choice {
        /// What was written.
        text: Excerpt,
        /// The words that are possible.
        choices: &'static str,
    },
    /// A key without which nothing goes.
    #[error("is missing: {remedy}")]
    Missing {
        /// What to write.
        remedy: &'static str,
    },
    /// A number outside its bounds.
    #[error("{found} {what} are too many: write {max} at most")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        max: usize,
    },
    /// Several tasks where one is deployed.
    #[error("is one of {found} tasks, and each is deployed by itself: give it a file of its own")]
    TasksToDeploy {
        /// How many there are.
        found: usize,
    },
    /// Two tasks of one name.
    #[error("{text} is the name of another task already: give each task a name of its own")]
    NameTwice {
        /// The name.
        text: Excerpt,
    },
    /// A master node where other nodes are kept.
    #[error(
        "{text} meets {other}, and the master node has no children: choose a node apart from it"
    )]
    PathTaken {
        /// The path.
        text: Excerpt,
        /// What is there already.
        other: String,
    },
    /// An access control list that refers to an identity when there is none.
    #[error(
        "{text} refers to the identity of this host, which has none: set `auth`, `auth_file` or SOLOIST_ZOOKEEPER_AUTH, or `tls.certificate` with its key, or `sasl_file`"
    )]
    AclWithoutAuth {
        /// The access control list.
        text: Excerpt,
    },
    /// Not the name of a variable.
    #[error(
        "{text} cannot be the name of a variable: write letters, digits and _, 128 at most and no digit first"
    )]
    Variable {
        /// What was written.
        text: Excerpt,
    },
    /// Not the name of a variable, where a secret may have been written instead. The text is kept out of the message.
    #[error(
        "not the name of a variable (which is not shown, since it may be the secret itself): write letters, digits and _, \
         128 at most and no digit first, and keep the secret in that variable of the host, or in a file"
    )]
    SecretName,
    /// Two variables of one name.
    #[error("{text} is a variable of the plugin already: give each one a name of its own")]
    VariableTwice {
        /// The name.
        text: Excerpt,
    },
    /// Not what can be reached on a network.
    #[error("{text} is not {what}: it {source}")]
    Network {
        /// What was written.
        text: Excerpt,
        /// What it should be.
        what: &'static str,
        /// The rule it breaks.
        source: soloist_core::grants::PolicyError,
    },
    /// Not a number of bytes.
    #[error(
        "{text} is not a number of bytes: write a number and its unit, like \"512KiB\", \"64MiB\" or \"1GiB\""
    )]
    Size {
        /// What was written.
        text: Excerpt,
    },
    /// Not a number.
    #[error("{text} is not a number: write digits alone")]
    Number {
        /// What was written.
        text: Excerpt,
    },
    /// A number out of range.
    #[error("{text} is out of range: write {min} to {max}")]
    Range {
        /// What was written.
        text: Excerpt,
        /// The least that is possible.
        min: String,
        /// The most that is possible.
        max: String,
    },
    /// A value that no variable can have.
    #[error("has a zero byte, which no variable can have")]
    ZeroByte,
    /// Not the path of a directory in the plugin's eyes.
    #[error(
        "{text} cannot be where the plugin sees a directory: it {rule}; write it like \"/data\""
    )]
    GuestPath {
        /// What was written.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// An identity written twice.
    #[error("an identity is given twice: keep either the identity or the file that holds it")]
    AuthTwice,
    /// A setting of a single task where a file describes the tasks.
    #[error(
        "belongs to a single plugin, but the tasks are described in {}: set it there, as `{key}` of its task",
        printable_path(file)
    )]
    OfOneTask {
        /// The file.
        file: PathBuf,
        /// The key to use there.
        key: &'static str,
    },
    /// The longest wait is shorter than the first one.
    #[error(
        "the longest wait, {max:?}, is shorter than the first, {initial:?}: raise `max` or lower `initial`"
    )]
    RestartOrder {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        max: Duration,
    },
    /// A manifest in another format.
    #[error(
        "{text} is not a version that is known here, {known}: run the version of soloist that wrote it"
    )]
    ManifestVersion {
        /// What was written.
        text: Excerpt,
        /// The version that is known.
        known: u64,
    },
    /// What belongs to a host, not to a manifest.
    #[error("cannot be in a manifest: {remedy}")]
    NotInManifest {
        /// What to do instead.
        remedy: &'static str,
    },
    /// A path in a manifest that means something else on every host. The path of a file that holds a secret is no secret.
    #[error(
        "{text} is not a whole path: write it as it is on the host, from its first slash on and without . and .."
    )]
    NotAbsolute {
        /// What was written.
        text: Excerpt,
    },
    /// What looks like a secret, where everybody could read it. It is kept out of the message.
    #[error(
        "looks like a secret (its value is not shown), and everybody who reads the ensemble can read a manifest: keep it in a \
         variable or a file of the hosts, and name that in allow.secrets"
    )]
    SecretInManifest,
    /// Not where an artefact comes from. The text is kept out of the message: it may have a password or a token in it.
    #[error("is not where an artefact comes from: it {source}")]
    Artefact {
        /// The rule it breaks.
        source: soloist_core::artefact::SourceError,
    },
    /// Not a public key.
    #[error(
        "is not a public key of minisign: {rule}; write the 56 characters that `minisign -G` prints, like \"RWQ...\""
    )]
    PublicKey {
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A public key is in a file that cannot be read.
    #[error("{} cannot be read: {source}", printable_path(path))]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A public key that is there already. It would count once.
    #[error("is there already: write each key once, since it counts once")]
    KeyTwice,
    /// Not which names are meant.
    #[error("{text} is no pattern: write a name, with one * at most, like \"report-*\"")]
    Pattern {
        /// What was written.
        text: Excerpt,
    },
    /// A plugin could change what its host goes by.
    #[error(
        "{text} meets the directory of [deploy], in which a plugin could change what this host has accepted: choose one apart \
         from it"
    )]
    DeployDirectory {
        /// What was written.
        text: Excerpt,
    },
    /// Signatures are not looked at.
    #[error(
        "nobody's signature counts where unsigned manifests are taken: take `keys` out, or this, so that they count"
    )]
    UnsignedWithKeys,
    /// Whoever can write to the ensemble could run anything on the host.
    #[error(
        "takes what everybody who can write to the ensemble deploys: set `auth` and acl = \"creator\" or \"creator-world-read\" in \
         [zookeeper], so that only those can who have that identity, or have manifests signed, with `keys`"
    )]
    UnsignedByAnybody,
    /// What is fetched could be any file.
    #[error(
        "is fetched from elsewhere, and nothing says which file is meant: set sha256 too, as `sha256sum` or `soloist inspect` \
         prints it"
    )]
    NoDigest,
    /// Not a time.
    #[error("{text} is not a time: write it in UTC, like \"2026-11-26T21:00:00Z\"")]
    Time {
        /// What was written.
        text: Excerpt,
    },
    /// Not who made a manifest.
    #[error("{text} {rule}: write who made the manifest, like \"ops@build-1\"")]
    By {
        /// What was written.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Values that leave a lease no room.
    #[error("session_timeout, tick_time and demote_timeout do not go together: {0}")]
    NoRoom(#[from] soloist_core::lease::NoRoom),
}

impl BadValue {
    /// The text is none of the words that are possible.
    pub fn choice(text: &str, choices: &'static str) -> Self {
        Self::Choice {
            text: Excerpt::of(text),
            choices,
        }
    }
}
