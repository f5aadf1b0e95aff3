//! What an operator does to a server.

use redis::{Commands as _, Connection};

use crate::server::Server;

impl Server {
    /// A connection of an operator.
    pub(crate) fn operator(&self) -> Connection {
        let client = redis::Client::open(self.url()).expect("a URL");
        client.get_connection().expect("a connection")
    }

    /// Sends a command, such as `CONFIG SET maxmemory 1`.
    pub(crate) fn command(&self, command: &str) -> redis::Value {
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().expect("a word"));
        cmd.arg(words.collect::<Vec<_>>());
        cmd.query(&mut self.operator()).expect(command)
    }

    /// All keys and how long each is kept, in milliseconds.
    pub(crate) fn keys(&self) -> Vec<(String, i64)> {
        let mut operator = self.operator();
        let keys: Vec<String> = operator.keys("*").expect("keys");
        keys.into_iter()
            .map(|key| {
                let left = operator.pttl(&key).expect("a time");
                (key, left)
            })
            .collect()
    }
}
