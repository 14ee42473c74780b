//! `--listen`: telling over HTTP how the host is.

use std::sync::Arc;

use anyhow::Context as _;
use soloist_admin::{Listener, Pages, Serving, Told};
use soloist_config::{Config, ListenConfig};
use soloist_core::event::{About, Event, Subscriber};
use soloist_core::roster::{self, Roster};

use crate::cli::Failure;
use crate::cli::plugins::warn_if_readable;

/// An address at which the host is about to tell how it is.
pub(super) struct Watch {
    listener: Listener,
    listen: ListenConfig,
    host: Arc<str>,
    roster: Arc<Roster>,
    told: Arc<Told>,
}

impl Watch {
    /// Takes the address, before anything that takes long. From here on the host measures. None if it is not to listen.
    pub(super) fn begin(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(listen) = config.listen.clone() else {
            return Ok(None);
        };
        let listener = Listener::bind(listen.address)
            .with_context(|| format!("cannot listen at {}", listen.address))
            .map_err(Failure::RunTime)?;
        let roster = roster::start();
        let told = Arc::new(Told::new(Arc::clone(&roster)));
        Ok(Some(Self {
            listener,
            listen,
            host: Arc::clone(&config.host),
            roster,
            told,
        }))
    }

    /// What has to hear of events.
    pub(super) fn subscriber(&self) -> Box<dyn Subscriber> {
        Box::new(Arc::clone(&self.told))
    }

    /// Answers, until what is returned is dropped.
    pub(super) fn serve(self) -> Result<Serving, Failure> {
        let ListenConfig {
            address,
            token,
            token_file,
        } = &self.listen;
        if let Some(file) = token_file {
            warn_if_readable("listen_token_file", file);
        }
        let is_open = !address.ip().to_canonical().is_loopback();
        let pages = Pages::new(self.host, self.roster, self.told, token.as_ref(), is_open);
        let open = || {
            let address = self.listener.address()?;
            About::Session.report(&Event::HostListening {
                address: address.to_string(),
            });
            self.listener.serve(pages)
        };
        open()
            .context("cannot answer at `listen`")
            .map_err(Failure::RunTime)
    }
}
