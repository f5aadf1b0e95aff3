//! The proxies that are compared: how each is configured and started. Each has one thread on one core.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bench_issuer::Issuer;
use bench_process::{Server, free_address, on_core};

/// Where configurations and logs are.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("bench-gateway-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub fn write(&self, name: &str, text: &str) -> std::io::Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map(|()| path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// HAProxy, and the address at which it verifies tokens.
pub struct HaProxy {
    pub server: Server,
    pub verifying: SocketAddr,
}

pub fn haproxy(
    folder: &Folder,
    issuer: &Issuer,
    upstream: SocketAddr,
    core: Option<usize>,
) -> Result<HaProxy, Box<dyn Error>> {
    let key = folder.write("key.pem", &issuer.rsa_pem())?;
    let (open, verifying) = (free_address()?, free_address()?);
    let (key, url, audience) = (key.display(), &issuer.url, &issuer.audience);
    // The verification is that of HAProxy's documentation: algorithm, issuer, audience, expiry, signature.
    let configuration = folder.write(
        "haproxy.cfg",
        &format!(
            "global
  nbthread 1
  maxconn 9900
defaults
  mode http
  maxconn 9900
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend open
  bind {open}
  default_backend upstream
frontend verifying
  bind {verifying}
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
  http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request set-var(txn.scope) http_auth_bearer,jwt_payload_query('$.scope')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {url} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,\"{key}\") -m int 1 }}
  http-request deny deny_status 403 unless {{ var(txn.scope) -m sub read }}
  http-request del-header authorization
  default_backend upstream
backend upstream
  http-reuse always
  server upstream {upstream}
"
        ),
    )?;
    let mut command = on_core("haproxy", core);
    command.arg("-db").arg("-q").arg("-f").arg(configuration);
    Ok(HaProxy { server: Server::start(command, open)?, verifying })
}

pub fn nginx(
    folder: &Folder,
    upstream: SocketAddr,
    core: Option<usize>,
) -> Result<Server, Box<dyn Error>> {
    let (address, place) = (free_address()?, folder.path(""));
    let place = place.display();
    let configuration = folder.write(
        "nginx.conf",
        &format!(
            "daemon off;
master_process off;
worker_rlimit_nofile 20000;
pid {place}nginx.pid;
error_log {place}nginx.log crit;
events {{ worker_connections 19900; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_body_temp_path {place}body;
  proxy_temp_path {place}proxy;
  fastcgi_temp_path {place}fastcgi;
  uwsgi_temp_path {place}uwsgi;
  scgi_temp_path {place}scgi;
  upstream mcp {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"
        ),
    )?;
    let mut command = on_core("nginx", core);
    command.arg("-c").arg(configuration).stderr(Stdio::null());
    Ok(Server::start(command, address)?)
}

/// A resource of the gateway.
pub struct Resource<'a> {
    pub path: &'a str,
    pub upstreams: &'a [SocketAddr],
    /// The number of names and of patterns that have a rule.
    pub rules: usize,
}

/// The file of the gateway.
pub fn gateway_file(issuer: &Issuer, address: SocketAddr, resources: &[Resource<'_>]) -> String {
    let mut text = format!(
        "listen = \"{address}\"\nmax_connections = 9800\ndrain = {{ pause = \"1s\" }}\n\n[issuers.bench]\nurl = \"{}\"\n",
        issuer.url
    );
    for Resource { path, upstreams, rules } in resources {
        let upstreams: Vec<_> = upstreams.iter().map(|it| format!("http://{it}/mcp")).collect();
        // Writing into a text does not fail.
        let _ = write!(
            text,
            "\n[[resources]]\nurl = \"http://{address}{path}\"\naudiences = [\"{}\"]\nissuers = [\"bench\"]\nupstream = {upstreams:?}\nscopes = [\"read\"]\n",
            issuer.audience
        );
        if *rules > 0 {
            text += "[resources.tools]\n\"*\" = []\n";
            for number in 0..*rules / 2 {
                let _ = write!(
                    text,
                    "tool_{number} = [\"read\"]\n\"group_{number}_*\" = [\"write\"]\n"
                );
            }
        }
    }
    text
}

pub fn gateway(
    program: &Path,
    file: &Path,
    address: SocketAddr,
    log: &Path,
    core: Option<usize>,
) -> Result<Server, Box<dyn Error>> {
    let mut command = on_core(program, core);
    command.arg("serve").arg(file).stdout(Stdio::null()).stderr(File::create(log)?);
    Ok(Server::start(command, address)?)
}
