//! Artefacts in the ensemble, while several write and remove them at once.

use std::pin::pin;
use std::sync::mpsc;

use anyhow::{Context as _, Result, bail, ensure};
use soloist_coordination::artefacts::{ArtefactError, Artefacts, PACKED_MAX_BYTES};
use soloist_core::digest::Digest;
use soloist_tests::cluster::Cluster;
use soloist_tests::session::OwnSession;
use soloist_tests::{PATIENCE, eventually};
use tokio::select;
use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode};

const ROOT: &str = "/soloist";

/// How long a chunk is.
const CHUNK: usize = 64 * 1024;

/// Bytes that cannot be compressed, other ones for each seed.
fn artefact(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    let mut made: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| next()).collect();
    made.truncate(bytes);
    made
}

/// An ensemble, somebody who writes artefacts, somebody who removes them, and somebody who looks on.
struct Kit {
    writer: Artefacts,
    sweeper: Artefacts,
    looker: Client,
    _sessions: [OwnSession; 2],
    _cluster: Cluster,
}

impl Kit {
    async fn of(cluster: Cluster) -> Result<Self> {
        let sessions = [
            OwnSession::begin(&cluster, "a").await?,
            OwnSession::begin(&cluster, "b").await?,
        ];
        let [writer, sweeper] = [0, 1].map(|it: usize| Artefacts::of(&sessions[it].session, ROOT));
        Ok(Self {
            writer,
            sweeper,
            looker: cluster.client().await?,
            _sessions: sessions,
            _cluster: cluster,
        })
    }

    async fn both() -> Result<[Self; 2]> {
        let real = Self::of(Cluster::real().await?).await?;
        Ok([real, Self::of(Cluster::embedded().await?).await?])
    }

    fn path(digest: Digest) -> String {
        format!("{ROOT}/artefacts/{digest}")
    }

    /// How many chunks there are now; 0 without a head.
    async fn chunks(&self, digest: Digest) -> usize {
        let children = self.looker.list_children(&Self::path(digest)).await;
        children.map_or(0, |children| children.len())
    }

    async fn until(&self, digest: Digest, is_so: impl Fn(usize) -> bool) {
        while !is_so(self.chunks(digest).await) {}
    }

    /// Whether an artefact looks whole; then it is.
    async fn is_whole(&self, digest: Digest) -> Result<bool> {
        eventually("the ensemble to answer", PATIENCE, async || {
            let looks_whole = match self.sweeper.stored(digest).await {
                Err(ArtefactError::Node(_)) => return None,
                stored => stored.map(|stored| stored.is_some()),
            };
            match (looks_whole, self.sweeper.get(digest).await) {
                (_, Err(ArtefactError::Node(_))) => None,
                (Ok(true), got) => Some(got.map(|_| true).context("it looks whole, and is not")),
                (looks_whole, _) => Some(looks_whole.map_err(Into::into)),
            }
        })
        .await?
    }
}

