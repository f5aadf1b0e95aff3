//! TLS to the server, with the certificates of the library's tests.

use std::path::Path;

use mcp_auth_redis::RedisSettings;

use crate::server::{Server, free_port};
use crate::world::{World, until};

fn pem(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mcp-auth/tests/it/tls");
    folder.join(name).display().to_string()
}

#[tokio::test]
async fn the_certificate_of_the_server_is_checked() {
    let (port, cert, key, ca) = (free_port(), pem("server.pem"), pem("server.key"), pem("ca.pem"));
    let tls_port = port.to_string();
    let Some(server) = Server::start(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "right",
    ]) else {
        return;
    };
    let world = World::new();
    let read = |name: &str| std::fs::read(pem(name)).expect(name);
    let at = |host: &str, port: u16| {
        RedisSettings::at(format!("rediss://{host}:{port}")).password("right")
    };
    let good = world.ready(at("localhost", port).root_certificates(read("ca.pem"))).await;
    assert_eq!(good.proof(&world, &world.proof()).await, "admitted");
    for (name, settings, expected) in [
        ("an unknown authority", at("127.0.0.1", port), "tls"),
        ("another authority", at("127.0.0.1", port).root_certificates(read("other_ca.pem")), "tls"),
        ("another name", at("[::ffff:127.0.0.1]", port).root_certificates(read("ca.pem")), "tls"),
        ("no TLS there", at("127.0.0.1", server.port).root_certificates(read("ca.pem")), "timeout"),
    ] {
        let process = world.process(settings);
        let error = || process.redis.status().error.unwrap_or_default();
        until(|| error().starts_with(&format!("Redis: {expected}: "))).await;
        assert_eq!(process.proof(&world, &world.proof()).await, "unavailable", "{name}");
    }
}
