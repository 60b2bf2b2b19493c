//! Lines of a file or of standard input, and the records in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use odradek_common::limits::{CLIENT_LINE_BYTES, CLIENT_LINES_AHEAD};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::ClientError;

/// Opens `path`, standard input if `None`, and reads its lines ahead, without their ends.
///
/// A thread of its own reads them, which nobody waits for: a read of a terminal cannot be given up.
///
/// # Errors
/// The file cannot be opened. What fails later comes as the last line.
pub(super) fn lines(path: Option<&Path>) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let input: Box<dyn Read + Send> = match path {
        Some(path) => Box::new(File::open(path)?),
        None => Box::new(io::stdin()),
    };
    let (sender, receiver) = mpsc::channel(CLIENT_LINES_AHEAD);
    thread::Builder::new()
        .name("odradek-input".to_owned())
        .spawn(move || send_lines(BufReader::new(input), &sender, CLIENT_LINE_BYTES))?;
    Ok(receiver)
}

fn send_lines(mut input: impl BufRead, lines: &Sender<io::Result<Vec<u8>>>, max_bytes: usize) {
    loop {
        let line = next_line(&mut input, max_bytes).transpose();
        let Some(line) = line else { return };
        let last = line.is_err();
        if lines.blocking_send(line).is_err() || last {
            return;
        }
    }
}

fn next_line(input: &mut impl BufRead, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    // Two bytes more, for the end of the line.
    if input.take(max_bytes as u64 + 2).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > max_bytes {
        let text = format!("a line of more than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Some(line))
}

/// Key and value of a line: all of it is the value without a separator.
///
/// # Errors
/// [`ClientError::Line`], if the separator is not in it. `number` is the line's, from 1.
pub(super) fn record<'a>(
    line: &'a [u8],
    separator: Option<&str>,
    number: u64,
) -> Result<(Option<&'a [u8]>, &'a [u8]), ClientError> {
    let Some(separator) = separator.filter(|separator| !separator.is_empty()) else {
        return Ok((None, line));
    };
    let found = line.windows(separator.len()).position(|part| part == separator.as_bytes());
    match found {
        Some(at) => Ok((Some(&line[..at]), &line[at + separator.len()..])),
        None => Err(ClientError::Line {
            line: number,
            reason: format!("it has no key: {separator:?} is not in it"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, max_bytes: usize) -> io::Result<Vec<Vec<u8>>> {
        let mut input = text.as_bytes();
        std::iter::from_fn(|| next_line(&mut input, max_bytes).transpose()).collect()
    }

    #[test]
    fn lines_come_without_their_ends() {
        let lines = all("a\r\n\nlast", 4).unwrap();
        assert_eq!(lines, [b"a".to_vec(), b"".to_vec(), b"last".to_vec()]);
    }

    #[test]
    fn a_line_has_a_limit() {
        assert_eq!(all("1234\n", 4).unwrap().len(), 1);
        assert_eq!(all("1234\r\n", 4).unwrap().len(), 1);
        assert!(all("12345\n", 4).is_err());
        assert!(all("1234567890", 4).is_err());
    }

    #[test]
    fn a_key_ends_at_the_first_separator() {
        assert_eq!(record(b"a=b", None, 1).unwrap(), (None, &b"a=b"[..]));
        assert_eq!(record(b"a=b=c", Some("="), 1).unwrap(), (Some(&b"a"[..]), &b"b=c"[..]));
        assert_eq!(record(b"=>v", Some("=>"), 1).unwrap(), (Some(&b""[..]), &b"v"[..]));
        let error = record(b"ab", Some("="), 3).unwrap_err();
        assert_eq!(error.to_string(), "line 3: it has no key: \"=\" is not in it");
    }
}
