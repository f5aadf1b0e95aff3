//! The table of clients: the guide page prints `docs/guide/clients.toml`, and each of its rows says where it is from.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ledger::is_there;

const START: &str = "<!-- from clients.toml -->\n";
const END: &str = "<!-- end -->\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clients {
    client: Vec<Client>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    name: String,
    protocols: String,
    asks: String,
    registers: String,
    steps_up: String,
    shown: String,
    set: String,
    known: Vec<Known>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Known {
    /// A scenario.
    E2e(String),
    /// The day on which it was run by hand.
    Tried(String),
    /// The day on which its source was read.
    Source(String),
    /// A page of its vendor.
    Docs(String),
    /// A page of others.
    Reported(String),
}

impl Known {
    fn is_sound(&self) -> bool {
        let is_day = |text: &str| {
            let shape = |(i, c): (usize, char)| {
                if i == 4 || i == 7 { c == '-' } else { c.is_ascii_digit() }
            };
            text.len() == 10 && text.chars().enumerate().all(shape)
        };
        match self {
            Self::E2e(name) => is_there(&format!("e2e::{name}")),
            Self::Tried(day) | Self::Source(day) => is_day(day),
            Self::Docs(url) | Self::Reported(url) => url.starts_with("https://"),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::E2e(name) => format!("live: `{}`", name.replace('|', "\\|")),
            Self::Tried(day) => format!("by hand, {day}"),
            Self::Source(day) => format!("its source, {day}"),
            Self::Docs(url) => format!("[its documentation]({url})"),
            Self::Reported(url) => format!("[others]({url})"),
        }
    }
}

fn guide(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide").join(name)
}

fn clients() -> Vec<Client> {
    let text = fs::read_to_string(guide("clients.toml")).expect("the data");
    let Clients { client } = toml::from_str(&text).expect("clients");
    client
}

fn table(head: &str, clients: &[Client], row: impl Fn(&Client) -> Vec<String>) -> String {
    let columns = head.matches('|').count() + 1;
    let mut text = format!("\n| {head} |\n|{}\n", "---|".repeat(columns));
    for client in clients {
        let _ = writeln!(text, "| {} | {} |", client.name, row(client).join(" | "));
    }
    text
}

fn tables(clients: &[Client]) -> String {
    let cells = |cells: &[&String]| cells.iter().map(|&cell| cell.clone()).collect();
    [
        table("client | asks for at first | is registered", clients, |client| {
            cells(&[&client.asks, &client.registers])
        }),
        table(
            "client | after a 403 for more scopes | its user reads | what to set",
            clients,
            |client| cells(&[&client.steps_up, &client.shown, &client.set]),
        ),
        table("client | revisions | how it is known", clients, |client| {
            let sources: Vec<_> = client.known.iter().map(Known::written).collect();
            vec![client.protocols.clone(), sources.join("; ")]
        }),
    ]
    .concat()
}

#[test]
fn the_page_has_the_clients_of_the_data() {
    let found = fs::read_to_string(guide("clients.md")).expect("the page");
    let (before, rest) = found.split_once(START).expect("the start of the tables");
    let (_, after) = rest.split_once(END).expect("the end of the tables");
    let expected = format!("{before}{START}{}\n{END}{after}", tables(&clients()));
    if found != expected && std::env::var_os("UPDATE_GUIDE").is_some() {
        fs::write(guide("clients.md"), expected).expect("the page can be written");
        return;
    }
    assert!(found == expected, "run it with UPDATE_GUIDE=1 to write the tables again");
}

#[test]
fn each_client_says_where_it_is_known_from() {
    let clients = clients();
    assert!(clients.len() >= 17, "the data was found");
    for client in clients {
        assert!(!client.known.is_empty(), "{}: nothing is known without a source", client.name);
        for source in &client.known {
            assert!(source.is_sound(), "{}: {}", client.name, source.written());
        }
        let Client { name, protocols, asks, registers, steps_up, shown, set, .. } = &client;
        for field in [name, protocols, asks, registers, steps_up, shown, set] {
            assert!(!field.is_empty() && !field.contains(['|', '\n']), "{name}: {field:?}");
        }
    }
}
