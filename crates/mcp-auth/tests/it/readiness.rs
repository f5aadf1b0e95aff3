//! tower's `Service` contract: only the instance that was polled ready is called, and no unused permit is held.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use mcp_auth::{BearerAuthLayer, GuardedBody};
use mcp_auth_testkit::TestIssuer;
use tokio::sync::Notify;
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::{Layer as _, Service, ServiceExt, service_fn};

use crate::world::{RESOURCE, bearer, request};

type Asked = Request<GuardedBody<Full<Bytes>>>;
type Answer = Response<Full<Bytes>>;

fn world() -> (BearerAuthLayer, HeaderMap) {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    (auth.bearer_auth(), bearer(&issuer.token().sign()))
}

/// A service that answers only when it is notified.
fn slow(
    told: &Arc<Notify>,
) -> impl Service<Asked, Response = Answer, Error = Infallible, Future: Send> + Clone + Send + use<>
{
    let told = told.clone();
    service_fn(move |_: Asked| {
        let told = told.clone();
        async move {
            told.notified().await;
            Ok(Response::new(Full::default()))
        }
    })
}

/// The result of a single `poll_ready`.
async fn polled<S: Service<Request<Full<Bytes>>>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    poll_fn(|context| Poll::Ready(service.poll_ready(context))).await
}

#[tokio::test]
async fn a_service_that_shed_load_takes_requests_again_once_there_is_room() {
    let (layer, headers) = world();
    let told = Arc::new(Notify::new());
    let service = layer.layer(LoadShed::new(ConcurrencyLimit::new(slow(&told), 1)));
    let ask = || service.clone().oneshot(request(headers.clone()));

    let first = tokio::spawn(ask());
    tokio::task::yield_now().await;
    // Several more at the same time, while there is no permit.
    let mut others: Vec<_> = (0..3).map(|_| service.clone()).collect();
    for other in &mut others {
        assert!(polled(other).await.is_ready(), "who sheds load is always ready");
    }
    for mut other in others {
        assert!(other.call(request(headers.clone())).await.is_err(), "too many");
    }
    told.notify_one();
    first.await.expect("no panic").expect("an answer");

    for _ in 0..3 {
        told.notify_one();
        ask().await.expect("nobody else is there");
    }
}

#[tokio::test]
async fn no_permit_is_held_without_being_used() {
    let (layer, headers) = world();
    let (told, panics) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (inner, will_panic) = (slow(&told), panics.clone());
    let inner = service_fn(move |asked| {
        assert!(!will_panic.swap(false, Ordering::Relaxed), "as it is told to");
        inner.clone().oneshot(asked)
    });
    let service = layer.layer(ConcurrencyLimit::new(inner, 1));

    let mut waiting = service.clone();
    assert!(polled(&mut waiting).await.is_ready());
    assert!(polled(&mut waiting).await.is_ready(), "it keeps its place");
    assert!(polled(&mut waiting.clone()).await.is_pending(), "a clone has none");
    drop(waiting);

    let refused = service.clone().oneshot(request(HeaderMap::new())).await;
    assert_eq!(refused.expect("an answer").status(), 401);

    panics.store(true, Ordering::Relaxed);
    let panicked = tokio::spawn(service.clone().oneshot(request(headers.clone()))).await;
    assert!(panicked.is_err_and(|error| error.is_panic()));

    let mut service = service.clone();
    let dropped = service.ready().await.expect("room").call(request(headers.clone()));
    assert!(polled(&mut service).await.is_pending(), "the other has the only place");
    drop(dropped);
    assert!(polled(&mut service).await.is_ready());
    let half_way = tokio::spawn(service.call(request(headers.clone())));
    tokio::task::yield_now().await;
    assert!(polled(&mut service).await.is_pending(), "the other has the only place");
    half_way.abort();
    assert!(half_way.await.is_err_and(|error| error.is_cancelled()));

    told.notify_one();
    let answer = service.ready().await.expect("room").call(request(headers)).await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_service_that_was_ready_before_the_layer_came_serves_the_first_request() {
    let (layer, headers) = world();
    let told = Arc::new(Notify::new());
    let mut inner = ConcurrencyLimit::new(slow(&told), 1);
    ServiceExt::<Asked>::ready(&mut inner).await.expect("room");
    let mut service = layer.layer(inner);
    for _ in 0..3 {
        assert!(polled(&mut service).await.is_ready());
        told.notify_one();
        service.call(request(headers.clone())).await.expect("an answer");
    }
}

#[tokio::test]
async fn a_queue_before_a_limit_serves_all() {
    let (layer, headers) = world();
    let told = Arc::new(Notify::new());
    let service = layer.layer(Buffer::new(ConcurrencyLimit::new(slow(&told), 2), 1));
    let ask = || tokio::spawn(service.clone().oneshot(request(headers.clone())));
    let all: Vec<_> = (0..50).map(|_| ask()).collect();
    for one in all {
        told.notify_one();
        assert_eq!(one.await.expect("no panic").expect("an answer").status(), 200);
    }
}

/// Is ready at the second poll, and panics if it is called before.
#[derive(Debug)]
struct Strict {
    polls: usize,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { polls: 0 }
    }
}

impl Service<Asked> for Strict {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls += 1;
        context.waker().wake_by_ref();
        if self.polls > 1 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Asked) -> Self::Future {
        assert!(self.polls > 1, "it was not ready");
        self.polls = 0;
        ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn only_an_instance_that_was_polled_ready_is_called() {
    let (layer, headers) = world();
    let mut service = layer.layer(Strict { polls: 0 });
    for _ in 0..20 {
        let ready = service.ready().await.expect("ready");
        ready.call(request(headers.clone())).await.expect("an answer");
        let mut clone = service.clone();
        assert!(polled(&mut clone).await.is_pending(), "it was never asked");
        let ready = clone.ready().await.expect("ready");
        ready.call(request(headers.clone())).await.expect("an answer");
        let refused = service.ready().await.expect("ready").call(request(HeaderMap::new())).await;
        assert_eq!(refused.expect("an answer").status(), 401);
    }
}
