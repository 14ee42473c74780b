//! A server that answers as a test wants it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a server has been sent, one request after the other.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// A server that answers each request with what `answer` writes, and closes the connection then. The request's number counts
/// from 0. It ends with the process.
pub(super) fn server(
    answer: impl Fn(usize, &str, &mut TcpStream) + Send + 'static,
) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            // What asks whether it speaks TLS is told that it does not, after all of that was read.
            let mut first = [0; 4096];
            if stream.peek(&mut first).is_ok_and(|read| read > 0) && first[0] == 0x16 {
                let _ = stream.read(&mut first);
                say(&mut stream, "HTTP/1.1 400 Plain\r\n\r\n");
                continue;
            }
            let head = read_head(&stream);
            noted.lock().unwrap().push(head.clone());
            answer(number, &head, &mut stream);
        }
    });
    (address, asked)
}

pub(super) fn read_head(stream: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
    head
}

/// A client that leaves by itself breaks what is sent to it.
pub(super) fn say(stream: &mut TcpStream, text: impl AsRef<[u8]>) {
    let _ = stream.write_all(text.as_ref());
}

pub(super) fn head(status: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text = format!("{text}{name}: {value}\r\n");
    }
    text + "\r\n"
}
