//! A connection to PostgreSQL: its protocol by `postgres-protocol`, over the socket that the task grants.
//!
//! It waits in its calls, and holds the plugin meanwhile: so each query is a short one. When demotion begins the host cuts
//! the connection, which ends the wait. It has no TLS: put it on a network that you trust, or a tunnel before it.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use soloist_sdk::Result;

/// Rows of columns, each as text, or null.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// How many bytes of an answer are kept.
const ANSWER_MAX_BYTES: usize = 16 << 20;

pub(crate) struct Database {
    socket: TcpStream,
    read: BytesMut,
    written: BytesMut,
}

impl Database {
    /// Connects, with a password if the server asks for one (SCRAM-SHA-256).
    pub(crate) fn connect(
        address: &str,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Self> {
        let socket = TcpStream::connect(address)
            .map_err(|error| format!("cannot reach the database at {address}: {error}"))?;
        let mut this = Self {
            socket,
            read: BytesMut::new(),
            written: BytesMut::new(),
        };
        let parameters = [
            ("user", user),
            ("database", database),
            ("client_encoding", "UTF8"),
        ];
        frontend::startup_message(parameters, &mut this.written)?;
        this.flush()?;
        let mut scram = None;
        loop {
            match this.receive()? {
                Message::AuthenticationSasl(body) => {
                    if !body.mechanisms().any(|it| Ok(it == SCRAM_SHA_256))? {
                        return Err("the database offers no SCRAM-SHA-256".into());
                    }
                    let begun =
                        ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    frontend::sasl_initial_response(
                        SCRAM_SHA_256,
                        begun.message(),
                        &mut this.written,
                    )?;
                    this.flush()?;
                    scram = Some(begun);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram
                        .as_mut()
                        .ok_or("the database answers what was not asked")?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut this.written)?;
                    this.flush()?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let scram = scram
                        .as_mut()
                        .ok_or("the database answers what was not asked")?;
                    scram.finish(body.data())?;
                }
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::BackendKeyData(_) => {}
                Message::ReadyForQuery(_) => return Ok(this),
                _ => {
                    return Err(
                        "the database asks for a way to log in that this plugin does not have"
                            .into(),
                    );
                }
            }
        }
    }

    /// Runs one statement, and reads all that it returns. Each parameter is text: the statement says what it is to be, as in
    /// `$1::bigint`.
    pub(crate) fn query(&mut self, statement: &str, parameters: &[&str]) -> Result<Rows> {
        let written = &mut self.written;
        frontend::parse("", statement, [], written)?;
        let text = |parameter: &&str, written: &mut BytesMut| {
            written.extend_from_slice(parameter.as_bytes());
            Ok(IsNull::No)
        };
        frontend::bind("", "", [], parameters, text, [], written)
            .map_err(|_| "the parameters are too long")?;
        frontend::execute("", 0, written)?;
        frontend::sync(written);
        self.flush()?;
        let mut rows = Rows::new();
        let mut refused = None;
        loop {
            match self.read_message()? {
                Message::DataRow(row) => rows.push(columns(&row)?),
                // The server says that it is ready all the same.
                Message::ErrorResponse(error) => refused = Some(told(&error)),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match refused {
            Some(refusal) => Err(refusal.into()),
            None => Ok(rows),
        }
    }

    fn flush(&mut self) -> Result {
        let sent = self.socket.write_all(&self.written);
        self.written.clear();
        Ok(sent.map_err(|error| format!("the connection to the database is lost: {error}"))?)
    }

    /// The next message, if it is none that tells of an error.
    fn receive(&mut self) -> Result<Message> {
        match self.read_message()? {
            Message::ErrorResponse(error) => Err(told(&error).into()),
            message => Ok(message),
        }
    }

    fn read_message(&mut self) -> Result<Message> {
        let mut chunk = [0; 8192];
        loop {
            match Message::parse(&mut self.read)? {
                Some(Message::NoticeResponse(_)) => {}
                Some(message) => return Ok(message),
                None => {
                    let read = self.socket.read(&mut chunk);
                    match read.map_err(|error| {
                        format!("the connection to the database is lost: {error}")
                    })? {
                        0 => return Err("the database has closed the connection".into()),
                        count if self.read.len() + count > ANSWER_MAX_BYTES => {
                            return Err(
                                "the database answers with a message that is too long".into()
                            );
                        }
                        count => self.read.extend_from_slice(&chunk[..count]),
                    }
                }
            }
        }
    }
}

fn columns(row: &DataRowBody) -> Result<Vec<Option<String>>> {
    let mut columns = Vec::new();
    let mut ranges = row.ranges();
    while let Some(range) = ranges.next()? {
        let text = range.map(|range| std::str::from_utf8(&row.buffer()[range]));
        columns.push(text.transpose()?.map(str::to_owned));
    }
    Ok(columns)
}

/// What the database complains about.
fn told(error: &ErrorResponseBody) -> String {
    let mut fields = error.fields();
    let mut told = String::from("the database refuses");
    while let Ok(Some(field)) = fields.next() {
        // The message, among the severity, a code and places.
        if field.type_() == b'M' {
            told = format!(
                "the database refuses: {}",
                String::from_utf8_lossy(field.value_bytes())
            );
        }
    }
    told
}
