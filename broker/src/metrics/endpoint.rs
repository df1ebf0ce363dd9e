use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Connections served at the same time. Scrapers are few.
const CONNECTIONS_MAX: usize = 16;
/// The longest that one connection lives. Scrapers open another.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What the endpoint serves.
pub trait Source: Send + Sync + 'static {
    /// A page of metrics as chunks of text, made while they are sent.
    type Page: Iterator<Item = String> + Send + Unpin;

    /// The state of things now.
    fn page(&self) -> impl Future<Output = Self::Page> + Send;

    /// Whether clients are served: what `/healthz` answers.
    fn is_healthy(&self) -> bool;
}

/// `GET /metrics` and `GET /healthz` over HTTP/1.1. Dropping it closes the port.
///
/// Whoever reaches the port may read: bind it to loopback or a network of your own.
#[derive(Debug)]
pub struct MetricsEndpoint {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsEndpoint {
    /// Binds and serves; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not ours.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start<S: Source>(address: SocketAddr, source: Arc<S>) -> std::io::Result<MetricsEndpoint> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, source));
        Ok(MetricsEndpoint { address, task })
    }

    /// The address with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<S: Source>(listener: TcpListener, source: Arc<S>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let source = source.clone();
                tokio::spawn(async move {
                    // Neither a slow scraper nor a broken one is worth a word.
                    let _ = timeout(CONNECTION_TIME_MAX, serve(stream, source)).await;
                    drop(permit);
                });
            }
            // Want of descriptors, most likely: trying at once would only burn a core.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve<S: Source>(stream: TcpStream, source: Arc<S>) {
    let service = service_fn(|request: Request<Incoming>| {
        let source = source.clone();
        async move { Ok::<_, Infallible>(answer(&request, &*source).await) }
    });
    let _ = http1::Builder::new()
        .half_close(true)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer<S: Source>(request: &Request<Incoming>, source: &S) -> Response<Chunks<S::Page>> {
    let text = |status, text: &str| {
        let mut response = Response::new(Chunks::Text(Some(text.to_owned())));
        *response.status_mut() = status;
        response
    };
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => Response::new(Chunks::Page(source.page().await)),
        (&Method::GET, "/healthz") if source.is_healthy() => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/healthz") => text(StatusCode::SERVICE_UNAVAILABLE, "not serving\n"),
        (_, "/metrics" | "/healthz") => {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            refused
        }
        _ => text(StatusCode::NOT_FOUND, "/metrics and /healthz are here\n"),
    };
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// A body that is made while it is sent: a page of a hundred thousand partitions never lies in memory whole.
enum Chunks<P> {
    Text(Option<String>),
    Page(P),
}

impl<P: Iterator<Item = String> + Unpin> Body for Chunks<P> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Chunks::Text(text) => text.take(),
            Chunks::Page(page) => page.next(),
        };
        Poll::Ready(next.map(|text| Ok(Frame::data(text.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Chunks::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, String::len) as u64),
            Chunks::Page(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Toy(AtomicBool);

    impl Source for Toy {
        type Page = std::vec::IntoIter<String>;

        async fn page(&self) -> Self::Page {
            vec!["first\n".to_owned(), "second\n".repeat(20_000)].into_iter()
        }

        fn is_healthy(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    async fn ask(endpoint: &MetricsEndpoint, request: &str) -> String {
        let mut stream = TcpStream::connect(endpoint.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(endpoint: &MetricsEndpoint, path: &str) -> String {
        ask(endpoint, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    #[tokio::test]
    async fn pages_health_and_refusals() {
        let toy = Arc::new(Toy(AtomicBool::new(true)));
        let endpoint = MetricsEndpoint::start("127.0.0.1:0".parse().unwrap(), toy.clone()).await.unwrap();
        let page = get(&endpoint, "/metrics?x=y").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page:.200}");
        assert!(page.contains("content-type: text/plain; version=0.0.4"), "{page:.200}");
        assert!(page.contains("first\n"));
        assert_eq!(page.matches("second\n").count(), 20_000);

        assert!(get(&endpoint, "/healthz").await.ends_with("\r\n\r\nok\n"));
        toy.0.store(false, Ordering::Relaxed);
        assert!(get(&endpoint, "/healthz").await.starts_with("HTTP/1.1 503 "));
        assert!(get(&endpoint, "/").await.starts_with("HTTP/1.1 404 "));
        let post = "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let refused = ask(&endpoint, post).await;
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET"), "{refused}");
        assert!(ask(&endpoint, "\0\0\0\x04api?\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        // HTTP/1.0 knows no chunks: the page ends with the connection.
        let old = ask(&endpoint, "GET /metrics HTTP/1.0\r\n\r\n").await;
        assert_eq!(old.matches("second\n").count(), 20_000);
    }
}
