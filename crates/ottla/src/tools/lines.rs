//! Lines of text as Kafka's tools read them, which is as Java does.
//!
//! Promises: a line ends with LF, CR or CR LF, and is given as soon as its end is there; its bytes are
//! UTF-8, with U+FFFD where the input is not.

use std::io::{BufRead, ErrorKind, Result};

/// Cuts what it reads into lines.
pub struct Lines<R> {
    input: R,
    /// The last line ended with CR: an LF right behind it belongs to that end.
    skips_lf: bool,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R) -> Lines<R> {
        Lines { input, skips_lf: false }
    }

    /// The next line without its end; `None` at the end of the input.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let Some(first) = bytes.first() else {
                return Ok((!line.is_empty()).then(|| utf8(line)));
            };
            if std::mem::take(&mut self.skips_lf) && *first == b'\n' {
                self.input.consume(1);
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else {
                let count = bytes.len();
                self.input.consume(count);
                continue;
            };
            self.skips_lf = bytes[end] == b'\r';
            self.input.consume(end + 1);
            return Ok(Some(utf8(line)));
        }
    }
}

/// Each malformed stretch becomes one U+FFFD. To Java a surrogate in three bytes is one stretch, to
/// Rust it is three.
fn utf8(mut bytes: Vec<u8>) -> Vec<u8> {
    if std::str::from_utf8(&bytes).is_ok() {
        return bytes;
    }
    const REPLACEMENT: &[u8; 3] = b"\xef\xbf\xbd";
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xed && bytes[at + 1] & 0xe0 == 0xa0 && bytes[at + 2] & 0xc0 == 0x80 {
            bytes[at..at + 3].copy_from_slice(REPLACEMENT);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// Also in pieces of one byte: no end may be lost between two of them.
    fn check(input: &[u8], expected: &[&[u8]]) {
        for capacity in [1, 4096] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, input));
            let mut found = Vec::new();
            while let Some(line) = lines.next_line().expect("a slice can be read") {
                found.push(line);
            }
            assert_eq!(found, expected, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_lone_cr_ends_a_line_too() {
        check(b"", &[]);
        check(b"a\rb\n", &[b"a", b"b"]);
        check(b"a\r\nb", &[b"a", b"b"]);
        check(b"a\r", &[b"a"]);
        check(b"\r\r\n", &[b"", b""]);
        check(b"a\n\rb\r\r\nc\n", &[b"a", b"", b"b", b"", b"c"]);
        check(b"a\n\n", &[b"a", b""]);
    }

    #[test]
    fn what_is_not_utf8_is_replaced_as_java_does() {
        const R: &str = "\u{fffd}";
        let cases: [(&[u8], String); 9] = [
            (b"\xff\xfea", format!("{R}{R}a")),
            (b"a\xc3", format!("a{R}")),
            (b"\xe2\x82x", format!("{R}x")),
            (b"\xed\xa0\x80", R.to_owned()),
            (b"\xf0\x9f\x98", R.to_owned()),
            (b"\xc0\x80", R.repeat(2)),
            (b"\xf5\x80\x80\x80", R.repeat(4)),
            (b"\xe0\x80\xaf", R.repeat(3)),
            ("\u{feff}ä".as_bytes(), "\u{feff}ä".to_owned()),
        ];
        for (input, expected) in cases {
            check(input, &[expected.as_bytes()]);
        }
    }
}
