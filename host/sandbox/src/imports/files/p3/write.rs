//! Streams that the guest writes to a file.

use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::StoreContextMut;
use wasmtime::component::{
    FutureReader, LinkerInstance, Resource, Source, StreamConsumer, StreamReader, StreamResult,
};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p3::bindings::filesystem::types::ErrorCode;

use super::end::{End, Outcome};
use crate::imports::files::GetView;
use crate::imports::files::writing::{Place, Refused, Writing};

type Data = StreamReader<u8>;

pub(crate) fn add_write<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let write = move |store: StoreContextMut<'_, T>,
                      (file, data, place): (Resource<Descriptor>, Data, u64)| {
        pipe(store, view, &file, data, Place::At(place))
    };
    types.func_wrap("[method]descriptor.write-via-stream", write)
}

pub(crate) fn add_append<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let append = move |store: StoreContextMut<'_, T>,
                       (file, data): (Resource<Descriptor>, Data)| {
        pipe(store, view, &file, data, Place::End)
    };
    types.func_wrap("[method]descriptor.append-via-stream", append)
}

fn pipe<T: 'static>(
    mut store: StoreContextMut<'_, T>,
    view: GetView<T>,
    file: &Resource<Descriptor>,
    mut data: Data,
    place: Place,
) -> wasmtime::Result<(FutureReader<Outcome>,)> {
    let (mut end, ended) = End::new();
    let refused = match Writing::begin(&view(store.data_mut()), file, place) {
        Ok(writing) => {
            data.pipe(&mut store, Writer { writing, end })?;
            return Ok((FutureReader::new(&mut store, ended)?,));
        }
        Err(Refused::NotAFile) => ErrorCode::BadDescriptor,
        Err(Refused::ReadOnly) => ErrorCode::NotPermitted,
        Err(Refused::Unknown(error)) => return Err(error),
    };
    data.close(&mut store)?;
    end.tell(Err(refused));
    Ok((FutureReader::new(&mut store, ended)?,))
}

/// What the guest writes to. Nothing waits in it.
struct Writer {
    writing: Writing,
    end: End,
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
                self.end.tell(Err(error.into()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}
