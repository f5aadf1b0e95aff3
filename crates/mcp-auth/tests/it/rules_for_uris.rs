//! Which rules apply to a URI: every rule that some server could mean, and no more than honest clients can meet.

use mcp_auth::{ConfigError, Rule, ToolScopes};
use mcp_auth_testkit::TestIssuer;

use crate::attacks_on_operations::World;
use crate::world::RESOURCE;

/// Rules: a URI or a pattern with the scope that it needs, or `never`.
type Rules = &'static [(&'static str, &'static str)];

async fn read(rules: &[(&str, &str)], uri: &str) -> (u16, bool) {
    let rules = rules.iter().fold(ToolScopes::new(), |all, (uri, scope)| match *scope {
        "never" => all.resource(uri, Rule::never()),
        scope => all.resource(uri, [scope]),
    });
    let params = serde_json::json!({ "uri": uri }).to_string();
    World::new(rules).ask("resources/read", &params).await
}

#[tokio::test]
async fn no_two_differences_together_lead_past_a_rule() {
    let rows: &[(Rules, &[&str])] = &[
        (
            &[("n://x?q=secret", "admin"), ("n://*", "read")],
            &["n://x/?q=secret", "n://X?a=b&q=secret"],
        ),
        (&[("search://{term}?admin=*", "admin"), ("search://*", "read")], &["search://a/?admin=1"]),
        (
            &[("https://example.com/x?k=admin", "admin"), ("https://example.com:8443/*", "read")],
            &["https://example.com:8443/x?k=admin&z", "https://example.com:8443/X/?k=admin"],
        ),
        (
            &[("vault://Admin/secret", "never"), ("vault://*", "read")],
            &[
                "vault://admin/secret?x",
                "vault://ADMIN/secret?x",
                "vault://admin/secret/",
                "vault://u@admin:1/secret;x/?y",
                "vault:///admin/secret",
            ],
        ),
        (
            &[("vault://Admin/*", "never"), ("vault://*", "read")],
            &["vault://admin", "vault://admin?x"],
        ),
        (
            &[("vault://Admin/keys", "never"), ("vault://admin:80/*", "read")],
            &["vault://admin:80/keys"],
        ),
        (
            &[("files://x/a+b", "never"), ("files://*", "read")],
            &["files://x/a%20b?x", "files://x/a%20b/"],
        ),
        (&[("greeting://World", "admin"), ("greeting://{name}", "read")], &["greeting://world?x"]),
        (
            &[
                ("vault://admin:80/keys", "never"),
                ("vault://alice@host/x", "never"),
                ("vault://*", "read"),
            ],
            &[
                "vault://admin/keys",
                "vault://u@admin:80/keys",
                "vault://alice:p@host/x",
                "vault://host/x",
            ],
        ),
        (
            &[("docs://a;v=1", "never"), ("docs://*", "read")],
            &["docs://a", "docs://a;v=1;x", "docs://a;v=1?x"],
        ),
        // A rule between the two, which only one reading meets.
        (
            &[("n://a/*", "admin"), ("n://a/README", "read"), ("*", "read")],
            &["n://A/Readme", "n://A/README"],
        ),
    ];
    for (rules, uris) in rows {
        for uri in *uris {
            let (status, is_reached) = read(rules, uri).await;
            assert!(!is_reached, "{rules:?} {uri} {status}");
        }
    }
}

