//! A connection whose first bytes were read, to find out its version of HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What an HTTP/2 connection begins with ([RFC 9113 §3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection, with the bytes that were read of it.
pub(crate) struct Opened<S> {
    first: BytesMut,
    stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Opened<S> {
    /// Reads until it is known whether the connection is one of HTTP/2.
    ///
    /// # Errors
    ///
    /// If the connection ends or fails before.
    pub(crate) async fn read(mut stream: S) -> io::Result<(Self, bool)> {
        let mut first = BytesMut::with_capacity(PREFACE.len());
        loop {
            if stream.read_buf(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let is_preface = first.iter().zip(PREFACE).all(|(byte, expected)| byte == expected);
            if !is_preface || first.len() >= PREFACE.len() {
                return Ok((Self { first, stream }, is_preface));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(self.first.get(..length).unwrap_or_default());
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_tell_the_version_and_are_read_again() {
        for (sent, expected) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], Some(false)),
            (b"P", None),
            (b"PUT / HTTP/1.1\r\n\r\n", Some(false)),
            (b"PRI * HT", None),
            (PREFACE, Some(true)),
            (b"", None),
        ] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(sent).await.expect("sent");
            drop(client);
            match (Opened::read(server).await, expected) {
                (Ok((mut opened, is_http2)), Some(expected)) => {
                    assert_eq!(is_http2, expected);
                    let mut read = Vec::new();
                    opened.read_to_end(&mut read).await.expect("read");
                    assert_eq!(read, sent);
                }
                (Err(_), None) => {}
                (read, expected) => panic!("{sent:?} {:?} {expected:?}", read.map(|(_, is)| is)),
            }
        }
    }
}
