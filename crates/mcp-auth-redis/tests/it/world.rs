//! Two processes of one resource, which share a server.

use std::time::{Duration, Instant, SystemTime};

use http_body_util::Empty;
use mcp_auth::{AuthInfo, Denial, Dpop, McpAuth, Revocations};
use mcp_auth_redis::{Redis, RedisSettings};
use mcp_auth_testkit::{DpopKey, TestIssuer};

pub(crate) const RESOURCE: &str = "https://api.example.com/mcp";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that serves the resource.
pub(crate) struct Process {
    pub(crate) auth: McpAuth,
    pub(crate) redis: Redis,
    pub(crate) revocations: Revocations,
}

pub(crate) struct World {
    pub(crate) issuer: TestIssuer,
    key: DpopKey,
    token: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let issuer = TestIssuer::new();
        issuer.clock().set(SystemTime::now());
        let key = DpopKey::generate(issuer.clone());
        let token = issuer.token().subject("holder").dpop_bound(&key).sign();
        Self { issuer, key, token }
    }

    pub(crate) fn process(&self, settings: RedisSettings) -> Process {
        self.process_with(settings, Revocations::new())
    }

    pub(crate) fn process_with(
        &self,
        settings: RedisSettings,
        revocations: Revocations,
    ) -> Process {
        let redis = settings.revocations(&revocations).connect().expect("settings");
        let builder = self.issuer.protects(RESOURCE).dpop(Dpop::optional());
        let builder = builder.revocations(&revocations).replay_store(redis.clone());
        Process { auth: builder.build().expect("a description"), redis, revocations }
    }

    /// A process, when it knows the revocations of others.
    pub(crate) async fn ready(&self, settings: RedisSettings) -> Process {
        let process = self.process(settings);
        until(|| process.redis.status().has_revocations).await;
        process
    }

    pub(crate) fn proof(&self) -> String {
        self.key.proof("POST", RESOURCE).token(&self.token).sign()
    }
}

impl Process {
    pub(crate) async fn bearer(&self, token: &str) -> Result<AuthInfo, Denial> {
        admit(
            &self.auth,
            http::Request::post("/mcp").header("authorization", format!("Bearer {token}")),
        )
        .await
    }

    /// The code of the refusal of a proof. Returns `admitted` if there is none.
    pub(crate) async fn proof(&self, world: &World, proof: &str) -> &'static str {
        let request =
            http::Request::post("/mcp").header("authorization", format!("DPoP {}", world.token));
        let admitted = admit(&self.auth, request.header("dpop", proof)).await;
        admitted.map_or_else(|denial| denial.code(), |_| "admitted")
    }

    /// Whether a token is refused as revoked.
    pub(crate) async fn refuses(&self, token: &str) -> bool {
        self.bearer(token).await.is_err_and(|denial| denial.code() == "inactive")
    }
}

async fn admit(auth: &McpAuth, request: http::request::Builder) -> Result<AuthInfo, Denial> {
    let (parts, body) = request.body(Empty::new()).expect("a request").into_parts();
    auth.admit(&parts, body).await.map(|(caller, _)| caller)
}

/// Waits until something is true. Returns how long it took.
pub(crate) async fn until(mut is_true: impl FnMut() -> bool) -> Duration {
    until_async(async || is_true()).await
}

pub(crate) async fn until_async(mut is_true: impl AsyncFnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_true().await {
        assert!(begin.elapsed() < PATIENCE, "it did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begin.elapsed()
}
