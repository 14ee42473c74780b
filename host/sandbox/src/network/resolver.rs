//! From a name to its addresses.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use soloist_core::grants::{HostPattern, NetworkPolicy, PolicyError, Refusal};

/// How long a lookup may take.
pub const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// How many addresses of a name are looked at.
pub const ADDRESSES_MAX: usize = 16;

/// How many lookups of one plugin may be under way at once.
const LOOKUPS_MAX: usize = 8;

/// How many lookups of all plugins of a host: each takes a thread and some file descriptors of the host's own.
static ALL_LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Looks names up. What it says is not trusted: every address is judged.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `name`, which is in lower case and without a dot at the end.
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Looks names up as everything on this machine does.
#[derive(Clone, Debug)]
pub struct SystemResolver {
    slots: Arc<Semaphore>,
    all: &'static Semaphore,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            all: &ALL_LOOKUPS,
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (name, slots, all) = (name.to_owned(), Arc::clone(&self.slots), self.all);
        Box::pin(async move {
            let busy = || io::Error::other(format!("{LOOKUPS_MAX} lookups are under way already"));
            let slot = slots.try_acquire_owned().map_err(|_| busy())?;
            let room =
                || io::Error::other("as many lookups of all plugins are under way as may be");
            let all = all.try_acquire().map_err(|_| room())?;
            // The system's lookup has a thread until it ends, whether or not anybody still waits for it; so has the slot.
            let lookup = tokio::spawn(async move {
                let _slots = (slot, all);
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}

/// Why a host leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("{name:?} is no name: it {source}")]
    NoName { name: String, source: PolicyError },
    #[error(transparent)]
    Refused(Refusal),
    /// Whoever tries a plugin answers its HTTP requests, and nothing answers a socket.
    #[error("there are no sockets where a script answers HTTP requests: nothing would answer them")]
    NoSockets,
    #[error("effects have ended with the term")]
    Ended,
    #[error("the lookup of {host} took more than {} seconds", LOOKUP_TIME.as_secs())]
    TimedOut { host: HostPattern },
    #[error("{host} cannot be looked up: {source}")]
    Failed {
        host: HostPattern,
        source: io::Error,
    },
    #[error("{host} has no address")]
    NoAddress { host: HostPattern },
}

/// The addresses of `host` that the policy lets pass. If it lets none pass, the error is about the first.
pub(super) async fn addresses(
    resolver: &dyn Resolve,
    policy: &NetworkPolicy,
    host: &HostPattern,
) -> Result<Vec<IpAddr>, LookupError> {
    let found = match host {
        HostPattern::Address(address) => vec![*address],
        HostPattern::Name(name) => match timeout(LOOKUP_TIME, resolver.resolve(name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(source)) => {
                return Err(LookupError::Failed {
                    host: host.clone(),
                    source,
                });
            }
            Err(_) => return Err(LookupError::TimedOut { host: host.clone() }),
        },
        HostPattern::Below(_) => Vec::new(),
    };
    let (mut passed, mut refused) = (Vec::new(), None);
    for address in found
        .into_iter()
        .map(|address| address.to_canonical())
        .take(ADDRESSES_MAX)
    {
        match policy.check_address(host, address) {
            Ok(()) if passed.contains(&address) => {}
            Ok(()) => passed.push(address),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match (passed.is_empty(), refused) {
        (false, _) => Ok(passed),
        (true, Some(refusal)) => Err(LookupError::Refused(refusal)),
        (true, None) => Err(LookupError::NoAddress { host: host.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use soloist_core::grants::Network;

    /// Answers with what it was made with, or never.
    #[derive(Debug)]
    struct Fixed(Option<Vec<IpAddr>>, Mutex<Vec<String>>);

    impl Resolve for Fixed {
        fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            self.1.lock().unwrap().push(name.to_owned());
            match self.0.clone() {
                Some(found) => Box::pin(async { Ok(found) }),
                None => Box::pin(std::future::pending()),
            }
        }
    }

    fn fixed(addresses: &str) -> Fixed {
        let addresses = addresses
            .split_whitespace()
            .map(|address| address.parse().unwrap());
        Fixed(Some(addresses.collect()), Mutex::default())
    }

    async fn judged(answer: &str, networks: &[&str]) -> Result<Vec<String>, LookupError> {
        let networks = networks
            .iter()
            .map(|network| Network::new(network).unwrap())
            .collect();
        let policy = NetworkPolicy {
            networks,
            ..NetworkPolicy::default()
        };
        let found = addresses(
            &fixed(answer),
            &policy,
            &HostPattern::new("granted.example").unwrap(),
        )
        .await?;
        Ok(found
            .into_iter()
            .map(|address| address.to_string())
            .collect())
    }

    #[tokio::test]
    async fn only_the_addresses_that_may_be_reached_are_given_on() {
        assert_eq!(
            judged("8.8.8.8 10.0.0.1 ::ffff:8.8.8.8", &[])
                .await
                .unwrap(),
            ["8.8.8.8"]
        );
        assert_eq!(
            judged("10.0.0.1 8.8.8.8 11.0.0.1", &[]).await.unwrap(),
            ["8.8.8.8", "11.0.0.1"]
        );
        assert_eq!(
            judged("::ffff:10.0.0.1", &["10.0.0.0/8"]).await.unwrap(),
            ["10.0.0.1"]
        );
        assert!(matches!(
            judged("", &[]).await,
            Err(LookupError::NoAddress { .. })
        ));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_with_the_line_to_add() {
        for address in [
            "127.0.0.1",
            "::1",
            "169.254.169.254",
            "10.0.0.1",
            "192.168.1.1",
            "0.0.0.0",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::1",
            "fd00::1",
            "224.0.0.1",
        ] {
            let error = judged(address, &["172.16.0.0/12"]).await.unwrap_err();
            let canonical = address
                .parse::<IpAddr>()
                .unwrap()
                .to_canonical()
                .to_string();
            assert!(
                matches!(&error, LookupError::Refused(Refusal::Address { .. })),
                "{error}"
            );
            assert!(
                error
                    .to_string()
                    .contains(&format!("networks = [\"{canonical}\"]")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let resolver = fixed("8.8.8.8");
        let host = HostPattern::new("10.0.0.1").unwrap();
        // Whoever names the address has granted it.
        let found = addresses(&resolver, &NetworkPolicy::default(), &host)
            .await
            .unwrap();
        assert_eq!(found, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(resolver.1.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn however_many_addresses_there_are_few_are_looked_at() {
        let many: Vec<_> = (1..200).map(|last| format!("8.8.8.{last}")).collect();
        assert_eq!(
            judged(&many.join(" "), &[]).await.unwrap().len(),
            ADDRESSES_MAX
        );
    }

    #[tokio::test]
    async fn a_lookup_without_an_answer_ends() {
        let resolver = Fixed(None, Mutex::default());
        let host = HostPattern::new("granted.example").unwrap();
        let error = addresses(&resolver, &NetworkPolicy::default(), &host)
            .await
            .unwrap_err();
        assert!(matches!(error, LookupError::TimedOut { .. }));
    }

    #[tokio::test]
    async fn when_all_plugins_look_up_as_many_as_may_be_one_more_is_refused() {
        static NONE: Semaphore = Semaphore::const_new(0);
        let busy = SystemResolver {
            all: &NONE,
            ..SystemResolver::default()
        };
        assert!(busy.resolve("localhost").await.is_err());
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = SystemResolver::default()
            .resolve("localhost")
            .await
            .unwrap();
        assert!(
            found.iter().all(IpAddr::is_loopback) && !found.is_empty(),
            "{found:?}"
        );
    }
}
