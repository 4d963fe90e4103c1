//! As much of HTTP/1.1 as probes, proxies and Prometheus speak: requests with
//! an optional sized body, keep-alive, one answer per request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::{Answer, App};

/// Longest request line or header, in bytes.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// A connection that says nothing for so long is closed. Longer than a proxy
/// keeps its idle connections, so that the proxy is the one that closes.
const IDLE: Duration = Duration::from_secs(120);

/// Serves one connection until either side has had enough.
pub(crate) fn talk(stream: &TcpStream, app: &App) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let answer = app.answer(&request.path);
        write_answer(stream, app, &answer, &request)?;
        if !request.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}

struct Request {
    path: String,
    head: bool,
    keep_alive: bool,
}

/// Reads one request, its body thrown away; `None` when the peer is done.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let line = read_line(reader)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path, protocol) = (words.next(), words.next(), words.next());
    let Some(path) = path else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "request line without a path"));
    };
    let mut keep_alive = protocol != Some("HTTP/1.0");
    let mut body_bytes = 0;
    loop {
        let header = read_line(reader)?;
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("connection") {
            keep_alive = !value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.parse().unwrap_or(0);
        }
    }
    io::copy(&mut reader.take(body_bytes), &mut io::sink())?;
    Ok(Some(Request { path: path.to_owned(), head: method == Some("HEAD"), keep_alive }))
}

/// Reads up to the end of a line, which is cut off.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn write_answer(mut stream: &TcpStream, app: &App, answer: &Answer, request: &Request) -> io::Result<()> {
    let reason = match answer.status {
        200 => "OK",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let mut text = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nx-version: {}\r\nconnection: {}\r\n\r\n",
        answer.status,
        answer.body.len(),
        app.version,
        if request.keep_alive { "keep-alive" } else { "close" },
    );
    if !request.head {
        text.push_str(&answer.body);
    }
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::read_request;

    #[test]
    fn two_requests_on_one_connection_are_read_one_after_the_other() {
        let bytes = b"POST /a?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcHEAD /b HTTP/1.1\r\nConnection: close\r\n\r\n";
        let mut reader = BufReader::new(&bytes[..]);
        let first = read_request(&mut reader).unwrap().unwrap();
        assert_eq!((first.path.as_str(), first.head, first.keep_alive), ("/a?x=1", false, true));
        let second = read_request(&mut reader).unwrap().unwrap();
        assert_eq!((second.path.as_str(), second.head, second.keep_alive), ("/b", true, false));
        assert!(read_request(&mut reader).unwrap().is_none());
    }

    #[test]
    fn a_request_line_without_a_path_is_refused() {
        let mut reader = BufReader::new(&b"GET\r\n\r\n"[..]);
        assert!(read_request(&mut reader).is_err());
    }
}
