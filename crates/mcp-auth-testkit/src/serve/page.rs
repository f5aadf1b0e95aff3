//! The login and consent page, and the error page.

use std::fmt::Write as _;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::redirect;

/// The content of the consent page.
pub(super) struct Consent<'a> {
    pub(super) ticket: &'a str,
    pub(super) users: &'a [String],
    pub(super) client_name: Option<&'a str>,
    pub(super) client_id: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) resources: &'a [String],
    pub(super) scopes: Vec<&'a str>,
}

impl IntoResponse for Consent<'_> {
    fn into_response(self) -> Response {
        let mut users = String::new();
        for (index, user) in self.users.iter().enumerate() {
            let checked = if index == 0 { " checked" } else { "" };
            let user = escape(user);
            let _ = write!(
                users,
                "<label><input type=radio name=user value=\"{user}\"{checked}> {user}</label>"
            );
        }
        let mut scopes = String::new();
        for scope in &self.scopes {
            let scope = escape(scope);
            let _ = write!(
                scopes,
                "<label><input type=checkbox name=scope value=\"{scope}\" checked> {scope}</label>"
            );
        }
        if scopes.is_empty() {
            scopes.push_str("<p>No scopes are asked for.</p>");
        }
        let origin = redirect::origin(self.redirect_uri);
        let resources = match self.resources {
            [] => "no resource in particular".to_owned(),
            some => escape(&some.join(", ")),
        };
        let body = format!(
            "<h1>{name} asks for access</h1>\
             <dl><dt>Client<dd>{client}<dt>Answers go to<dd>{destination}<dt>Resource<dd>{resources}</dl>\
             <form method=post action=authorize>\
             <input type=hidden name=ticket value=\"{ticket}\">\
             <fieldset><legend>Who are you?</legend>{users}</fieldset>\
             <fieldset><legend>What may it do?</legend>{scopes}</fieldset>\
             <button name=decision value=allow>Allow</button> \
             <button name=decision value=deny>Deny</button></form>",
            name = escape(self.client_name.unwrap_or("A client without a name")),
            client = escape(self.client_id),
            destination = escape(&origin),
            ticket = escape(self.ticket),
        );
        // Browsers apply `form-action` to the redirect after the form as well.
        page(StatusCode::OK, &body, &format!("'self' {origin}"))
    }
}

/// Tells the user why the request was refused, since the client cannot be told.
pub(super) fn refusal(why: &str) -> Response {
    let body = format!("<h1>This request goes no further</h1><p>{}</p>", escape(why));
    page(StatusCode::BAD_REQUEST, &body, "'none'")
}

fn page(status: StatusCode, body: &str, form_action: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>Development issuer</title>\
         <style>{STYLE}</style>\
         <p class=warning>This is a development issuer, not for production: anyone can be anyone.</p>\
         {body}</html>"
    );
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
         frame-ancestors 'none'; form-action {form_action}"
    );
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("sandbox"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const STYLE: &str = "body{font:16px/1.5 system-ui;max-width:34em;margin:3em auto;padding:0 1em}\
    .warning{background:#fe9;padding:.5em 1em}label{display:block}dd{overflow-wrap:anywhere}\
    fieldset{margin:1em 0}";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_is_text() {
        let said = "<b onclick='x'>\"&";
        assert_eq!(escape(said), "&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;");
    }
}
