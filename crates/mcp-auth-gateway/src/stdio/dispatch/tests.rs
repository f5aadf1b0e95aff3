use crate::stdio::client::MAX_QUEUED;

use super::*;

fn session(id: &str) -> ClientId {
    ClientId::Session(id.into())
}

fn begin(dispatch: &mut Dispatch, client: &ClientId, line: &str) -> Begun {
    let message = Message::parse(line.as_bytes()).expect("a message");
    let Kind::Request(id, _) = &message.kind else { panic!("{line}") };
    dispatch.begin(client, &message, id).expect("a process")
}

fn forward(dispatch: &mut Dispatch, client: &ClientId, line: &str) -> Option<String> {
    let message = Message::parse(line.as_bytes()).expect("a message");
    let line = dispatch.forward(client, &message)?;
    Some(String::from_utf8(line.to_vec()).expect("UTF-8"))
}

/// What a client can read of a stream now, and whether it has ended.
fn read(stream: &mut StreamReceiver) -> (Vec<String>, bool) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut read = Vec::new();
    loop {
        match stream.poll_next(&mut context) {
            std::task::Poll::Ready(Some(next)) => {
                read.push(String::from_utf8(next.message.to_vec()).expect("UTF-8"));
            }
            std::task::Poll::Ready(None) => return (read, true),
            std::task::Poll::Pending => return (read, false),
        }
    }
}

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"_meta":{"progressToken":1.0}}}"#;

#[test]
fn numbers_are_unique_and_ids_come_back_as_they_were() {
    let mut dispatch = Dispatch::new(true);
    let mut begun: Vec<_> =
        ["a", "b", "a"].map(|id| begin(&mut dispatch, &session(id), CALL)).into();
    let lines: Vec<_> = begun.iter().map(|begun| begun.line.clone()).collect();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line, &CALL.replace("1.0", &(number + 1).to_string()));
    }
    for number in [2, 1, 3] {
        let answer = format!(r#"{{"jsonrpc":"2.0","result":{{"id":9}},"id":{number} }}"#);
        assert_eq!(dispatch.receive(answer.as_bytes()), Received::Delivered);
        assert_eq!(dispatch.receive(answer.as_bytes()), Received::Unclaimed, "once");
        let (read, is_over) = read(&mut begun[number - 1].stream);
        assert_eq!(read, [r#"{"jsonrpc":"2.0","result":{"id":9},"id":1.0 }"#]);
        assert!(is_over);
    }
    for id in ["1.0", "\"1\"", "4", "-1", "99999999999999999999999"] {
        let answer = format!(r#"{{"jsonrpc":"2.0","result":{{}},"id":{id}}}"#);
        assert_eq!(dispatch.receive(answer.as_bytes()), Received::Unclaimed, "{id}");
    }
}

#[test]
fn messages_for_a_client_without_a_stream_wait_and_are_bounded() {
    let mut dispatch = Dispatch::new(false);
    let client = session("a");
    let begun = begin(&mut dispatch, &client, CALL);
    drop(begun);
    let notify =
        |n: usize| format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{n}}}"#);
    for n in 0..MAX_QUEUED {
        assert_eq!(dispatch.receive(notify(n).as_bytes()), Received::Delivered);
    }
    assert_eq!(dispatch.receive(notify(0).as_bytes()), Received::Unclaimed);
    let asked = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#;
    let answered = dispatch.receive(asked.as_bytes());
    assert!(
        matches!(answered, Received::Answered(error) if error.starts_with(br#"{"jsonrpc":"2.0","id":"q","error""#))
    );
    let mut stream = dispatch.listen(&client).expect("a process");
    let (waited, is_over) = read(&mut stream);
    assert_eq!((waited.len(), waited[0].clone(), is_over), (MAX_QUEUED, notify(0), false));
    // A caller without sessions opens no such stream, so nothing waits for it.
    let mut dispatch = Dispatch::new(false);
    let begun = begin(
        &mut dispatch,
        &ClientId::of_caller(crate::stdio::owner::Owner::of(None), None),
        CALL,
    );
    drop(begun);
    assert_eq!(dispatch.receive(notify(0).as_bytes()), Received::Unclaimed);
}

#[test]
fn requests_of_the_process_are_numbered_bounded_and_answered_if_the_client_goes() {
    let mut dispatch = Dispatch::new(false);
    let client = session("a");
    let mut stream = {
        let _ = begin(&mut dispatch, &client, CALL);
        dispatch.listen(&client).expect("a process")
    };
    let asked = r#"{"jsonrpc":"2.0","id":"\u0071","method":"sampling/createMessage","params":{"_meta":{"progressToken":"p"}}}"#;
    assert_eq!(dispatch.receive(asked.as_bytes()), Received::Delivered);
    let (read_first, _) = read(&mut stream);
    assert_eq!(read_first, [asked.replace(r#""\u0071""#, "1").replace(r#""p""#, "1")]);
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}"#;
    assert_eq!(forward(&mut dispatch, &client, progress), Some(progress.replace('1', r#""p""#)));
    assert_eq!(forward(&mut dispatch, &session("b"), progress), None);
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}"#;
    assert_eq!(dispatch.receive(cancelled.as_bytes()), Received::Delivered);
    assert_eq!(read(&mut stream).0, [cancelled.replace(r#""q""#, "1")]);
    assert_eq!(forward(&mut dispatch, &client, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), None);
    for _ in 0..MAX_ASKED {
        assert_eq!(dispatch.receive(asked.as_bytes()), Received::Delivered);
    }
    assert!(matches!(dispatch.receive(asked.as_bytes()), Received::Answered(_)));
    let answers = dispatch.leave(&client);
    assert_eq!(answers.len(), MAX_ASKED);
    assert!(answers[0].starts_with(br#"{"jsonrpc":"2.0","id":"\u0071","error""#));
    assert!(read(&mut stream).1);
}

#[test]
fn the_end_of_a_process_answers_all_that_waits() {
    let mut dispatch = Dispatch::new(false);
    let mut one = begin(&mut dispatch, &session("a"), CALL);
    let other = begin(&mut dispatch, &session("a"), CALL);
    let mut listening = dispatch.listen(&session("a")).expect("a process");
    assert!(dispatch.is_busy());
    drop(other);
    dispatch.end("it \"ended\"");
    let error = r#"{"jsonrpc":"2.0","id":1.0,"error":{"code":502,"message":"it \"ended\""}}"#;
    assert_eq!(read(&mut one.stream), (vec![error.to_owned()], true));
    assert_eq!(read(&mut listening), (vec![], true));
    assert!(!dispatch.is_busy());
    let message = Message::parse(CALL.as_bytes()).expect("a message");
    let Kind::Request(id, _) = &message.kind else { panic!("{message:?}") };
    assert!(dispatch.begin(&session("a"), &message, id).is_err());
    assert!(dispatch.listen(&session("a")).is_err());
}