#[tokio::test]
async fn a_rule_holds_in_front_of_every_sdk_and_file_system() {
    let rows: &[(&str, Rules, &[&str])] = &[
        (
            "C#: templates ignore case",
            &[
                ("notes://{owner}/private", "admin"),
                ("notes://Alice/keys", "admin"),
                ("notes://*", "read"),
            ],
            &[
                "notes://alice/PRIVATE",
                "notes://alice/KEYS",
                "notes://a/%E2%84%AA/../x",
                "notes://x/privat%45",
            ],
        ),
        ("C#", &[("file:///secret/{id}", "admin"), ("file:///*", "read")], &["file:///Secret/1"]),
        (
            "Python 1, Java: a `.` of a template is any character",
            &[
                ("notes://{owner}/private.txt", "admin"),
                ("notes://{id}.secret", "admin"),
                ("notes://*", "read"),
            ],
            &["notes://alice/private-txt", "notes://alice/secret", "notes://alice/private%2Dtxt"],
        ),
        (
            "servlets, urlparse: parameters of segments",
            &[
                ("notes://{owner}/private", "admin"),
                ("https://example.com/secret", "never"),
                ("*", "read"),
            ],
            &[
                "notes://alice/private;x=1",
                "notes://alice;x/private",
                "notes://alice/private%3Bx",
                "https://example.com/secret;x",
                "https://example.com/secret;x?y",
            ],
        ),
        (
            "NTFS: streams and short names",
            &[
                ("file:///C:/secret/*", "admin"),
                ("file:///C:/keys", "never"),
                ("file:///C:/*", "read"),
            ],
            &[
                "file:///C:/keys::$DATA",
                "file:///C:/keys%3A%3A$DATA",
                "file:///C:/keys.",
                "file:///C:/keys%20::$DATA",
                "file:///c:/KEYS:x",
                "file:///C:/secret::$INDEX_ALLOCATION/a",
                "file:///C:/secret:$I30:$INDEX_ALLOCATION/a",
                "file:///C:/SECRET~1/a",
                "file:///C%3A/secret/a",
                "file:///C:keys",
            ],
        ),
        (
            "APFS, HFS+, Windows: Unicode",
            &[
                ("file:///d/secr%C3%A9t/*", "admin"),
                ("file:///d/.git/*", "admin"),
                ("file:///d/*", "read"),
            ],
            &[
                "file:///d/secre%CC%81t/keys",
                "file:///d/SECR%C3%89T/keys",
                "file:///d/secr%C3%A9t%EF%BC%8Fkeys",
                "file:///d/.g%E2%80%8Cit/config",
                "file:///d/%EF%BD%87/%EF%BC%8E%EF%BC%8E/.git/config",
            ],
        ),
        (
            "Go: empty variables",
            &[("file:///secret/{id}", "admin"), ("file:///*", "read")],
            &["file:///secret/"],
        ),
    ];
    for (reader, rules, uris) in rows {
        for uri in *uris {
            let (status, is_reached) = read(rules, uri).await;
            assert!(!is_reached && matches!(status, 200 | 400 | 403), "{reader}: {uri} {status}");
        }
    }
}

