//! Which message goes where, between the clients of a process and the process. It waits for nothing.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::stdio::client::{Client, ClientId};
use crate::stdio::ids::Ids;
use crate::stdio::message::{Kind, Message, Span, is_same_id};
use crate::stdio::own_messages;
use crate::stdio::stream::{Last, StreamReceiver, StreamSender};

/// The most requests of a process that wait for clients. Each of them is a question to a person or a model.
const MAX_ASKED: usize = 1024;

/// The clients of a process, and the requests in both directions.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    /// Whether its clients belong to different callers, so that what names no request is for nobody in particular.
    is_shared: bool,
    requests: Ids<Request>,
    asked: Ids<Asked>,
    clients: HashMap<ClientId, Client>,
    end: Option<Arc<str>>,
}

/// A request of a client.
#[derive(Debug)]
struct Request {
    id: Box<str>,
    progress_token: Option<Box<str>>,
    client: ClientId,
    stream: StreamSender,
}

/// A request of the process.
#[derive(Debug)]
struct Asked {
    id: Box<str>,
    progress_token: Option<Box<str>>,
    client: ClientId,
}

/// A request that was taken.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Its number.
    pub(crate) number: u64,
    /// What is sent to the process.
    pub(crate) line: Bytes,
    /// What is sent to the client.
    pub(crate) stream: StreamReceiver,
}

/// What became of a line of the process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Its client gets it.
    Delivered,
    /// It is no message.
    Unreadable,
    /// It is for nobody who is there.
    Unclaimed,
    /// It is a request that nobody can answer, which the process gets as answer.
    Answered(Bytes),
}

impl Dispatch {
    pub(crate) fn new(is_shared: bool) -> Self {
        Self { is_shared, ..Self::default() }
    }

    /// Takes a request of a client.
    ///
    /// # Errors
    ///
    /// Why the process has ended.
    pub(crate) fn begin(
        &mut self,
        client: &ClientId,
        message: &Message<'_>,
        id: &Span,
    ) -> Result<Begun, Arc<str>> {
        if let Some(why) = &self.end {
            return Err(Arc::clone(why));
        }
        let (sender, stream) = self.client(client).stream();
        let token = message.progress_token.as_ref();
        let number = self.requests.insert(Request {
            id: message.get(id).into(),
            progress_token: token.map(|token| message.get(token).into()),
            client: client.clone(),
            stream: sender,
        });
        let json = number.to_string();
        let line = message.with(&[(Some(id), &json), (token, &json)]);
        Ok(Begun { number, line, stream })
    }

    /// A notification or an answer of a client, as the process gets it. Returns `None` if it is about a request that is
    /// not this client's, or is over.
    pub(crate) fn forward(&mut self, client: &ClientId, message: &Message<'_>) -> Option<Bytes> {
        if let Kind::Response(id, _) = &message.kind {
            let (number, _) =
                self.asked.get(message.get(id)).filter(|(_, asked)| asked.client == *client)?;
            let asked = self.asked.remove(number)?;
            return Some(message.with(&[(Some(id), &asked.id)]));
        }
        if let Some(token) = &message.progress_token {
            let (_, asked) =
                self.asked.get(message.get(token)).filter(|(_, asked)| asked.client == *client)?;
            return Some(message.with(&[(Some(token), asked.progress_token.as_deref()?)]));
        }
        if let Some(id) = &message.cancels {
            let is_it = |request: &Request| {
                request.client == *client && is_same_id(&request.id, message.get(id))
            };
            let (number, _) = self.requests.newest(is_it)?;
            // A request that is cancelled is not answered: its stream ends.
            self.over(number);
            return Some(message.with(&[(Some(id), &number.to_string())]));
        }
        Some(message.with(&[]))
    }

    /// Forgets a request whose client has gone. Returns what tells the process, if it was under way.
    pub(crate) fn abandon(&mut self, number: u64) -> Option<Bytes> {
        self.over(number).map(|_| own_messages::cancelled(number))
    }

    /// Opens the stream on which a client listens, with what waits for it. An older one ends.
    pub(crate) fn listen(&mut self, id: &ClientId) -> Result<StreamReceiver, Arc<str>> {
        if let Some(why) = &self.end {
            return Err(Arc::clone(why));
        }
        Ok(self.client(id).listen())
    }

    /// Forgets a client. Returns what answers the requests of the process that it has not answered.
    pub(crate) fn leave(&mut self, client: &ClientId) -> Vec<Bytes> {
        self.clients.remove(client);
        self.requests.retain(|request| request.client != *client);
        let mut answers = Vec::new();
        self.asked.retain(|asked| {
            if asked.client == *client {
                answers.push(own_messages::error(&asked.id, 404, "The client has gone"));
            }
            asked.client != *client
        });
        answers
    }

    /// Ends everything. Each request that waits gets an error that says why.
    pub(crate) fn end(&mut self, why: &str) {
        self.end = Some(why.into());
        for request in self.requests.drain() {
            request.stream.push_last(own_messages::error(&request.id, 502, why), Some(502));
        }
        self.clients.clear();
    }

    /// Whether somebody waits for an answer, or listens.
    pub(crate) fn is_busy(&self) -> bool {
        self.requests.all().any(|request| request.stream.is_read())
            || self.clients.values().any(Client::is_listening)
    }

    /// Passes a line of the process on.
    pub(crate) fn receive(&mut self, line: &[u8]) -> Received {
        let Ok(message) = Message::parse(line) else { return Received::Unreadable };
        match &message.kind {
            Kind::Response(id, error) => self.answer(&message, id, *error),
            Kind::Request(id, _) => self.ask(&message, id),
            Kind::Notification(method) => self.notify(&message, method),
        }
    }

