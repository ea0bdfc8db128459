//! Asking clients for results.

use std::time::Duration;

use hubline_hub::{Clients, Hub, HubError, InvokeError};
use hubline_protocol::ConnectionId;

use crate::client::{Client, call, result, start};

async fn ask(clients: Clients, id: ConnectionId) -> String {
    match clients.client(&id).invoke::<String>("Ask", ("?",)).await {
        Ok(answer) => answer,
        Err(error) => format!("error: {error}"),
    }
}

fn hub() -> Hub {
    Hub::new("Test")
        .method("Ask", ask)
        .method("AskCaller", async |clients: Clients| clients.caller().invoke::<String>("Ask", ("?",)).await)
        .method("AskTwice", async |clients: Clients| {
            let first: i32 = clients.caller().invoke("Ask", (1,)).await?;
            let second: i32 = clients.caller().invoke("Ask", (2,)).await?;
            Ok::<_, InvokeError>(first + second)
        })
        .method("AskWithin", async |clients: Clients, id: ConnectionId| {
            let asked =
                clients.client(&id).timeout(Duration::from_secs(3)).invoke::<String>("Ask", ("?",)).await;
            asked.unwrap_or_else(|error| error.to_string())
        })
        .method("Add", async |a: i32, b: i32| a + b)
}

/// The question a client was asked: its invocation id.
async fn asked(client: &mut Client, argument: &str) -> String {
    let question = client.next().await;
    let id = question.split('"').nth(5).unwrap().to_owned();
    let expected = format!(r#"{{"type":1,"invocationId":"{id}","target":"Ask","arguments":[{argument}]}}␞"#);
    assert_eq!(question, expected);
    id
}

fn answer(id: &str, value: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","result":{value}}}␞"#)
}

fn refusal(id: &str, error: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","error":"{error}"}}␞"#)
}

#[tokio::test]
async fn the_answer_of_another_client_comes_back() {
    let hub = start(hub());
    let (mut a, mut b) = (Client::connect(&hub, "a").await, Client::connect(&hub, "b").await);
    a.send(&call(1, "Ask", "\"b\"")).await;
    let id = asked(&mut b, "\"?\"").await;
    b.send(&[answer(&id, "\"blue\""), answer(&id, "\"late\""), call(9, "Add", "1,2")].concat()).await;
    assert_eq!(a.next().await, result(1, "\"blue\""));
    assert_eq!(b.next().await, result(9, "3"));

    a.send(&call(2, "Ask", "\"b\"")).await;
    let id = asked(&mut b, "\"?\"").await;
    b.send(&refusal(&id, "no")).await;
    assert_eq!(a.next().await, result(2, "\"error: no\""));

    a.send(&call(3, "Ask", "\"nobody\"")).await;
    assert_eq!(a.next().await, result(3, "\"error: Connection 'nobody' does not exist.\""));

    a.send(&call(4, "Ask", "\"b\"")).await;
    asked(&mut b, "\"?\"").await;
    drop(b);
    assert_eq!(a.next().await, result(4, "\"error: Connection 'b' disconnected.\""));
}

#[tokio::test]
async fn the_caller_can_be_asked_and_its_next_call_begins_meanwhile() {
    let hub = start(hub());
    let mut a = Client::connect(&hub, "a").await;
    a.send(&call(1, "AskTwice", "")).await;
    let first = asked(&mut a, "1").await;
    // Behind a call that takes the slot that was given back.
    a.send(&[call(2, "Add", "1,2"), call(3, "Add", "2,2"), answer(&first, "20")].concat()).await;
    assert_eq!(a.next().await, result(2, "3"));
    assert_eq!(a.next().await, result(3, "4"));
    let second = asked(&mut a, "2").await;
    a.send(&answer(&second, "22")).await;
    assert_eq!(a.next().await, result(1, "42"));
    // The slots are what they were: one call at a time.
    a.send(&[call(4, "AskCaller", ""), call(5, "Add", "3,3")].concat()).await;
    let id = asked(&mut a, "\"?\"").await;
    assert_eq!(a.next().await, result(5, "6"));
    a.send(&answer(&id, "\"x\"")).await;
    assert_eq!(a.next().await, result(4, "\"x\""));
}

#[tokio::test]
async fn what_a_client_answers_wrongly_is_told_to_the_caller() {
    let hub = start(hub());
    let mut a = Client::connect(&hub, "a").await;
    for (answer, text) in [
        (r#""result":5"#, "Error trying to deserialize result to String. "),
        (r#""error":"cannot""#, "cannot"),
    ] {
        a.send(&call(1, "AskCaller", "")).await;
        let id = asked(&mut a, "\"?\"").await;
        a.send(&format!(r#"{{"type":3,"invocationId":"{id}",{answer}}}␞"#)).await;
        let answered = a.next().await;
        let expected =
            format!("An unexpected error occurred invoking 'AskCaller' on the server. HubException: {text}");
        assert!(answered.contains(&expected), "{answered}");
    }
}

#[tokio::test]
async fn an_answer_to_anothers_question_closes_who_gave_it() {
    let hub = start(hub());
    let (mut a, mut b) = (Client::connect(&hub, "a").await, Client::connect(&hub, "b").await);
    let mut c = Client::connect(&hub, "c").await;
    a.send(&call(1, "Ask", "\"b\"")).await;
    let id = asked(&mut b, "\"?\"").await;
    c.send(&answer(&id, "\"forged\"")).await;
    assert!(c.next().await.starts_with(r#"{"type":7,"error":"#));
    b.send(&answer(&id, "\"real\"")).await;
    assert_eq!(a.next().await, result(1, "\"real\""));
}

#[tokio::test(start_paused = true)]
async fn waiting_can_be_limited() {
    let hub = start(hub());
    let (mut a, mut b) = (Client::connect(&hub, "a").await, Client::connect(&hub, "b").await);
    a.send(&call(1, "AskWithin", "\"b\"")).await;
    let id = asked(&mut b, "\"?\"").await;
    assert_eq!(a.next().await, result(1, "\"Invocation canceled by the server.\""));
    b.send(&[answer(&id, "\"too late\""), call(2, "Add", "1,2")].concat()).await;
    assert_eq!(b.next().await, result(2, "3"));
}

#[tokio::test]
async fn nobody_is_asked_before_the_connection_is_made() {
    let hub = start(Hub::new("Test").on_connected(async |clients: Clients| {
        let asked = clients.caller().invoke::<String>("Ask", ("?",)).await;
        Err::<(), _>(HubError::new(asked.unwrap_err().to_string()))
    }));
    let mut a = Client::connect(&hub, "a").await;
    let text = "Client results inside OnConnectedAsync Hub methods are not allowed.";
    assert!(a.next().await.contains(text));
}

#[tokio::test]
async fn clients_are_asked_from_outside_too() {
    let hub = start(hub());
    let mut a = Client::connect(&hub, "a").await;
    let question = {
        let hub = hub.clone();
        tokio::spawn(async move { hub.clients().client("a").invoke::<i32>("Ask", ("?",)).await })
    };
    let id = asked(&mut a, "\"?\"").await;
    a.send(&answer(&id, "7")).await;
    assert_eq!(question.await.unwrap().unwrap(), 7);
}