#[tokio::test]
async fn what_some_servers_leave_out_neither_forbids_nor_allows_alone() {
    let held: &[(Rules, &[&str])] = &[
        // A wildcard or a variable in a host does not stand for user information.
        (
            &[("*", "never"), ("http://localhost:{port}/*", "read")],
            &["http://localhost:1@169.254.169.254/latest", "http://localhost:1@evil.example:80/x"],
        ),
        (
            &[("*", "never"), ("http://localhost:*", "read")],
            &["http://localhost:1@169.254.169.254/latest"],
        ),
        (
            &[("db://*", "admin"), ("db://test-*", "read")],
            &["db://test-x@prod/users", "db://test-x:y@prod:1/users", "db://test-x%40prod/users"],
        ),
        (&[("*", "never"), ("s3://public-{x}/*", "read")], &["s3://public-x@private/key"]),
        (
            &[("notes://{owner}/keys", "admin"), ("notes://public-{x}/{id}", "read")],
            &["notes://public-x@admin/keys"],
        ),
        // A port that a rule names does not hide the user.
        (
            &[
                ("redis://prod:6379/*", "admin"),
                ("redis://*:6379/*", "read"),
                ("redis://{h}:{p}/{d}", "read"),
            ],
            &["redis://:pw@prod:6379/0", "redis://u@prod:6379/0", "redis://u@PROD:6379/0"],
        ),
        (
            &[
                ("postgres://admin@prod:5432/secrets", "never"),
                ("postgres://{user}@{host}:{port}/{db}", "read"),
            ],
            &["postgres://admin:pw@prod:5432/secrets"],
        ),
        (
            &[("http://intranet:8080/secret", "never"), ("http://*:8080/*", "read")],
            &[
                "http://u@intranet:8080/secret",
                "http://u@intranet:8080/secret?x",
                "http://u:p@INTRANET:08080/secret/",
            ],
        ),
        (
            &[("docs://handbook;v=2", "never"), ("docs://{doc};v={v}", "read")],
            &["docs://handbook;v=2;x"],
        ),
        (
            &[("file:///C:/a;b/keys", "never"), ("file:///C:/a;b/*", "read")],
            &["file:///C:/a;b/keys::$DATA"],
        ),
        // Parameters do not lend a name its end.
        (&[("*", "never"), ("https://a.example/*.md", "read")], &["https://a.example/secret;x.md"]),
        // A wildcard stands for any text, also in a query.
        (
            &[("search://*password*", "admin"), ("*.pem", "never"), ("*", "read")],
            &[
                "search://logs?q=password",
                "search://logs/?q=PASSWORD",
                "files://read?path=/etc/key.pem",
                "files://read?path=%2Fetc%2Fkey.pem",
            ],
        ),
        (&[("*secret*", "admin")], &["x://a/secret/b", "x://a?b=secret", "secret:a"]),
        // Hosts, schemes and names that are written in another way.
        (
            &[
                ("https://example.com/keys", "never"),
                ("http://localhost:3000/admin/*", "never"),
                ("*", "read"),
            ],
            &[
                "https://example.com./keys",
                "https://example.com.:443/keys",
                "http://localhost.:3000/admin/x",
            ],
        ),
        (&[("notes://{owner}/private", "admin"), ("notes:*", "read")], &["notes:alice/private"]),
        (&[("vault:admin", "admin"), ("vault:*", "read")], &["vault://admin", "vault://admin/"]),
        (
            &[("docs://secret/*", "admin"), ("docs://x/keys.txt", "never"), ("docs://*", "read")],
            &[
                "docs://secret./keys",
                "docs://x/keys.txt.",
                "docs://x/keys.txt%20",
                "docs://x/keys.txt::$DATA",
            ],
        ),
        (
            &[
                ("file:///d/.ssh/*", "never"),
                ("file:///d/password.txt", "never"),
                ("file:///d/*", "read"),
            ],
            &[
                "file:///d/.%C3%9Fh/id_rsa",
                "file:///d/.%E1%BA%9Eh/id_rsa",
                "file:///d/pa%C3%9Fword.txt",
                "file:///d/.s%E2%80%8Esh/id_rsa",
            ],
        ),
        (
            &[("file:///C:/secretfiles/*", "never"), ("file:///C:/*", "read")],
            &[
                "file:///C:/SECRET~1::$INDEX_ALLOCATION/keys",
                "file:///C:/SECRET~1%3A$I30%3A$INDEX_ALLOCATION/keys",
                "file:///C:/%C3%9CBERSI~1/keys",
            ],
        ),
        (&[("repo://secret", "read"), ("repo://secret/*", "admin")], &["repo://secret/"]),
        (
            &[("notes://{owner}/private", "admin"), ("notes://*", "read")],
            &["notes:///private/", "notes:///private?x"],
        ),
        (
            &[("n://a/e*", "never"), ("n://a/private{x}", "never"), ("n://*", "read")],
            &["n://a/e%CC%81x", "n://a/private%CC%81"],
        ),
        // The number of characters counts, not how they are written.
        (
            &[("files://personalakten/*", "never"), ("files://*/öffentlich/*", "read")],
            &["files://personalakten/%C3%B6ffentlich/x"],
        ),
        (&[("docs://a+b/*", "never"), ("docs://a b/*", "read")], &["docs://a%20b/x"]),
    ];
    for (rules, uris) in held {
        for uri in *uris {
            let (status, is_reached) = read(rules, uri).await;
            assert!(!is_reached, "{rules:?} {uri} {status}");
        }
    }
    let open: &[(Rules, &[&str])] = &[
        (
            &[
                ("http://localhost:3000/*", "never"),
                ("redis://localhost:6379/*", "never"),
                ("*", "read"),
            ],
            &["http://localhost:4000/x", "redis://localhost:6380/0"],
        ),
        (&[("postgres://admin@db/*", "never")], &["postgres://reader@db/x"]),
        (
            &[("file:///logs/2026-11-30T12:30:00.log", "admin")],
            &["file:///logs/2026-11-30T12:00:00.log"],
        ),
        (
            &[("*", "never"), ("https://example.com/*", "read")],
            &[
                "https://example.com",
                "https://example.com?x=1",
                "https://EXAMPLE.com/a",
                "https://example.com:443/a",
                "https://example.com/a;b/c?d",
            ],
        ),
        (
            &[("*", "never"), ("file:///C:/Users/*", "read")],
            &["file:///c%3A/Users/a", "file:///c:/Users/a"],
        ),
        (
            &[("*", "never"), ("docs://{topic}", "read"), ("wiki://{lang}/{title}", "read")],
            &["docs://C%23", "docs://What%3F", "wiki://en/Who%27s%20Afraid%3F"],
        ),
        (
            &[
                ("*", "never"),
                ("docs://a;*", "read"),
                ("urn:*", "read"),
                ("data:text/plain;base64,*", "read"),
            ],
            &["docs://a;b", "docs://a;b?c", "urn:isbn:1", "data:text/plain;base64,SGk="],
        ),
        (
            &[
                ("*", "never"),
                ("https://*.example.com/*", "read"),
                ("postgres://{user}@{host}:{port}/{db}", "read"),
            ],
            &["https://a.example.com/x", "postgres://u:p@h:5432/db"],
        ),
    ];
    for (rules, uris) in open {
        for uri in *uris {
            assert_eq!(read(rules, uri).await, (200, true), "{rules:?} {uri}");
        }
    }
}

