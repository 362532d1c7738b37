//! One kept-alive connection to a server under load.

use crate::conform::wire::{self, Answer, Origin, Question};
use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection that asks one question after the other.
#[derive(Debug)]
pub struct Connection {
    origin: Origin,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to `authority` (host and port).
    pub fn open(authority: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(authority)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection {
            origin: Origin::parse(&format!("http://{authority}/")).map_err(io::Error::other)?,
            reader: BufReader::with_capacity(64 * 1024, stream),
        })
    }

    /// Sends a question as prepared bytes and reads its answer.
    pub fn send(&mut self, bytes: &[u8], method: &str) -> io::Result<Answer> {
        self.reader.get_mut().write_all(bytes)?;
        wire::read(&mut self.reader, method)
    }

    /// Sends a question and reads its answer.
    pub fn ask(&mut self, question: &Question) -> io::Result<Answer> {
        let bytes = self.prepare(question);
        self.send(&bytes, &question.method)
    }

    /// A question as the bytes to send.
    pub fn prepare(&self, question: &Question) -> Vec<u8> {
        let mut question = question.clone();
        question
            .headers
            .push(("Connection".to_owned(), "keep-alive".to_owned()));
        wire::bytes(&self.origin, &question)
    }
}

/// A question with the usual header fields of an authenticated client.
pub fn question(method: &str, target: &str, user: &str, body: Option<Vec<u8>>) -> Question {
    let credentials = format!("{user}:{}", super::process::PASSWORD);
    let credentials = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, credentials);
    Question {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: vec![("Authorization".to_owned(), format!("Basic {credentials}"))],
        body,
    }
}

/// The question with one more header field.
pub fn with(mut question: Question, name: &str, value: &str) -> Question {
    question.headers.push((name.to_owned(), value.to_owned()));
    question
}
