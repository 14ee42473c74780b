//! What stands between the host's two calls and the author's one value.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};

use crate::tasks::Scope;
use crate::{Demotion, Error, Level, Plugin, Term, bridges, log, should_stop};

/// The version of this crate, as one line.
#[cfg(target_family = "wasm")]
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\n");

/// What `soloist inspect` reads the version from.
#[cfg(target_family = "wasm")]
#[used]
#[unsafe(link_section = "soloist-sdk")]
static SECTION: [u8; VERSION.len()] = match VERSION.as_bytes().first_chunk() {
    Some(bytes) => *bytes,
    None => unreachable!(),
};

thread_local! {
    static TERM: RefCell<Option<Term>> = const { RefCell::new(None) };
}

pub(crate) fn current_term() -> Option<Term> {
    TERM.with_borrow(Clone::clone)
}

/// Sets the term that [`current_term`] gives, and gives the one before.
pub(crate) fn replace_term(term: Option<Term>) -> Option<Term> {
    TERM.replace(term)
}

/// The plugin of one instance: `on-elected` leaves it here for `on-demoted` when it is done with it.
#[derive(Debug)]
pub struct Stage<P> {
    demoted: Signal,
    idle: Signal,
    plugin: RefCell<Option<P>>,
}

impl<P> Default for Stage<P> {
    fn default() -> Self {
        Self {
            demoted: Signal::default(),
            idle: Signal::default(),
            plugin: RefCell::new(None),
        }
    }
}

impl<P: Plugin> Stage<P> {
    /// Runs the author's `on_elected` until it returns or demotion begins.
    ///
    /// # Errors
    /// The author's error, with its sources.
    pub async fn on_elected(&self, term: Term) -> Result<(), String> {
        report_panics();
        bridges::install();
        replace_term(Some(term.clone()));
        let mut plugin = P::default();
        let mut outcome = {
            let mut elected = pin!(plugin.on_elected(term));
            let mut scope = Scope::default();
            poll_fn(|context| match self.demoted.poll(context.waker()) {
                Poll::Ready(()) => Poll::Ready(Ok(())),
                Poll::Pending => scope.poll(context, elected.as_mut()),
            })
            .await
        };
        // The host refuses effects from the moment at which demotion begins, and calls `on_demoted` a moment later. What
        // fails in between is not for the host to take for a failure of the plugin.
        if let Err(error) = &outcome
            && should_stop()
        {
            let message = format!("given up, as demotion has begun: {}", describe(error));
            log::write(Level::Warn, &message, &[]);
            poll_fn(|context| self.demoted.poll(context.waker())).await;
            outcome = Ok(());
        }
        self.plugin.replace(Some(plugin));
        self.idle.set();
        outcome.map_err(|error| describe(&error))
    }

    /// Ends the author's `on_elected`, then runs `on_demoted`.
    pub async fn on_demoted(&self, reason: Demotion) {
        self.demoted.set();
        poll_fn(|context| self.idle.poll(context.waker())).await;
        let plugin = self.plugin.take();
        if let Some(mut plugin) = plugin {
            plugin.on_demoted(reason).await;
        }
    }
}

/// Has the host's report of a panic say where it was and what it said.
#[cfg(target_family = "wasm")]
fn report_panics() {
    // The place and the message come on a line each; a report has one.
    std::panic::set_hook(Box::new(|panic| {
        crate::bindings::soloist::plugin::log::panicked(
            &panic.to_string().replacen(":\n", ": ", 1),
        );
    }));
}

/// A panic in a native test is for the test's runner.
#[cfg(not(target_family = "wasm"))]
fn report_panics() {}

fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Something that happens once, waited for by one task.
#[derive(Debug, Default)]
struct Signal {
    set: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    fn set(&self) {
        self.set.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<()> {
        if self.set.get() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(waker.clone()));
        Poll::Pending
    }
}

/// Makes a type that implements [`Plugin`] the plugin that this library is, or a function that does its work.
///
/// ```
/// # use soloist_sdk::{Plugin, Result, Term};
/// #[derive(Default)]
/// struct Nothing;
///
/// impl Plugin for Nothing {
///     async fn on_elected(&mut self, _: Term) -> Result {
///         Ok(())
///     }
/// }
///
/// soloist_sdk::export!(Nothing);
/// # fn main() {}
/// ```
///
/// A plugin that has nothing to put away at the end can be its `on_elected` alone. In a test, its type is `Exported`:
///
/// ```
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Result, Term, info};
///
/// async fn hello(term: Term) -> Result {
///     info!("hello from {}", term.host);
///     Ok(())
/// }
///
/// soloist_sdk::export!(fn hello);
///
/// # fn main() {
/// let test = Harness::new();
/// test.elect::<Exported>().finish().unwrap();
/// assert_eq!(test.messages(), ["hello from host-1"]);
/// # }
/// ```
#[macro_export]
macro_rules! export {
    (fn $function:path) => {
        #[derive(Default)]
        struct Exported;

        impl $crate::Plugin for Exported {
            async fn on_elected(&mut self, term: $crate::Term) -> $crate::Result {
                $function(term).await
            }
        }

        $crate::export!(Exported);
    };
    ($plugin:ty) => {
        const _: () = {
            // Names the trait that is missing, at the type, on every target.
            const fn implements_plugin<P: $crate::Plugin>() {}
            implements_plugin::<$plugin>();
        };

        // A native build has no host to export to, and its linker knows no such names.
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static STAGE: ::std::rc::Rc<$crate::export::Stage<$plugin>> = ::std::default::Default::default();
            }

            struct Guest;

            impl $crate::bindings::Guest for Guest {
                async fn on_elected(term: $crate::Term) -> ::std::result::Result<(), ::std::string::String> {
                    STAGE.with(::std::rc::Rc::clone).on_elected(term).await
                }

                async fn on_demoted(reason: $crate::Demotion) {
                    STAGE.with(::std::rc::Rc::clone).on_demoted(reason).await;
                }
            }

            $crate::bindings::export!(Guest with_types_in $crate::bindings);
        };
    };
}