#[tokio::test]
async fn uris_of_real_servers_are_read() {
    let uris = [
        "file:///home/user/My%20File.txt",
        "file:///c%3A/Users/a/b.txt",
        "file:///C:/Users/a/b.txt",
        "file:///src/C%2B%2B/main.cpp",
        "file:///tmp/a%25b",
        "config://app",
        "greeting://World",
        "test://static/resource/1",
        "demo://resource/static/document/architecture.md",
        "note:///1",
        "note://internal/example",
        "gdrive:///1a2b",
        "sqlite:///main/table",
        "postgres://user@host:5432/db/table/schema",
        "postgres://host/users/schema",
        "redis://localhost:6379/0",
        "mongodb://localhost:27017/db/coll",
        "http://localhost:3000/api",
        "https://example.com:8080/x?y=z",
        "https://example.com",
        "https://EXAMPLE.com/a",
        "data:text/plain;base64,SGVsbG8=",
        "data:text/plain,Hello%2C%20World",
        "s3://bucket/folder/",
        "users://alice%40example.com/profile",
        "notes://alice@example.com/profile",
        "events://cal/2026-11-30T12%3A00",
        "docs://a/b*c",
        "docs://a/b%2Ac",
        "docs://O'Brien",
        "notes://caf%C3%A9/1",
        "notes://%E4%BD%A0%E5%A5%BD%EF%BC%9F/%E2%80%A6",
        "notes://a/%F0%9F%91%A8%E2%80%8D%F0%9F%91%A9",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "mailto:a@b.example",
        "slack://C123/1234.5678",
        "search://q?x=a%20b",
        "web://fetch?url=https%3A%2F%2Fexample.com%2Fa",
        "web://fetch?url=https://example.com/a",
        "file:///clients/Acme%20Inc./contract.pdf",
        "file:///home/a/HEAD~1",
        "wiki://zh/%E4%BD%A0%E5%A5%BD%E3%80%82",
    ];
    let sets: [Rules; 3] =
        [&[("*", "read")], &[("config://*", "read")], &[("vault://{owner}/private", "admin")]];
    for uri in uris {
        for rules in sets {
            assert_eq!(read(rules, uri).await, (200, true), "{rules:?} {uri}");
        }
    }
}

