//! A GET of a small page over plain HTTP, enough to ask a node how it is.

use env::Env;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The largest page read.
const PAGE_BYTES_MAX: u64 = 64 * 1024;

/// The answer's status and body.
pub struct Page {
    pub status: u16,
    pub body: String,
}

/// Asks `host:port` for `path`.
pub async fn get(env: &Env, address: &str, path: &str) -> io::Result<Page> {
    let mut stream = env.net.connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    (&mut stream).take(PAGE_BYTES_MAX).read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(answer: &str) -> Option<Page> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next()?.parse().ok()?;
    Some(Page { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_status_and_a_body() {
        let page =
            parse("HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\nnot ready").expect("HTTP");
        assert_eq!((page.status, page.body.as_str()), (503, "not ready"));
        assert!(parse("SSH-2.0\r\n\r\n").is_none());
    }
}
