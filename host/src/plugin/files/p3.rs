//! `wasi:filesystem` 0.3. wasmtime's own streams write on the plugin's thread too, but all that the guest offers at once.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, LinkerInstance, Resource, Source, StreamConsumer, StreamReader, StreamResult};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p3::bindings::filesystem::types::ErrorCode;

use super::{Place, Refused, Writing};
use crate::plugin::store::Host;

pub(super) const INTERFACE: &str = "wasi:filesystem/types@0.3.0";

/// How a stream has ended.
type Outcome = Result<(), ErrorCode>;
type Data = StreamReader<u8>;

pub(super) fn add_write(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    let write = |store: StoreContextMut<'_, Host>, (file, data, place): (Resource<Descriptor>, Data, u64)| {
        pipe(store, &file, data, Place::At(place))
    };
    types.func_wrap("[method]descriptor.write-via-stream", write)
}

pub(super) fn add_append(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    let append = |store: StoreContextMut<'_, Host>, (file, data): (Resource<Descriptor>, Data)| {
        pipe(store, &file, data, Place::End)
    };
    types.func_wrap("[method]descriptor.append-via-stream", append)
}

fn pipe(
    mut store: StoreContextMut<'_, Host>,
    file: &Resource<Descriptor>,
    mut data: Data,
    place: Place,
) -> wasmtime::Result<(FutureReader<Outcome>,)> {
    let (ended, end) = oneshot::channel();
    let refused = match Writing::begin(store.data_mut(), file, place) {
        Ok(writing) => {
            data.pipe(&mut store, Writer { writing, ended: Some(ended) })?;
            return Ok((FutureReader::new(&mut store, end)?,));
        }
        Err(Refused::NotAFile) => ErrorCode::BadDescriptor,
        Err(Refused::ReadOnly) => ErrorCode::NotPermitted,
        Err(Refused::Unknown(error)) => return Err(error),
    };
    data.close(&mut store)?;
    let _ = ended.send(Err(refused));
    Ok((FutureReader::new(&mut store, end)?,))
}

/// What the guest writes to. Nothing waits in it.
struct Writer {
    writing: Writing,
    ended: Option<oneshot::Sender<Outcome>>,
}

impl Writer {
    fn end(&mut self, outcome: Outcome) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(outcome);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl<D> StreamConsumer<D> for Writer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        // Nothing to write asks whether there is room.
        if source.remaining().is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.writing.write(source.remaining())? {
            Ok(written) => {
                source.mark_read(written);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(error) => {
                self.end(Err(error.into()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}