#[tokio::test]
async fn a_rule_that_a_real_server_needs_allows_what_it_names() {
    let rows: &[(Rules, &str)] = &[
        (&[("postgres://{user}@{host}:{port}/{db}", "read")], "postgres://u@h:5432/db"),
        (&[("http://localhost:{port}/x", "read")], "http://localhost:3000/x"),
        (
            &[("http://localhost:4000/*", "admin"), ("http://localhost:3000/*", "read")],
            "http://localhost:3000/x",
        ),
        (
            &[("http://localhost:{port}/x", "read"), ("http://localhost:4000/x", "admin")],
            "http://localhost:3000/x",
        ),
        (&[("note:///{id}", "read")], "note:///1"),
        (&[("file:///src/C%23/secret", "admin"), ("file:///*", "read")], "file:///src/C%23/a.cs"),
        (&[("file:///src/C%23/*", "read")], "file:///src/C%23/a.cs"),
        (&[("faq://Why%3F/*", "read")], "faq://Why%3F/1"),
        (&[("s3://bucket/*", "read")], "s3://bucket/key%20with%20spaces"),
        (&[("docs://a/{id}", "read")], "docs://a/x+y"),
        (&[("notes://Alice/*", "read")], "notes://Alice/1"),
        (&[("notes://Alice/*", "read")], "notes://Alice/1?x"),
        (&[("weather://{city}/current{?units}", "read")], "weather://x/current?units=c"),
        (&[("https://a.example/items?id=*", "read")], "https://a.example/items?id=1"),
        (&[("https://{host}/{+path}", "read")], "https://example.com/a/b"),
        (&[("files://{path*}", "read")], "files://a/b/c"),
        (&[("n://x", "read"), ("n://x/{id}", "read")], "n://x/1"),
        (&[("docs://a;v=1", "read"), ("docs://a;v=2", "admin")], "docs://a;v=1"),
        (&[("notes://{owner}/v1.0", "read"), ("notes://{owner}/v1-0", "admin")], "notes://a/v1.0"),
    ];
    for (rules, uri) in rows {
        let everything = [("*", "never")];
        let rules: Vec<_> = everything.iter().chain(*rules).copied().collect();
        assert_eq!(read(&rules, uri).await, (200, true), "{rules:?} {uri}");
    }
}

#[tokio::test]
async fn templates_of_real_servers_are_completed() {
    for template in [
        "https://example.com:8443/{id}",
        "note:///{id}",
        "postgres://{user}@{host}:{port}/{db}",
        "http://localhost:{port}/x",
        "search://{q}{?limit}",
        "files://{path*}",
        "file:///{+path}",
    ] {
        let params = serde_json::json!({
            "ref": { "type": "ref/resource", "uri": template },
            "argument": { "name": "a", "value": "" },
        });
        let world = World::new(ToolScopes::new().resource("*", ["read"]));
        let answer = world.ask("completion/complete", &params.to_string()).await;
        assert_eq!(answer, (200, true), "{template}");
    }
}

/// All rules apply where it takes too many steps to find out which do, and none of them takes precedence.
#[tokio::test]
async fn a_uri_that_is_made_to_be_slow_is_refused() {
    let pattern = "notes://*{a}a{b}a{c}a{d}a{e}c{f}b*";
    let rules = (0..200).fold(ToolScopes::new(), |all, _| all.resource(pattern, ["admin"]));
    let world = World::new(rules.resource("notes://*", ["read"]));
    for (uri, expected) in [
        (format!("notes://A%40b%3A1;c/{}a%3F", "a/".repeat(3980)), (403, false)),
        ("notes://u:p@h:1/a;b;c:d./x;y%3Fz".to_owned(), (400, false)),
        ("notes://u:p@h:1/a;b?z".to_owned(), (200, true)),
    ] {
        let params =
            serde_json::json!({ "notifications": { "resourceSubscriptions": vec![&uri; 8] } });
        let answer = world.ask("subscriptions/listen", &params.to_string()).await;
        assert_eq!(answer, expected, "{uri}");
    }
}

#[tokio::test]
async fn the_template_of_a_server_is_a_rule_for_all_that_it_matches() {
    // FastMCP ignores a query, and `{path*}` of it crosses slashes.
    let rules = ToolScopes::new()
        .resource("notes://{owner}/private", ["admin"])
        .resource("files://{path*}", ["admin"])
        .resource("search://{term}{?limit}", ["admin"])
        .resource("notes://*", ["read"]);
    let world = World::new(rules);
    for uri in [
        "notes://alice/private",
        "notes://alice/private/",
        "notes://alice/private?x",
        "notes://alice/private?x=/public",
        "notes://alice/private#x",
        "notes://alice/private%3Fx",
        "notes://alice%2Fprivate",
        "notes://%61lice/private",
        "notes://alice//private",
        "notes://u@alice/private",
        "notes://alice:1/private",
        "notes:///alice/private",
        "notes://Alice/private",
        "files://a",
        "files://a/b/c",
        "search://a",
        "search://a?limit=1",
        "search://a?x",
    ] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        let (status, is_reached) = world.ask("resources/read", &params).await;
        assert!(!is_reached && matches!(status, 400 | 403), "{uri} {status}");
    }
    let template = r#"{"ref":{"type":"ref/resource","uri":"notes://{owner}/private"},"argument":{"name":"owner","value":"a"}}"#;
    assert_eq!(world.ask("completion/complete", template).await, (403, false));
    for uri in
        ["notes://alice/public", "notes://alice/public?x", "notes://alice", "notes://a/b/private"]
    {
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await, (200, true), "{uri}");
    }
}

