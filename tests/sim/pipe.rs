//! A connection in memory: two bounded buffers, with what can happen to a real one (a half-close, a reset, a
//! peer that is simply gone). What a reader does not take fills the buffer, and then the writer waits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use smol::io::{AsyncRead, AsyncWrite};

/// One direction.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    most: usize,
    /// The writer has said that nothing more will come.
    fin: bool,
    /// The connection was reset: whoever touches it gets an error.
    reset: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Way {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// One end of a connection.
pub(crate) struct End {
    inward: Rc<RefCell<Way>>,
    outward: Rc<RefCell<Way>>,
}

/// Two connected ends; each direction holds at most `most` bytes that nobody has read.
pub(crate) fn pair(most: usize) -> (End, End) {
    let way = || Rc::new(RefCell::new(Way { most, ..Way::default() }));
    let (there, back) = (way(), way());
    (End { inward: back.clone(), outward: there.clone() }, End { inward: there, outward: back })
}

impl End {
    /// Says that nothing more will be written; reading goes on.
    pub(crate) fn fin(&self) {
        let mut way = self.outward.borrow_mut();
        way.fin = true;
        way.wake();
    }

    /// Ends both directions at once, as RST does.
    pub(crate) fn reset(&self) {
        for way in [&self.inward, &self.outward] {
            let mut way = way.borrow_mut();
            (way.reset, way.fin) = (true, true);
            way.bytes.clear();
            way.wake();
        }
    }

    /// Bytes that came and were not read.
    pub(crate) fn unread(&self) -> usize {
        self.inward.borrow().bytes.len()
    }

    /// Has the other end gone, or said that it will write nothing more?
    pub(crate) fn peer_is_done(&self) -> bool {
        self.inward.borrow().fin
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.fin();
        let mut way = self.inward.borrow_mut();
        way.reader_gone = true;
        way.wake();
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = self.inward.borrow_mut();
        if way.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if way.bytes.is_empty() && !way.fin {
            way.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = way.bytes.len().min(buffer.len());
        buffer.iter_mut().zip(way.bytes.drain(..n)).for_each(|(to, from)| *to = from);
        if let Some(writer) = way.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = self.outward.borrow_mut();
        if way.reset || way.fin || way.reader_gone {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let n = bytes.len().min(way.most - way.bytes.len());
        if n == 0 && !bytes.is_empty() {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.bytes.extend(&bytes[..n]);
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fin();
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_pipe_is_bounded_half_closes_and_resets() {
    use smol::future::poll_once;
    use smol::io::{AsyncReadExt, AsyncWriteExt};
    smol::block_on(async {
        let (mut a, mut b) = pair(4);
        assert!(poll_once(a.write_all(b"hello")).await.is_none(), "four bytes fit");
        let mut buffer = [0; 8];
        assert_eq!(b.read(&mut buffer).await.unwrap(), 4);
        a.fin();
        assert_eq!(b.read(&mut buffer).await.unwrap(), 0, "half-closed");
        b.write_all(b"back").await.unwrap();
        assert_eq!(a.read(&mut buffer).await.unwrap(), 4, "the other half is open");
        a.reset();
        assert_eq!(b.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(b.write(b"x").await.is_err());
    });
}