/// The upload stands still wherever the test says, while others go on.
#[tokio::test]
async fn an_upload_whose_chunks_are_swept_is_done_once_more() -> Result<()> {
    for kit in Kit::both().await? {
        for paused_at in 1..=3 {
            let artefact = artefact(3 * CHUNK - 1000, paused_at as u64);
            let digest = Digest::of(&artefact);
            let mut put = pin!(kit.writer.put(digest, &artefact));
            select! {
                stored = &mut put => drop(stored?),
                () = kit.until(digest, |chunks| chunks >= paused_at) => {
                    kit.sweeper.sweep(i64::MAX).await?;
                    put.await?;
                }
            }
            ensure!(kit.is_whole(digest).await?, "paused at {paused_at}");
            ensure!(kit.writer.get(digest).await? == artefact);
            ensure!(kit.chunks(digest).await == 3);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_sweep_that_an_upload_overtakes_removes_nothing_of_it() -> Result<()> {
    for kit in Kit::both().await? {
        let artefact = artefact(32 * CHUNK - 1000, 7);
        let digest = Digest::of(&artefact);
        let mut put = pin!(kit.writer.put(digest, &artefact));
        select! {
            _ = &mut put => bail!("it did not wait"),
            () = kit.until(digest, |chunks| chunks >= 16) => {}
        }
        let before = kit.chunks(digest).await;
        let mut sweep = pin!(kit.sweeper.sweep(i64::MAX));
        select! {
            _ = &mut sweep => bail!("it did not wait"),
            () = kit.until(digest, |chunks| chunks < before) => {}
        }
        put.await?;
        ensure!(kit.is_whole(digest).await?);
        sweep.await?;
        ensure!(kit.is_whole(digest).await?);
        // What the sweep has left of the first upload, the next one removes.
        kit.sweeper.sweep(0).await?;
        ensure!(kit.chunks(digest).await == 32);
        ensure!(kit.writer.get(digest).await? == artefact);
    }
    Ok(())
}

/// Whatever the order: nothing looks whole that is not, and an upload that fails says so.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_looks_whole_that_is_not_whoever_sweeps_and_uploads() -> Result<()> {
    for kit in Kit::both().await? {
        for round in 0..10 {
            let artefact = artefact(2 * CHUNK, 100 + round);
            let digest = Digest::of(&artefact);
            let mut put = pin!(kit.writer.put(digest, &artefact));
            let sweeping = async {
                // Until the upload has ended, one way or the other. A busy server may lose a connection.
                loop {
                    let kept = kit.sweeper.sweep(i64::MAX).await.unwrap_or_default();
                    let own = kept.iter().find(|(kept, _)| *kept == digest);
                    if let Some((_, stored)) = own.filter(|_| round % 2 == 0) {
                        kit.sweeper.remove(stored).await.ok();
                    }
                }
            };
            let put: Result<_, ArtefactError> = select! {
                put = &mut put => put,
                () = sweeping => unreachable!("it has no end"),
            };
            let is_whole = kit.is_whole(digest).await?;
            match put {
                Ok(_) => ensure!(is_whole || round % 2 == 0, "it was removed"),
                Err(error) => ensure!(
                    matches!(
                        error,
                        ArtefactError::Contended { .. } | ArtefactError::Node(_)
                    ),
                    "{error}"
                ),
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_left_beside_a_whole_artefact_is_swept() -> Result<()> {
    for kit in Kit::both().await? {
        let artefact = artefact(100, 1);
        let digest = Digest::of(&artefact);
        kit.writer.put(digest, &artefact).await?;
        let path = Kit::path(digest);
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for left in ["abc-0000", "abc-0001", "strange"] {
            let left = format!("{path}/{left}");
            kit.looker.create(&left, b"left", &options).await?;
        }
        let kept = kit.sweeper.sweep(0).await?;
        ensure!(kept.len() == 1 && kit.chunks(digest).await == 1);
        ensure!(kit.writer.get(digest).await? == artefact);
        // One of its own that is gone is told.
        let [chunk] = &kit.looker.list_children(&path).await?[..] else {
            bail!("it has one chunk");
        };
        kit.looker.delete(&format!("{path}/{chunk}"), None).await?;
        let told = kit.writer.get(digest).await.unwrap_err().to_string();
        ensure!(told.contains("a chunk of it is not there"), "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_artefact_is_kept_and_a_larger_one_is_not() -> Result<()> {
    for kit in Kit::both().await? {
        // What cannot be compressed becomes a little longer.
        let largest = artefact(PACKED_MAX_BYTES - 1024, 1);
        let digest = Digest::of(&largest);
        let stored = kit.writer.put(digest, &largest).await?;
        ensure!(stored.packed <= PACKED_MAX_BYTES && kit.chunks(digest).await == 128);
        ensure!(kit.sweeper.get(digest).await? == largest);
        let larger = artefact(PACKED_MAX_BYTES, 1);
        let error = kit
            .writer
            .put(Digest::of(&larger), &larger)
            .await
            .unwrap_err();
        ensure!(matches!(error, ArtefactError::TooLarge { .. }), "{error}");
    }
    Ok(())
}

/// A disk that hangs can take all threads that a runtime has for such work.
#[test]
fn artefacts_are_packed_and_unpacked_while_the_runtime_has_no_thread_left() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()?;
    let (free, taken) = mpsc::channel::<()>();
    runtime.block_on(async {
        drop(tokio::task::spawn_blocking(move || taken.recv()));
        let kit = Kit::of(Cluster::embedded().await?).await?;
        let artefact = artefact(100, 1);
        let digest = Digest::of(&artefact);
        timeout(PATIENCE, kit.writer.put(digest, &artefact)).await??;
        ensure!(timeout(PATIENCE, kit.writer.get(digest)).await?? == artefact);
        drop(free);
        Ok(())
    })
}