#[tokio::test]
async fn a_rule_allows_the_uri_that_it_names_byte_for_byte() {
    for uri in [
        "n://a//b",
        "n://a/b#c",
        "n://a/b?c=d'e",
        "n://u@a/b",
        "n://a:1/b",
        "n:///b",
        "n://a/é b",
        "n://a/b%2Fc",
        "n://a/b%3Ac",
        "n://a/b|c",
        "README",
        "str:////Users/to/some/path/",
    ] {
        let world =
            World::new(ToolScopes::new().resource(uri, ["read"]).resource("*", Rule::never()));
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await, (200, true), "{uri}");
        let params = serde_json::json!({ "uri": format!("{uri}#") }).to_string();
        assert_eq!(world.ask("resources/read", &params).await, (400, false), "{uri}#");
    }
    let rules = ToolScopes::new()
        .resource("*", Rule::never())
        .resource("http://127.0.0.1:3000/*", ["read"])
        .resource("notes:///*", ["read"]);
    let world = World::new(rules);
    for (uri, expected) in [
        ("http://127.0.0.1:3000/a", (200, true)),
        ("http://127.0.0.1:3001/a", (403, false)),
        ("http://127.0.0.1:3000/a//b", (400, false)),
        ("notes:///1", (200, true)),
        ("memo:///1", (403, false)),
        ("notes://1", (403, false)),
    ] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        let (status, is_reached) = world.ask("resources/read", &params).await;
        // A rule that no scope meets is answered with a JSON-RPC error, and status 200.
        let status = if status == 200 && !is_reached { 403 } else { status };
        assert_eq!((status, is_reached), expected, "{uri}");
    }
}

#[tokio::test]
async fn the_most_specific_rule_applies_to_each_reading() {
    let rules = ToolScopes::new()
        .resource("*", ["admin"])
        .resource("notes://{Owner}/{+rest}", ["admin"])
        .resource("notes://Team/*", ["admin"])
        .resource("notes://Team/public/*", ["read"])
        .resource("notes://lower/{+rest}", ["read"])
        .resource("notes://{owner}/a+b/{id}", ["read"]);
    let world = World::new(rules);
    for (uri, expected) in [
        ("notes://Team/public/1", 200),
        ("notes://team/public/1", 403), // also as the owner `team`
        ("notes://Team/1", 403),
        ("notes://team/1", 403),
        ("notes://lower/1", 200),
        ("notes://lower/a+b", 200),
        ("notes://x/a+b/1", 200),
        ("notes://x/a%20b/1", 403),
    ] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await.0, expected, "{uri}");
    }
}

#[tokio::test]
async fn a_query_must_also_be_allowed_without_it() {
    let rules = ToolScopes::new()
        .resource("n://x", ["read"])
        .resource("n://x?q=*", ["read"])
        .resource("n://x?q=secret", ["admin"])
        .resource("n://*", ["read"])
        .resource("n://y", ["admin"])
        .resource("n://z?q=public", ["read"])
        .resource("n://z", ["admin"]);
    let world = World::new(rules);
    for (uri, expected) in [
        ("n://x", 200),
        ("n://x?q=secret", 403),
        ("n://x?q=secret&a=b", 403),
        ("n://x?a=b&q=secret", 403),
        ("n://x?q=public", 403), // a server could read `q` of `?q=public&q=secret` in two ways
        ("n://y?q", 403),
        ("n://y/?q", 403),
        ("n://z?q=public", 200), // named byte for byte
        ("n://z?q=public&a", 403),
        ("n://other?q", 200),
    ] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await.0, expected, "{uri}");
    }
}

