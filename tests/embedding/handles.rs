//! What a handle answers, from where, and what it says when it cannot.

use std::net::{Ipv4Addr, TcpListener};
use std::pin::pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use portcullis::{AskError, CallError, Handle, Listener, RequestContext, Server, Tool};
use serde_json::{Value, json};
use smol::future::{FutureExt, poll_once};

use crate::client::Place;
use crate::turn;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

fn bare(handle: &Handle) -> Server {
    Server::builder("bare", "1").handle(handle).build().unwrap()
}

/// A server on a thread of its own whose tools ask the handle in every way.
fn curious(handle: &Handle) -> (Place, thread::JoinHandle<()>, mpsc::Receiver<mpsc::Sender<()>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let place = Place::Tcp(listener.local_addr().unwrap());
    let (remote, (stalled, stalls)) = (handle.clone(), mpsc::channel());
    let thread = thread::spawn(move || {
        let (here, there, awaited) = (remote.clone(), remote.clone(), remote.clone());
        let show = |answer: Result<String, AskError>| match answer {
            Ok(view) => Ok::<_, CallError>(serde_json::from_str::<Value>(&view)?["gauges"]["sessions"].to_string()),
            Err(error) => Ok(error.to_string()),
        };
        let tool = |name: &str| Tool::new(name).input_schema(json!({ "type": "object" }));
        let server = Server::builder("curious", "1")
            .handle(&remote)
            .tool(tool("here"), move |_: RequestContext, _: Value| {
                let answer = here.sessions_blocking(LONG);
                async move { show(answer) }
            })
            .tool(tool("there"), move |cx: RequestContext, _: Value| {
                let there = there.clone();
                async move { show(cx.unblock(move || there.sessions_blocking(LONG)).await?) }
            })
            .tool(tool("awaited"), move |_: RequestContext, _: Value| {
                let awaited = awaited.clone();
                async move { show(awaited.sessions().await) }
            })
            .tool(tool("stall"), move |_: RequestContext, _: Value| {
                let (release, wait) = mpsc::channel();
                stalled.send(release).unwrap();
                let _ = wait.recv_timeout(LONG);
                async { Ok("released") }
            });
        smol::block_on(server.build().unwrap().serve(vec![Listener::tcp(listener).unwrap()])).unwrap();
    });
    (place, thread, stalls)
}

#[test]
fn a_blocking_question_on_the_servers_own_thread_is_refused_with_the_remedy_and_answered_elsewhere() {
    let _turn = turn();
    let handle = Handle::new();
    let (place, thread, stalls) = curious(&handle);
    let session = place.open(json!({}));
    let refused = place.call(&session, "here", json!({}));
    assert!(
        refused.contains("own thread") && refused.contains("await") && refused.contains("another thread"),
        "{refused}"
    );
    assert_eq!(place.call(&session, "there", json!({})), "1");
    assert_eq!(place.call(&session, "awaited", json!({})), "1");
    assert!(handle.sessions_blocking(LONG).unwrap().contains("\"gauges\""));
    assert!(smol::block_on(handle.sessions()).unwrap().contains("\"gauges\""));

    // A handler that blocks: whoever asks is told so, and not held for longer than he wanted.
    let (elsewhere, id) = (place.clone(), session.clone());
    let stall = thread::spawn(move || elsewhere.call(&id, "stall", json!({})));
    let release = stalls.recv().unwrap();
    let error = handle.sessions_blocking(SHORT).unwrap_err();
    assert_eq!(error, AskError::TimedOut(SHORT));
    assert!(error.to_string().contains("unblock"), "{error}");
    release.send(()).unwrap();
    assert_eq!(stall.join().unwrap(), "released");
    assert!(handle.sessions_blocking(LONG).is_ok(), "the question that timed out harmed nobody");

    handle.shutdown(Duration::ZERO);
    thread.join().unwrap();
    assert_eq!(handle.sessions_blocking(LONG), Err(AskError::NotServing));
    assert_eq!(smol::block_on(handle.sessions()), Err(AskError::NotServing));
}

#[test]
fn before_the_server_begins_a_question_waits_in_a_queue_that_is_bounded() {
    let _turn = turn();
    let handle = Handle::new();
    assert_eq!(handle.sessions_blocking(SHORT), Err(AskError::TimedOut(SHORT)));
    smol::block_on(async {
        let mut questions: Vec<_> = (0..63).map(|_| Box::pin(handle.sessions())).collect();
        for question in &mut questions {
            assert!(poll_once(question).await.is_none());
        }
        assert_eq!(poll_once(handle.sessions()).await, Some(Err(AskError::Busy)));
        let serving = async {
            bare(&handle).serve(Vec::new()).await.unwrap();
        };
        let asking = async {
            for question in questions {
                assert!(question.await.is_ok(), "kept for the server");
            }
        };
        serving.or(asking).await;
    });
}

#[test]
fn who_waits_for_a_server_that_is_dropped_is_told_and_the_handle_may_have_another() {
    let _turn = turn();
    let handle = Handle::new();
    smol::block_on(async {
        let mut question = pin!(handle.sessions());
        {
            let mut serving = pin!(bare(&handle).serve(Vec::new()));
            assert!(poll_once(&mut serving).await.is_none());
            // Not polled again: the question stays in the queue.
            assert!(poll_once(&mut question).await.is_none());
            let twice = bare(&handle).serve(Vec::new()).await.unwrap_err().to_string();
            assert!(twice.contains("Handle of its own"), "{twice}");
        }
        assert_eq!(question.await, Err(AskError::NotServing));
        let next = async { bare(&handle).serve(Vec::new()).await.map(|()| String::new()).map_err(|_| AskError::Busy) };
        let asked = async {
            smol::future::yield_now().await; // the server has its first turn
            handle.sessions().await
        };
        assert!(next.or(asked).await.unwrap().contains("\"gauges\""));
    });
}

#[test]
fn a_handle_is_send_sync_clone_and_debug_and_says_nothing_secret() {
    fn is_all_of_it<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let handle = Handle::default();
    is_all_of_it(&handle);
    is_all_of_it(&AskError::Busy);
    for (error, word) in [
        (AskError::NotServing, "ended"),
        (AskError::Busy, "64 questions"),
        (AskError::Forked(7), "process 7"),
        (AskError::TimedOut(SHORT), "20ms"),
    ] {
        assert!(error.to_string().contains(word), "{error}");
    }
}
