//! Streams that the guest reads a file from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Destination, FutureReader, LinkerInstance, Resource, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p3::bindings::filesystem::types::ErrorCode;

use super::end::{End, Outcome};
use crate::imports::files::GetView;

/// How much of a file is read before the guest runs again, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) fn add_read<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    type Read = (StreamReader<u8>, FutureReader<Outcome>);
    let read = move |mut store: StoreContextMut<'_, T>,
                     (file, place): (Resource<Descriptor>, u64)| {
        let (mut end, ended) = End::new();
        let data = match view(store.data_mut()).table.get(&file)? {
            Descriptor::File(file) => {
                let reader = Reader {
                    file: Arc::clone(&file.file),
                    place,
                    end,
                };
                StreamReader::new(&mut store, reader)?
            }
            Descriptor::Dir(_) => {
                end.tell(Err(ErrorCode::IsDirectory));
                StreamReader::new(&mut store, std::iter::empty())?
            }
        };
        Ok::<(Read,), wasmtime::Error>(((data, FutureReader::new(&mut store, ended)?),))
    };
    types.func_wrap("[method]descriptor.read-via-stream", read)
}

/// What the guest reads a file from. It may have room for all of its memory, which no call of the system may be at.
struct Reader {
    file: Arc<File>,
    place: u64,
    end: End,
}

impl Reader {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(room, self.place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    let read = read?;
                    self.place = self.place.checked_add(read as u64).ok_or(Errno::OVERFLOW)?;
                    return Ok(read);
                }
            }
        }
    }
}

impl<D> StreamProducer<D> for Reader {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut destination = destination.as_direct(store, CHUNK_BYTES);
        let room = destination.remaining();
        // Room for nothing asks whether there is something.
        if room.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let bytes = room.len().min(CHUNK_BYTES);
        Poll::Ready(Ok(match self.read(&mut room[..bytes]) {
            Ok(read) if read > 0 => {
                destination.mark_written(read);
                StreamResult::Completed
            }
            ended => {
                self.end.tell(ended.map(drop).map_err(ErrorCode::from));
                StreamResult::Dropped
            }
        }))
    }
}
