//! What a contender of a deployed task is told to do: from the manifest, once the host has accepted it.

use std::sync::Arc;
use std::time::Duration;

use soloist_config::{Manifest, OnRollback};
use soloist_coordination::task;
use soloist_core::election;
use soloist_core::records::Readiness;
use soloist_core::rollout::{self, Prepared, Purpose, Settings};

use super::Deployed;
use super::part::Does;
use crate::activation::ActivationSettings;
use crate::contender::Work;
use crate::deployer::policy::{accept, in_time};
use crate::rollout::Rollout;

impl Deployed {
    /// What a contender does. None, and why not in `prepared`, if the generation cannot be accepted.
    pub(super) async fn work(&mut self, does: Does, prepared: &mut Prepared) -> Option<Arc<Work>> {
        let manifest = self.preparations.manifest(does.generation);
        let mut plugin = None;
        if does.purpose == Purpose::Run {
            let ready = self.preparations.ready(does.generation)?;
            plugin = Some(Arc::clone(&ready.plugin));
            let (store, accepted) = (self.common.accepted.clone(), ready.accepted.clone());
            // Before anything else is done with it, so that it is known after a restart.
            if self.accepted != Some(does.generation) {
                let kept = in_time(move || accept(&store, &accepted)).await;
                if let Err(reason) = kept {
                    self.preparations.refuse(does.generation, &reason);
                    prepared.current = Readiness::unready(&reason);
                    self.tell_of_preparations();
                    self.wake_at(self.preparations.wake());
                    return None;
                }
                self.accepted = Some(does.generation);
            }
        }
        let task = manifest.as_deref().map(|manifest| &manifest.task);
        let activation = task.map_or_else(ActivationSettings::default, |task| ActivationSettings {
            demote_timeout: task.demote_timeout,
            restart: task.restart,
            on_complete: task.on_complete,
        });
        Some(Arc::new(Work {
            plugin,
            activation,
            election: election::Settings {
                demote_timeout: activation.demote_timeout,
                successor_delay: task.map(|task| task.successor_delay).unwrap_or_default(),
            },
            placement: task.map(|task| task.placement.clone()).unwrap_or_default(),
            generation: Some(task::Generation {
                number: does.generation.number,
                digest: manifest.as_deref().map(|it| it.artefact.sha256),
                manifest_version: does.manifest_version,
            }),
            rollout: Some(Rollout {
                purpose: does.purpose,
                settings: manifest.as_deref().map_or_else(unknown, settings),
                known: self.known.subscribe(),
            }),
        }))
    }
}

/// What a manifest says of its rollout, for the rules.
fn settings(manifest: &Manifest) -> Settings {
    Settings {
        healthy_after: manifest.healthy_after,
        on_rollback: match manifest.on_rollback {
            OnRollback::Restore => rollout::OnRollback::Restore,
            OnRollback::Keep => rollout::OnRollback::Keep,
        },
        migrates: manifest.migrates,
        max_restarts: manifest.task.restart.max_restarts,
    }
}

/// Of a generation whose manifest this host does not have. It can be taken back, and what it left of the state goes with it.
fn unknown() -> Settings {
    Settings {
        healthy_after: Duration::MAX,
        on_rollback: rollout::OnRollback::Restore,
        migrates: true,
        max_restarts: u32::MAX,
    }
}
