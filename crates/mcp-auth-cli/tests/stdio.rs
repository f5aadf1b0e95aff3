//! `mcp-auth serve` in front of a server that speaks stdio, as a program of its own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that starts another program, and neither ends when its input does, nor when it is asked to. It answers each
/// line with the ids of both processes.
const SERVER: &str = "trap '' TERM; sleep 1000 & while read -r line; do echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"pids\":\"'$$ $!'\"}}'; done; while :; do sleep 1; done";

struct Gateway {
    child: Child,
    port: u16,
}

impl Gateway {
    fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let file = directory.join("gateway.json");
        let config = serde_json::json!({
            "listen": format!("127.0.0.1:{port}"),
            "issuers": {"login": {"url": "https://login.example.com"}},
            "resources": [{
                "url": format!("http://127.0.0.1:{port}/mcp"),
                "optional": true,
                "command": ["sh", "-c", SERVER],
            }],
        });
        fs::write(&file, config.to_string()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-auth"));
        command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("a gateway"), port }
    }

    /// Begins a session. Returns the ids of its processes.
    fn pids(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        loop {
            assert!(Instant::now() < deadline, "the gateway does not answer");
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
            stream.write_all(request.as_bytes()).expect("sent");
            let mut response = String::new();
            stream.read_to_string(&mut response).expect("a response");
            let pids = response.split("\"pids\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let pids = pids.unwrap_or_else(|| panic!("{response}"));
            return pids.split(' ').map(str::to_owned).collect();
        }
    }
}

fn is_running(pid: &str) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().expect("ps").stdout;
    !state.trim_ascii().is_empty() && !state.starts_with(b"Z")
}

#[test]
fn no_process_stays_when_the_gateway_is_killed() {
    let directory = std::env::temp_dir().join(format!("mcp-auth-stdio-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a folder");
    let mut gateway = Gateway::start(&directory);
    let pids = gateway.pids();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| is_running(pid)), "{pids:?}");
    gateway.child.kill().expect("killed");
    gateway.child.wait().expect("an end");
    let deadline = Instant::now() + PATIENCE;
    while let Some(pid) = pids.iter().find(|pid| is_running(pid)) {
        assert!(Instant::now() < deadline, "{pid} still runs");
        thread::sleep(Duration::from_millis(50));
    }
    fs::remove_dir_all(&directory).expect("removed");
}

#[test]
fn commands_come_from_the_command_line_and_from_files_of_other_clients() {
    let directory = std::env::temp_dir().join(format!("mcp-auth-import-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a folder");
    let file = directory.join("mcp.json");
    let servers = r#"{"mcpServers":{"a":{"command":"a"},"b":{"command":"b","args":["c"]}}}"#;
    fs::write(&file, servers).expect("written");
    let file = file.to_str().expect("text");
    let common = [
        "--issuer",
        "https://login.example.com",
        "--url",
        "https://mcp.example.com/mcp",
        "--check",
    ];
    let rows: [(&[&str], Result<&str, &str>); 5] = [
        (&["--", "npx", "-y", "server"], Ok("number of resources: 1")),
        (&["--import", file], Ok("number of resources: 2")),
        (&[], Err("or write `--` and the command that starts it")),
        (&["--import", "/no/such/file"], Err("/no/such/file: ")),
        (&["--upstream", "http://127.0.0.1:1/", "--", "npx"], Err("cannot be used with")),
    ];
    for (arguments, expected) in rows {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-auth"));
        let output = command.arg("serve").args(common).args(arguments).output().expect("a program");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let (Ok(text) | Err(text)) = expected;
        assert_eq!(output.status.success(), expected.is_ok(), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
    }
    fs::remove_dir_all(&directory).expect("removed");
}
