//! The tools that tests call, and what is known of their calls from outside.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use portcullis::{Builder, CallError, CallResult, Content, Level, RequestContext, Resource, Tool};
use serde::Deserialize;
use serde_json::{Value, json};

/// What happened in handlers.
#[derive(Default)]
pub(crate) struct Seen {
    /// Handlers that began.
    pub(crate) begun: Cell<usize>,
    /// Handlers whose future still exists: its drop guard has not run.
    pub(crate) alive: Cell<usize>,
    /// Handlers that came to their end.
    pub(crate) finished: Cell<usize>,
    /// What `note` was told, in order.
    pub(crate) notes: RefCell<Vec<String>>,
    /// Blocking jobs wait for one message each.
    pub(crate) gate: RefCell<Option<async_channel::Receiver<()>>>,
}

/// Counts a handler from its begin to the drop of its future.
struct Guard(Rc<Seen>);

impl Guard {
    fn new(seen: &Rc<Seen>) -> Guard {
        seen.begun.set(seen.begun.get() + 1);
        seen.alive.set(seen.alive.get() + 1);
        Guard(seen.clone())
    }

    fn finish(self) {
        self.0.finished.set(self.0.finished.get() + 1);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.alive.set(self.0.alive.get() - 1);
    }
}

#[derive(Deserialize)]
struct Echo {
    text: String,
}

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Steps {
    count: u32,
    #[serde(default)]
    gap_ms: u64,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Big {
    bytes: usize,
}

#[derive(Deserialize)]
struct Panics {
    when: String,
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A tool that leaves its arguments to its handler's own type.
pub(crate) fn lax(name: &str) -> Tool {
    Tool::new(name).input_schema(json!({ "type": "object" }))
}

/// Adds all of them.
pub(crate) fn add(builder: Builder, seen: &Rc<Seen>) -> Builder {
    let numbers = json!({
        "type": "object",
        "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
        "required": ["a", "b"],
    });
    let builder = builder
        .tool(lax("echo").read_only(), async |_: RequestContext, args: Echo| Ok(args.text))
        .tool(
            Tool::new("add").description("Adds two numbers.").input_schema(numbers),
            async |_: RequestContext, args: Add| Ok((args.a + args.b).to_string()),
        )
        .tool(lax("big"), async |_: RequestContext, args: Big| Ok("x".repeat(args.bytes)))
        .tool(Tool::new("odd"), async |_: RequestContext, _: Value| Ok("a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\u{1c}g"))
        .tool(Tool::new("fail"), async |_: RequestContext, _: Value| {
            Err::<CallResult, _>(CallError::new("the device said no"))
        })
        .tool(Tool::new("media").output_schema(json!({ "type": "object" })), async |_: RequestContext, _: Value| {
            let audio = Content::audio(b"\0\0\0", "audio/wav");
            let link = Content::link(&Resource::new("fw://rules", "rules"));
            Ok(CallResult::structured(json!({ "rules": 3 })).with_content(vec![Content::text("3 rules"), audio, link]))
        })
        .tool(Tool::new("who"), async |cx: RequestContext, _: Value| {
            let (client, id) = (cx.client(), cx.request_id().to_string());
            Ok(CallResult::structured(json!({
                "session": cx.session(), "id": id, "principal": cx.principal().to_string(),
                "client": &*client.name, "version": &*client.version,
            })))
        });
    guarded(builder, seen)
}

/// Those whose calls take time, or go wrong.
fn guarded(builder: Builder, seen: &Rc<Seen>) -> Builder {
    let (a, b, c, d, e, f, g, h) = (
        seen.clone(),
        seen.clone(),
        seen.clone(),
        seen.clone(),
        seen.clone(),
        seen.clone(),
        seen.clone(),
        seen.clone(),
    );
    builder
        .tool(lax("slow"), move |cx, args| slow(cx, args, a.clone()))
        .tool(lax("commit").uncancellable(), move |cx, args| slow(cx, args, b.clone()))
        .tool(lax("short").timeout(millis(5_000)), move |cx, args| slow(cx, args, c.clone()))
        .tool(lax("steps"), move |cx, args| steps(cx, args, d.clone()))
        .tool(lax("talk"), move |cx, args| talk(cx, args, e.clone()))
        .tool(lax("panics"), move |cx: RequestContext, args: Panics| {
            let guard = Guard::new(&f);
            assert!(args.when != "call", "a panic before the future is made");
            async move {
                let _guard = guard;
                assert!(args.when != "poll", "a panic in the first poll");
                cx.sleep(millis(100)).await;
                if args.when == "later" {
                    panic!("a panic after an await");
                }
                Ok("calm")
            }
        })
        .tool(lax("block"), move |cx: RequestContext, args: Echo| block(cx, args, g.clone()))
        .tool(lax("note"), move |_: RequestContext, args: Echo| {
            h.notes.borrow_mut().push(args.text);
            async { Ok("noted") }
        })
}

async fn slow(cx: RequestContext, args: Slow, seen: Rc<Seen>) -> Result<String, CallError> {
    let guard = Guard::new(&seen);
    cx.sleep(millis(args.ms)).await;
    guard.finish();
    Ok(args.text)
}

/// Progress, `count` times, then its text.
async fn steps(cx: RequestContext, args: Steps, seen: Rc<Seen>) -> Result<String, CallError> {
    let guard = Guard::new(&seen);
    for step in 1..=args.count {
        cx.progress(step.into(), Some(args.count.into()), Some("working"));
        if args.gap_ms > 0 {
            cx.sleep(millis(args.gap_ms)).await;
        }
    }
    guard.finish();
    Ok(args.text)
}

/// Log messages, `count` times, then its text.
async fn talk(cx: RequestContext, args: Steps, seen: Rc<Seen>) -> Result<String, CallError> {
    let guard = Guard::new(&seen);
    for step in 1..=args.count {
        cx.log(Level::Info, "talk", &json!({ "step": step, "filler": "x".repeat(100) }));
        if args.gap_ms > 0 {
            cx.sleep(millis(args.gap_ms)).await;
        }
    }
    guard.finish();
    Ok(args.text)
}

/// Holds a thread until the gate lets it go.
async fn block(cx: RequestContext, args: Echo, seen: Rc<Seen>) -> Result<String, CallError> {
    let guard = Guard::new(&seen);
    let gate = seen.gate.borrow().clone();
    cx.unblock(move || gate.map(|gate| gate.recv_blocking())).await?;
    guard.finish();
    Ok(args.text)
}
