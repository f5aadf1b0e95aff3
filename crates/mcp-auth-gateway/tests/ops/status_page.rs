//! The operator's page.

use aws_lc_rs::digest;

use crate::world::{OK, Upstream, World, call, exchange, header, status};

fn file(upstream: &Upstream) -> String {
    format!(
        "{{issuer}}\n[[resources]]\nurl = \"http://127.0.0.1:{{port}}/files\"\nupstream = \"http://{}/mcp\"\nscopes = [\"read\"]\nlimits = {{ client = \"1/h\" }}\n[resources.tools]\n\"delete_*\" = [\"write\"]\n\"*\" = []\n",
        upstream.address
    )
}

async fn page(world: &World, lines: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
    exchange(world.admin, &request).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_was_refused_and_nothing_that_a_client_wrote_is_markup() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new("page", &file(&upstream)).await;
    let attack = "<script>alert(1)</script>";
    let token = world.issuer.token().subject(attack).client_id("\"><img src=x onerror=alert(2)>");
    let token = token.audience(world.url("/files")).scopes(["read"]).sign();
    let lines = |token: &str| {
        format!(
            "Authorization: Bearer {token}\r\nUser-Agent: {attack}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: delete_all\r\n"
        )
    };
    let refused = world.post("/files", &lines(&token), &call("delete_all"));
    assert_eq!(status(&world.send(&refused).await), 403);
    let strange = lines(&token).replace("delete_all", attack);
    let body = call(attack);
    assert_eq!(status(&world.send(&world.post("/files", &strange, &body)).await), 200);
    assert_eq!(status(&world.send(&world.post("/files", &strange, &body)).await), 429);
    let forged = format!("{token}x");
    assert_eq!(status(&world.send(&world.post("/files", &lines(&forged), &body)).await), 401);
    assert_eq!(status(&world.send(&world.post("/nowhere", &strange, &body)).await), 404);

    let host = format!("Host: {}\r\n", world.admin);
    let page = page(&world, &host).await;
    assert_eq!(status(&page), 200);
    for markup in
        ["<script", "<img", "onerror=alert(2)>\"", "style=\"", "javascript:", &token, &forged]
    {
        assert!(!page.contains(markup), "{markup}\n{page}");
    }
    for text in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&quot;&gt;&lt;img src=x onerror=alert(2)&gt;",
        "insufficient_scope",
        "POST tools/call delete_all",
        "delete_*",
        "encoding",
        "limits.client",
        "unknown_path",
        "a caller is over this limit",
        &*upstream.address.to_string(),
        world.issuer.url(),
        "can be verified",
        "<svg",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }

    // Only the style sheet of the page itself is applied, and nothing else is loaded.
    let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
    let (style, _) = style.expect("a style sheet");
    let hash = digest::digest(&digest::SHA256, style.as_bytes());
    let hash = base64_simd::STANDARD.encode_to_string(hash);
    let policy = header(&page, "content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.contains("src=\"") && !page.contains("url("), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_do_not_read_it_and_its_head_is_that_of_html() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new("page-hosts", &file(&upstream)).await;
    let host = world.admin;
    for (lines, expected) in [
        (format!("Host: {host}\r\n"), 200),
        ("Host: localhost\r\n".to_owned(), 200),
        ("Host: page.example\r\n".to_owned(), 403),
        (format!("Host: {host}\r\nOrigin: http://page.example\r\n"), 403),
        (format!("Host: {host}\r\nOrigin: null\r\n"), 403),
    ] {
        let response = page(&world, &lines).await;
        assert_eq!(status(&response), expected, "{lines}");
        let is_html = header(&response, "content-type") == Some("text/html; charset=utf-8");
        assert_eq!(is_html, expected == 200, "{response}");
    }
}
