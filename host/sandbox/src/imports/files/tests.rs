use std::fs;
use std::time::Duration;

use wasmtime::Engine;
use wasmtime_wasi::p2::{OutputStream, StreamError};
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::writing::{CHUNK_BYTES, Place, Writing};
use super::*;
use crate::engine::config;
use soloist_core::clock;
use soloist_core::permit::{LeaseLost, Permit, SharedDeadline};

fn writing(place: Place) -> (Writing, tempfile::NamedTempFile, Permit) {
    let deadline = SharedDeadline::default();
    deadline.set(clock::now() + Duration::from_secs(600));
    let permit = Permit::new(deadline);
    let named = tempfile::NamedTempFile::new().unwrap();
    fs::write(named.path(), "0123456789").unwrap();
    let file = Arc::new(named.reopen().unwrap());
    (
        Writing {
            file,
            place,
            permit: permit.clone(),
        },
        named,
        permit,
    )
}

/// Without a runtime: there is no other thread that could do it.
#[test]
fn what_a_stream_has_taken_is_in_the_file_though_nobody_waits_for_it() {
    for (place, expected) in [(Place::At(2), "01abcd6789"), (Place::End, "0123456789abcd")] {
        let (writing, named, _permit) = writing(place);
        let mut stream = p2::Writer::new(writing);
        stream.write("ab".into()).unwrap();
        assert_eq!(stream.check_write().unwrap(), CHUNK_BYTES);
        stream.write("cd".into()).unwrap();
        assert_eq!(fs::read_to_string(named.path()).unwrap(), expected);
    }
}

#[test]
fn nothing_is_written_once_the_permit_has_ended() {
    let (writing, named, permit) = writing(Place::End);
    let mut stream = p2::Writer::new(writing);
    permit.drain();
    stream.write("while work is put away".into()).unwrap();
    permit.revoke();
    let Err(StreamError::Trap(error)) = stream.write("late".into()) else {
        panic!("it was written")
    };
    assert!(error.is::<LeaseLost>());
    assert_eq!(
        fs::read_to_string(named.path()).unwrap(),
        "0123456789while work is put away"
    );
}

#[test]
fn one_write_takes_a_bounded_piece() {
    let (mut writing, named, _permit) = writing(Place::At(0));
    let bytes = vec![b'x'; CHUNK_BYTES + 1];
    assert_eq!(writing.write(&bytes).unwrap().unwrap(), CHUNK_BYTES);
    assert_eq!(
        named.as_file().metadata().unwrap().len(),
        CHUNK_BYTES as u64
    );
    let mut stream = p2::Writer::new(writing);
    assert!(matches!(
        stream.write(bytes.into()),
        Err(StreamError::Trap(_))
    ));
}

#[test]
fn a_write_that_fails_ends_the_stream() {
    let (mut writing, named, _permit) = writing(Place::End);
    writing.file = Arc::new(File::open(named.path()).unwrap());
    let mut stream = p2::Writer::new(writing);
    assert!(matches!(
        stream.write("x".into()),
        Err(StreamError::LastOperationFailed(_))
    ));
    assert!(matches!(stream.write("x".into()), Err(StreamError::Closed)));
    assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
}

/// A wasmtime that calls an interface by another name would go past these.
#[test]
fn each_function_stands_in_the_place_of_one_of_wasmtimes() {
    let engine = Engine::new(&config()).unwrap();
    let mut linker = Linker::<Store>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    wasmtime_wasi::p3::add_to_linker(&mut linker).unwrap();
    for (interface, add) in functions() {
        let defined = add(&mut linker.instance(interface).unwrap(), |_| unreachable!());
        assert!(
            defined.unwrap_err().to_string().contains("defined twice"),
            "{interface}"
        );
    }
}

/// The data of a store that is never made.
enum Store {}

impl WasiView for Store {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        match *self {}
    }
}
