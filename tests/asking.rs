//! Handlers that ask their client: one source, and each revision's own way of asking (S-8, F-110 … F-148).

mod answers;
mod revisions;
mod rounds;
mod silence;

use serde_json::{Value, json};

use crate::sim::client::*;
use crate::sim::stateless::*;
use crate::sim::way::{WAYS, Way};

/// What was asked, and how the call ended.
#[derive(Debug)]
struct Played {
    /// Method and params of each question.
    questions: Vec<(String, Value)>,
    /// How often the call was sent.
    rounds: usize,
    last: Value,
}

impl Played {
    fn methods(&self) -> Vec<&str> {
        self.questions.iter().map(|(method, _)| method.as_str()).collect()
    }

    fn said(&self) -> &str {
        said(&self.last)
    }
}

impl Way {
    /// Calls a tool and answers every question with what `answer` says to its method and params.
    async fn play(&mut self, tool: &str, arguments: Value, answer: impl Fn(&str, &Value) -> Value) -> Played {
        let mut played = Played { questions: Vec::new(), rounds: 1, last: Value::Null };
        match self {
            Way::Stateless(client) => {
                let ask = client.call(tool, arguments);
                let mut sent = client.post(&ask).await;
                while sent.last()["result"]["resultType"] == "input_required" {
                    let result = &sent.last()["result"];
                    let mut answers = json!({});
                    for (key, question) in result["inputRequests"].as_object().unwrap() {
                        let method = question["method"].as_str().unwrap();
                        played.questions.push((method.to_owned(), question["params"].clone()));
                        answers[key] = answer(method, &question["params"]);
                    }
                    let again = ask.clone().again(&result["requestState"], answers);
                    sent = client.post(&again).await;
                    played.rounds += 1;
                }
                played.last = sent.last().clone();
            }
            Way::Streamable(session) => {
                let mut conn = session.send(&call("call", tool, arguments)).await;
                let head = conn.head().await.unwrap();
                if head.header("content-type") == Some(JSON) {
                    let mut head = head;
                    conn.rest_of(&mut head).await;
                    played.last = head.json();
                    return played;
                }
                while let Some(message) = conn.message().await {
                    if let Some(reply) = played.takes(message, &answer) {
                        assert_eq!(session.post(&reply).await.head.status, 202, "S-5");
                    }
                }
            }
            Way::HttpSse(legacy) => {
                assert_eq!(legacy.post(&call("call", tool, arguments)).await.status, 202);
                while played.last.is_null() {
                    let message = legacy.stream.message().await.unwrap();
                    if let Some(reply) = played.takes(message, &answer) {
                        assert_eq!(legacy.post(&reply).await.status, 202);
                    }
                }
            }
        }
        played
    }
}

impl Played {
    /// Notes a message of a session; a question has a reply.
    fn takes(&mut self, message: Value, answer: impl Fn(&str, &Value) -> Value) -> Option<String> {
        match message["method"].as_str() {
            Some(method) if !message["id"].is_null() => {
                let reply = response(&message["id"], answer(method, &message["params"]));
                self.questions.push((method.to_owned(), message["params"].clone()));
                Some(reply)
            }
            Some(_) => None,
            None => {
                assert_eq!(message["id"], "call");
                assert!(self.last.is_null(), "one answer");
                self.last = message;
                None
            }
        }
    }
}

/// A user who agrees and has a reason, a model that talks, and one folder.
fn agreeable(method: &str, params: &Value) -> Value {
    match method {
        "elicitation/create" if params["mode"] == "url" => json!({ "action": "accept" }),
        "elicitation/create" => json!({ "action": "accept", "content": { "reason": "it is late" } }),
        "sampling/createMessage" => {
            json!({ "role": "assistant", "content": { "type": "text", "text": "A gate." }, "model": "m", "stopReason": "endTurn" })
        }
        "roots/list" => json!({ "roots": [{ "uri": "file:///srv/fw", "name": "fw" }] }),
        _ => panic!("{method} is no question"),
    }
}

/// Opens a stream with a question on it: the connection behind it, and the question.
async fn asked(session: &Session, tool: &str) -> (crate::sim::wire::Conn, Value) {
    let mut conn = session.send(&call("call", tool, json!({}))).await;
    assert_eq!(conn.head().await.unwrap().header("content-type"), Some(SSE));
    let question = conn.message().await.unwrap();
    assert!(question["method"].is_string() && !question["id"].is_null(), "{question}");
    (conn, question)
}

/// The answer to a form.
fn because(reason: &str) -> Value {
    json!({ "action": "accept", "content": { "reason": reason } })
}
