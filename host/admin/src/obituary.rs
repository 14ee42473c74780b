//! What a guardian answers while the process of its host is dead: that it is dead, and how often that has happened.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use soloist_core::guardian::{Death, Past};
use soloist_core::secret::Secret;

use crate::admission::{Admission, read_only};
use crate::answer::{TEXT, respond};
use crate::metrics;

/// What a guardian answers in the place of a dead process.
#[derive(Debug)]
pub struct Obituary {
    host: Arc<str>,
    death: Death,
    past: Past,
    admission: Admission,
}

impl Obituary {
    /// What is told of the host of that id, whose process has died so. Whoever may ask is the same as before.
    pub fn new(
        host: Arc<str>,
        death: Death,
        past: Past,
        token: Option<&Secret>,
        is_open: bool,
    ) -> Self {
        Self {
            host,
            death,
            past,
            admission: Admission::new(token, is_open),
        }
    }

    pub(crate) fn over_tls(self, wants_certificate: bool) -> Self {
        let admission = self.admission.over_tls(wants_certificate);
        Self { admission, ..self }
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Parts) -> Response<Bytes> {
        if let Err(refused) = read_only(request) {
            return *refused;
        }
        let is_probe = matches!(request.uri.path(), "/livez" | "/readyz");
        if let (false, Err(refused)) = (is_probe, self.admission.admit(request)) {
            return *refused;
        }
        if request.uri.path() == "/metrics" {
            let text = metrics::render_dead(&self.host, &self.past);
            return respond(StatusCode::OK, metrics::CONTENT_TYPE, text);
        }
        let text = format!(
            "the process of this host is dead ({}), and its guardian answers\n",
            self.death
        );
        respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
    }
}