    fn answer(&mut self, message: &Message<'_>, id: &Span, error: Option<i64>) -> Received {
        let json = message.get(id);
        let number = self.requests.get(json).map(|(number, _)| number);
        let Some(request) = number.and_then(|number| self.over(number)) else {
            return Received::Unclaimed;
        };
        let subscription = message.subscription.as_ref().filter(|it| message.get(it) == json);
        let answer = message.with(&[(Some(id), &request.id), (subscription, &request.id)]);
        if !request.stream.push(answer, Some(Last { error })) && request.stream.is_read() {
            request.stream.push_last(too_slow(&request.id), Some(503));
        }
        Received::Delivered
    }

    fn ask(&mut self, message: &Message<'_>, id: &Span) -> Received {
        let json = message.get(id);
        let client = self.recipient().filter(|_| self.asked.len() < MAX_ASKED);
        let Some(client) = client else {
            return Received::Answered(own_messages::error(json, 404, "No client can answer this"));
        };
        let token = message.progress_token.as_ref();
        let number = self.asked.insert(Asked {
            id: json.into(),
            progress_token: token.map(|token| message.get(token).into()),
            client: client.clone(),
        });
        let own = number.to_string();
        if self.deliver(&client, message.with(&[(Some(id), &own), (token, &own)])) {
            return Received::Delivered;
        }
        self.asked.remove(number);
        Received::Answered(own_messages::error(json, 404, "No client can answer this"))
    }

    fn notify(&mut self, message: &Message<'_>, method: &str) -> Received {
        if let Some(token) = message.progress_token.as_ref().or(message.subscription.as_ref()) {
            let Some((number, request)) = self.requests.get(message.get(token)) else {
                return Received::Unclaimed;
            };
            let own = match &message.progress_token {
                Some(_) => request.progress_token.as_deref(),
                None => Some(&*request.id),
            };
            let Some(own) = own else { return Received::Unclaimed };
            let passed = message.with(&[(Some(token), own)]);
            return self.push_to(number, passed);
        }
        if let Some(id) = &message.cancels {
            let found = self.asked.newest(|asked| is_same_id(&asked.id, message.get(id)));
            let Some((number, client)) =
                found.map(|(number, asked)| (number, asked.client.clone()))
            else {
                return Received::Unclaimed;
            };
            self.asked.remove(number);
            let passed = message.with(&[(Some(id), &number.to_string())]);
            return self.delivered(&client, passed);
        }
        if method.ends_with("/list_changed") {
            let clients: Vec<_> = self.clients.keys().cloned().collect();
            for client in &clients {
                self.deliver(client, message.with(&[]));
            }
            return if clients.is_empty() { Received::Unclaimed } else { Received::Delivered };
        }
        match self.recipient() {
            Some(client) => self.delivered(&client, message.with(&[])),
            None => Received::Unclaimed,
        }
    }

    /// The client that a message is for which names no request: the only one, or the one with the newest request. Callers
    /// that share a process get only what can be for nobody else.
    fn recipient(&self) -> Option<ClientId> {
        let mut clients = self.clients.keys();
        if let (Some(only), None) = (clients.next(), clients.next()) {
            return Some(only.clone());
        }
        let (_, newest) = self.requests.newest(|_| true)?;
        let is_only = || self.requests.all().all(|request| request.client == newest.client);
        (!self.is_shared || is_only()).then(|| newest.client.clone())
    }

    fn delivered(&mut self, client: &ClientId, message: Bytes) -> Received {
        if self.deliver(client, message) { Received::Delivered } else { Received::Unclaimed }
    }

    /// Delivers a message that belongs to no request: to the stream on which the client listens, to its newest request, or
    /// to its next stream.
    fn deliver(&mut self, id: &ClientId, message: Bytes) -> bool {
        let Some(client) = self.clients.get_mut(id) else { return false };
        if client.push(&message) {
            return true;
        }
        let is_open = |request: &Request| request.client == *id && request.stream.is_read();
        if let Some((number, _)) = self.requests.newest(is_open) {
            return self.push_to(number, message) == Received::Delivered;
        }
        // A caller without sessions opens no stream that would get it.
        let client = self.clients.get_mut(id).filter(|_| matches!(id, ClientId::Session(_)));
        client.is_some_and(|client| client.queue(message))
    }

    /// Adds a message to the stream of a request. A client that is too slow for it loses the request.
    fn push_to(&mut self, number: u64, message: Bytes) -> Received {
        let Some((_, request)) = self.requests.get(&number.to_string()) else {
            return Received::Unclaimed;
        };
        if request.stream.push(message, None) {
            return Received::Delivered;
        }
        if request.stream.is_read() {
            request.stream.push_last(too_slow(&request.id), Some(503));
            self.over(number);
        }
        Received::Unclaimed
    }

    fn client(&mut self, id: &ClientId) -> &mut Client {
        self.clients.entry(id.clone()).or_default()
    }

    /// Removes a request. A caller without sessions is known while it has requests under way.
    fn over(&mut self, number: u64) -> Option<Request> {
        let request = self.requests.remove(number)?;
        let is_last = || !self.requests.all().any(|other| other.client == request.client);
        if matches!(request.client, ClientId::Caller(..)) && is_last() {
            self.clients.remove(&request.client);
        }
        Some(request)
    }
}

fn too_slow(id: &str) -> Bytes {
    own_messages::error(
        id,
        503,
        "The client reads its streams too slowly: what waits for it is too long",
    )
}

#[cfg(test)]
mod tests;
