//! `wasi:filesystem` 0.2, as languages' standard libraries use it.

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, Resource};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::{CHUNK_BYTES, Place, Refused, Writing};
use crate::plugin::store::Host;

pub(super) const INTERFACE: &str = "wasi:filesystem/types@0.2.12";

type Opened = (Result<Resource<DynOutputStream>, ErrorCode>,);

pub(super) fn add_write(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    let write = |mut store: StoreContextMut<'_, Host>, (file, place): (Resource<Descriptor>, u64)| {
        open(store.data_mut(), &file, Place::At(place))
    };
    types.func_wrap("[method]descriptor.write-via-stream", write)
}

pub(super) fn add_append(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    let append = |mut store: StoreContextMut<'_, Host>, (file,): (Resource<Descriptor>,)| {
        open(store.data_mut(), &file, Place::End)
    };
    types.func_wrap("[method]descriptor.append-via-stream", append)
}

fn open(host: &mut Host, file: &Resource<Descriptor>, place: Place) -> wasmtime::Result<Opened> {
    let writing = match Writing::begin(host, file, place) {
        Ok(writing) => writing,
        Err(Refused::NotAFile) => return Ok((Err(ErrorCode::BadDescriptor),)),
        Err(Refused::ReadOnly) => return Ok((Err(ErrorCode::NotPermitted),)),
        Err(Refused::Unknown(error)) => return Err(error),
    };
    Ok((Ok(host.table.push(Box::new(Writer::new(writing)) as DynOutputStream)?),))
}

/// What the guest writes to. Nothing waits in it.
pub(super) struct Writer {
    writing: Writing,
    closed: bool,
}

impl Writer {
    pub(super) fn new(writing: Writing) -> Self {
        Self { writing, closed: false }
    }

    fn check(&self) -> StreamResult<()> {
        if self.closed { Err(StreamError::Closed) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if bytes.len() > CHUNK_BYTES {
            return Err(StreamError::trap("more was written than `check-write` allowed"));
        }
        while !bytes.is_empty() {
            let written = self.writing.write(&bytes).map_err(|lost| StreamError::Trap(lost.into()))?;
            match written {
                Ok(written) => drop(bytes.split_to(written)),
                Err(error) => {
                    self.closed = true;
                    return Err(StreamError::LastOperationFailed(error.into()));
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check().map(|()| CHUNK_BYTES)
    }
}
