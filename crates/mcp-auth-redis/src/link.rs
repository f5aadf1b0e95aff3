//! The connection to Redis, and who may use it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use mcp_auth::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisResult};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::failure::RedisUnavailable;
use crate::settings::Target;
use crate::telemetry::{self, LogTimes};

/// How long one command may take. Redis answers within a millisecond; a request waits for it.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a batch of commands may take, for which no request waits.
pub(crate) const BATCH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long commands may get no answer in time until the connection is ended. A process that is busy reads answers late, and
/// a new connection would not help it.
const MAX_LATE: Duration = Duration::from_millis(200);

/// How long a connection may take, with TLS and the password. No request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// One connection for all commands. If commands get no answer in time for [`MAX_LATE`], no other is sent before Redis has
/// answered to a ping on a new one: requests do not wait for a Redis that hangs, one after another.
pub(crate) struct Link {
    target: Target,
    connection: ArcSwapOption<MultiplexedConnection>,
    failure: Mutex<Option<RedisUnavailable>>,
    /// Why revocations are not shared, although Redis answers.
    sharing_failure: Mutex<Option<RedisUnavailable>>,
    pub(crate) lost: Notify,
    logged: LogTimes,
    /// When a command got no answer in time for the first time since the last answer.
    unanswered_since: Mutex<Option<Instant>>,
}

/// Commands, one or several, whose answer is read as a value.
pub(crate) trait Commands {
    fn send<'c, T: FromRedisValue + Send + 'c>(
        &'c self,
        connection: &'c mut MultiplexedConnection,
    ) -> BoxFuture<'c, RedisResult<T>>;
}

impl Commands for redis::Cmd {
    fn send<'c, T: FromRedisValue + Send + 'c>(
        &'c self,
        connection: &'c mut MultiplexedConnection,
    ) -> BoxFuture<'c, RedisResult<T>> {
        Box::pin(self.query_async(connection))
    }
}

impl Commands for redis::Pipeline {
    fn send<'c, T: FromRedisValue + Send + 'c>(
        &'c self,
        connection: &'c mut MultiplexedConnection,
    ) -> BoxFuture<'c, RedisResult<T>> {
        Box::pin(self.query_async(connection))
    }
}

impl Link {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            connection: ArcSwapOption::empty(),
            failure: Mutex::new(Some(RedisUnavailable::NEVER_ASKED)),
            sharing_failure: Mutex::default(),
            lost: Notify::new(),
            logged: LogTimes::default(),
            unanswered_since: Mutex::default(),
        }
    }

    /// Sends commands, if Redis answers at the moment.
    ///
    /// # Errors
    ///
    /// If it does not, or not in time, or with an error.
    pub(crate) async fn ask<T: FromRedisValue + Send>(
        &self,
        operation: &'static str,
        commands: &(impl Commands + Sync),
        limit: Duration,
    ) -> Result<T, RedisUnavailable> {
        let used = self.connection.load_full();
        let answer = match &used {
            Some(connection) => send(&mut (**connection).clone(), commands, limit).await,
            None => Err(RedisUnavailable::DOWN),
        };
        telemetry::operation(operation, answer.as_ref().map(drop));
        if answer.as_ref().err().is_none_or(|failure| !failure.ends_connection) {
            *lock(&self.unanswered_since) = None; // an error is an answer too
        }
        if let Err(failure) = &answer
            && *failure != RedisUnavailable::DOWN
        {
            if failure.ends_connection && !self.may_be_late(failure) {
                // Unless there is another one by now.
                let now = self.connection.compare_and_swap(&used, None);
                if now.as_ref().map(Arc::as_ptr) == used.as_ref().map(Arc::as_ptr) {
                    self.lost.notify_one();
                    self.is_down(failure);
                }
            } else if self.logged.is_due(operation, &failure.code) {
                tracing::error!(target: "mcp_auth", operation, "{failure}");
            }
        }
        answer
    }

    /// Whether Redis may have answered, and this process was too busy to see it.
    fn may_be_late(&self, failure: &RedisUnavailable) -> bool {
        if *failure != RedisUnavailable::TIMEOUT {
            return false;
        }
        let now = Instant::now();
        let since = *lock(&self.unanswered_since).get_or_insert(now);
        now.duration_since(since) < MAX_LATE
    }

    /// Makes a connection, which is used once Redis has answered to a ping.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn connect(&self) -> Result<(), RedisUnavailable> {
        let made = timeout(CONNECT_TIMEOUT, self.new_connection()).await;
        let connected = async {
            let mut connection = made.map_err(|_| RedisUnavailable::TIMEOUT)??;
            let () = send(&mut connection, &redis::cmd("PING"), COMMAND_TIMEOUT).await?;
            Ok(connection)
        };
        match connected.await {
            Ok(connection) => {
                *lock(&self.unanswered_since) = None;
                self.connection.store(Some(connection.into()));
                telemetry::connected(true);
                if self.failure().take().is_some() {
                    tracing::info!(target: "mcp_auth", "Redis answers");
                }
                Ok(())
            }
            Err(failure) => {
                self.is_down(&failure);
                Err(failure)
            }
        }
    }

    async fn new_connection(&self) -> Result<MultiplexedConnection, RedisUnavailable> {
        let Target { info, host, port, tls } = &self.target;
        let of_io = |error: std::io::Error| RedisUnavailable::of_io(&error);
        let stream = TcpStream::connect((&**host, *port)).await.map_err(of_io)?;
        stream.set_nodelay(true).map_err(of_io)?;
        let stream: Pin<Box<dyn Stream>> = match tls {
            None => Box::pin(stream),
            Some(tls) => Box::pin(tls.connect(stream).await.map_err(|_| RedisUnavailable::TLS)?),
        };
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(BATCH_TIMEOUT));
        let made =
            MultiplexedConnection::new_with_config(info.redis_settings(), stream, config).await;
        let (connection, driver) = made.map_err(|error| RedisUnavailable::of(&error))?;
        // It ends with the last clone of the connection.
        tokio::spawn(driver);
        Ok(connection)
    }

    fn is_down(&self, why: &RedisUnavailable) {
        telemetry::connected(false);
        *self.failure() = Some(why.clone());
        if self.logged.is_due("connection", &why.code) {
            tracing::error!(target: "mcp_auth", "{why}");
        }
    }

    /// Why Redis does not answer. Returns `None` if it does.
    pub(crate) fn why_down(&self) -> Option<RedisUnavailable> {
        self.failure().clone()
    }

    /// Why revocations are not shared, although Redis answers.
    pub(crate) fn sharing_failure(&self) -> Option<RedisUnavailable> {
        lock(&self.sharing_failure).clone()
    }

    pub(crate) fn set_sharing_failure(&self, failure: Option<RedisUnavailable>) {
        *lock(&self.sharing_failure) = failure;
    }

    fn failure(&self) -> MutexGuard<'_, Option<RedisUnavailable>> {
        lock(&self.failure)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send> Stream for S {}

async fn send<T: FromRedisValue + Send>(
    connection: &mut MultiplexedConnection,
    commands: &(impl Commands + Sync),
    limit: Duration,
) -> Result<T, RedisUnavailable> {
    let answer = timeout(limit, commands.send(connection)).await;
    let answer = answer.map_err(|_| RedisUnavailable::TIMEOUT)?;
    answer.map_err(|error| RedisUnavailable::of(&error))
}