#[tokio::test]
async fn a_rule_for_a_longer_path_does_not_apply_by_text_in_a_query() {
    for (strict, is_never, lenient, uri) in [
        ("notes://{owner}", false, "notes://{owner}/{id}{?format}", "notes://alice?x=/b"),
        ("notes://{owner}", false, "notes://{owner}/{id}{?format}", "notes://alice?/b"),
        ("notes://{owner}{?format}", false, "notes://{owner}/{id}{?format}", "notes://alice?x=/b"),
        ("*", true, "notes://{owner}/{id}{?format}", "notes://alice?x=/b"),
        ("*", true, "logs://{service}/{day}{?level}", "logs://payments?x=/b"),
        ("db://{table}", false, "db://{table}/row?id=*", "db://users?x=/row?id=1"),
        ("db://{table}", false, "db://*/row?id=*", "db://users?x=/row?id=1"),
        ("db://{table}", false, "db://*/row?id=*", "db://users%3Fx=/row?id=1"),
        ("db://{t}/private", false, "db://{t}/{row}/{col}{?format}", "db://users/private?x=/b"),
        ("db://{t}/private", false, "db://{t}/{row}/{col}", "db://users/private?x=/b"),
    ] {
        let rule = if is_never { Rule::never() } else { ["admin"].into() };
        let world =
            World::new(ToolScopes::new().resource(strict, rule).resource(lenient, ["read"]));
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert!(!world.ask("resources/read", &params).await.1, "{strict} {lenient} {uri}");
    }
    let rules = ToolScopes::new().resource("*", Rule::never());
    let rules = rules.resource("logs://{service}/{day}{?level}", ["read"]);
    let world = World::new(rules.resource("db://*/row?id=*", ["read"]));
    for uri in ["logs://payments/1?level=a/b", "logs://payments/1", "db://users/row?id=1"] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await, (200, true), "{uri}");
    }
}

#[tokio::test]
async fn a_rule_with_a_variable_also_covers_an_empty_one() {
    for (strict, uri) in [
        ("file:///secret/{id}", "file:///secret/"),
        ("file:///secret/{id}", "file:///secret/?x"),
        ("docs://a/{id}.private", "docs://a/.private"),
        ("docs://a/{id}/keys{id}", "docs://a/b/keys"),
    ] {
        for lenient in ["file:///*", "docs://a/*"] {
            let rules = ToolScopes::new().resource(strict, ["admin"]).resource(lenient, ["read"]);
            let params = serde_json::json!({ "uri": uri }).to_string();
            let answer = World::new(rules).ask("resources/read", &params).await;
            assert_eq!(answer, (403, false), "{strict} {lenient} {uri}");
        }
    }
    // An empty variable never allows anything, and `notes://alice` is not a note of alice.
    let rules = ToolScopes::new().resource("*", Rule::never());
    let rules = rules.resource("notes://x/{id}", ["read"]).resource("n://{owner}", ["read"]);
    let world = World::new(rules.resource("n://{owner}/{id}", ["admin"]));
    for (uri, expected) in [("notes://x/1", true), ("notes://x/", false), ("n://alice", true)] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await.1, expected, "{uri}");
    }
}

#[tokio::test]
async fn a_slash_at_the_end_does_not_make_a_rule_more_specific() {
    for (strict, lenient, uri) in [
        ("repo://{name}", "repo://{name}/*", "repo://x/"),
        ("repo://{name}", "repo://{name}/{+path}", "repo://x/"),
        ("repo://{name}", "repo://{name}/", "repo://x/"),
        ("repo://{name}", "repo://{name}/*", "repo://x/?a"),
        ("repo://{name}", "repo://{name}/*", "repo://X/"),
        ("repo://{owner}/{name}", "repo://{owner}/{name}/{+path}", "repo://o/n/"),
    ] {
        let rules = ToolScopes::new().resource(strict, ["admin"]).resource(lenient, ["read"]);
        let params = serde_json::json!({ "uri": uri }).to_string();
        let answer = World::new(rules).ask("resources/read", &params).await;
        assert_eq!(answer, (403, false), "{strict} {lenient} {uri}");
    }
    // What is more specific otherwise still goes first, and the rule for a name does not cover what is below it.
    let rules = ToolScopes::new().resource("*", Rule::never()).resource("repo://{name}", ["admin"]);
    let rules = rules.resource("repo://public/*", ["read"]).resource("repo://docs/", ["read"]);
    let world = World::new(rules.resource("repo://{name}/*", ["read"]));
    for uri in ["repo://public/", "repo://docs/", "repo://x/1", "repo://x/1/"] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await, (200, true), "{uri}");
    }
}

