//! One client's connection: HTTP/1 by hyper, within limits. A watch ends it when the head of a request takes too long to come
//! or nothing is asked for too long; hyper's own timer would be set and unset for every request, and ends no client that does
//! not read its answers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use super::answer::Answer;
use super::options::Limits;

/// Serves a connection until the client is done or a limit is reached. `crowded` says whether others wait for a connection.
pub async fn serve(
    stream: TcpStream,
    limits: Arc<Limits>,
    crowded: impl Fn() -> bool,
    answer: impl Fn(&Parts) -> Answer,
) {
    let activity = Arc::new(Activity::new());
    let service = service_fn(|request: Request<Incoming>| {
        activity.request();
        // The body is not read: nothing that is served has one, and hyper closes the connection where there is.
        let (parts, _) = request.into_parts();
        std::future::ready(Ok::<_, std::convert::Infallible>(answer(&parts)))
    });
    let io = Observed { io: TokioIo::new(stream), activity: Arc::clone(&activity) };
    // No `pipeline_flush`: with it, answers pile up without a bound for a client that asks and does not read.
    let connection = http1::Builder::new()
        .max_headers(limits.headers)
        // Less makes hyper panic.
        .max_buf_size(limits.head_octets.max(8192))
        .header_read_timeout(None)
        .serve_connection(io, service);
    tokio::select! {
        biased;
        // A client that breaks off or breaks the protocol has had hyper's answer; there is nobody to tell.
        _ = connection => {}
        () = watch(&activity, &limits, crowded) => {}
    }
}

/// Ends when a limit is reached. Looks often enough that a limit is exceeded by no more than half of the shorter one.
async fn watch(activity: &Activity, limits: &Limits, crowded: impl Fn() -> bool) {
    let mut ticks = interval(limits.head_time.min(limits.idle_time).max(Duration::from_millis(2)) / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let idle_time = if crowded() { limits.idle_time.min(limits.head_time) } else { limits.idle_time };
        if activity.in_head_for() >= limits.head_time || activity.idle_for() >= idle_time {
            return;
        }
    }
}

/// When the client last did what. Times are milliseconds since the connection began.
struct Activity {
    began: Instant,
    last_request: AtomicU64,
    /// When the first octet came after the last request; `NEVER` before that.
    head_began: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Activity {
    fn new() -> Self {
        Self { began: Instant::now(), last_request: AtomicU64::new(0), head_began: AtomicU64::new(NEVER) }
    }

    fn request(&self) {
        self.last_request.store(self.elapsed(), Ordering::Relaxed);
        self.head_began.store(NEVER, Ordering::Relaxed);
    }

    fn octets(&self) {
        if self.head_began.load(Ordering::Relaxed) == NEVER {
            self.head_began.store(self.elapsed(), Ordering::Relaxed);
        }
    }

    fn in_head_for(&self) -> Duration {
        match self.head_began.load(Ordering::Relaxed) {
            NEVER => Duration::ZERO,
            began => Duration::from_millis(self.elapsed().saturating_sub(began)),
        }
    }

    fn idle_for(&self) -> Duration {
        Duration::from_millis(self.elapsed().saturating_sub(self.last_request.load(Ordering::Relaxed)))
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

/// A stream that notes when octets come.
struct Observed {
    io: TokioIo<TcpStream>,
    activity: Arc<Activity>,
}

impl Read for Observed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            self.activity.octets();
        }
        read
    }
}

impl Write for Observed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }
}