#[tokio::test]
async fn clients_may_encode_the_value_of_a_variable() {
    for (rule, uri) in [
        ("users://{id}/profile", "users://alice%40example.com/profile"),
        ("users://alice%40example.com/*", "users://alice%40example.com/profile"),
        ("users://alice%40example.com/profile", "users://alice%40example.com/profile"),
        ("events://{day}", "events://2026-11-30T12%3A00"),
        ("events://{day}", "events://2026-11-30T12%3A30"),
        ("docs://{id}", "docs://O%27Brien"),
        ("docs://{id}", "docs://f%28x%29%21"),
        ("docs://{id}", "docs://a%3B%3D%26%24%2B"),
        ("docs://a/{id}", "docs://a/C%2B%2B"),
        ("file:///{+path}", "file:///c%3A/Users/a/b.txt"),
        ("data:*", "data:text/plain,Hello%2C%20World"),
    ] {
        let rules = ToolScopes::new().resource("*", Rule::never()).resource(rule, ["read"]);
        let params = serde_json::json!({ "uri": uri }).to_string();
        let answer = World::new(rules).ask("resources/read", &params).await;
        assert_eq!(answer, (200, true), "{rule} {uri}");
    }
    for (strict, lenient, uri) in [
        (
            "users://alice@example.com/*",
            "users://{id}/profile",
            "users://alice%40example.com/profile",
        ),
        (
            "users://alice%40example.com/*",
            "users://{id}/profile",
            "users://alice%40example.com/profile",
        ),
        ("users://*", "users://alice@example.com/profile", "users://alice%40example.com/profile"),
        ("users://example.com/*", "users://{id}/profile", "users://alice%40example.com/profile"),
        ("users://{id}", "users://{id}/{x}{?y}", "users://a%40b?x=/c"),
        ("users://a@b", "users://*", "users://a%40b?x"),
        ("users://a@b?q=1", "users://*", "users://a%40b?q=1&r"),
        ("docs://a/b c", "docs://a/{id}", "docs://a/b%2Bc"),
        ("vault://admin/keys", "vault://*", "vault://admin%3A80/keys"),
        ("vault://admin:80/keys", "vault://*", "vault://admin%3A80/keys"),
        ("vault://admin:80/keys", "vault://*", "vault://admin%3A080/keys"),
        ("file:///c:/secret/*", "file:///*", "file:///c%3A/secret/keys"),
        ("docs://a/O'Brien", "docs://a/{id}", "docs://a/O%27Brien/"),
    ] {
        let rules = ToolScopes::new().resource(strict, ["admin"]).resource(lenient, ["read"]);
        let params = serde_json::json!({ "uri": uri }).to_string();
        let answer = World::new(rules).ask("resources/read", &params).await;
        assert_eq!(answer, (403, false), "{strict} {lenient} {uri}");
    }
    let world = World::new(ToolScopes::new().resource("*", ["read"]));
    for uri in [
        "notes://a/..%3Bx/b",
        "notes://%40a/b",
        "notes://a%3A/b",
        "notes://u%3A%40a/b",
        "https://a%40b.example/",
        "https://a.example%3A443/",
        "file://a%3A1/b",
        "notes%3A//a/b",
        "notes://a/%2540",
    ] {
        let params = serde_json::json!({ "uri": uri }).to_string();
        assert_eq!(world.ask("resources/read", &params).await, (400, false), "{uri}");
    }
}

#[test]
fn a_rule_that_no_request_could_meet_is_a_config_error() {
    for uri in [
        "HTTPS://example.com/",
        "n://a/../b",
        "n://a/%61",
        " n://a",
        "n://a//{id}",
        "n://a/%61/*",
        "https:///*",
    ] {
        let rules = ToolScopes::new().resource(uri, ["admin"]);
        let built = TestIssuer::new().protects(RESOURCE).tools(rules).build();
        assert_eq!(built.err(), Some(ConfigError::RuleUri(uri.to_owned())), "{uri}");
    }
}
