//! The authorization endpoint: the request, the user's decision, and the redirect to the client.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use axum::Form;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use oauth_as::authorization::{
    AuthorizationError, AuthorizationRequest, ValidatedAuthorizationRequest,
};
use oauth_as::server::UserApproval;
use oauth_as::store::Storage as _;
use url::form_urlencoded;

use super::client_document;
use super::oauth::{Generation, OAuth};
use super::page::{self, Consent};
use super::pending::{Pairs, Pending};
use crate::key::base64url;

/// Shows the consent page, or approves at once with `auto_approve`.
pub(super) async fn ask(State(oauth): State<Arc<OAuth>>, RawQuery(query): RawQuery) -> Response {
    oauth.issuer.count();
    let query = query.unwrap_or_default();
    let request: Pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let client_id = first(&request, "client_id").unwrap_or_default();
    if client_document::is_document_url(client_id) {
        let redirect_uri = first(&request, "redirect_uri");
        if let Err(why) = client_document::register(&oauth, client_id, redirect_uri).await {
            return page::refusal(&why);
        }
    }
    let current = oauth.current().await;
    let validated = match validate(&current, &request).await {
        Ok(validated) => validated,
        Err(answer) => return answer,
    };
    match &oauth.issuer.0.settings.auto_approve {
        Some(user) => grant(&current, &validated, user).await,
        None => consent(&oauth, &current, &validated, request).await,
    }
}

/// Handles the user's decision on the consent page.
pub(super) async fn decide(
    State(oauth): State<Arc<OAuth>>,
    headers: HeaderMap,
    Form(form): Form<Pairs>,
) -> Response {
    oauth.issuer.count();
    if !comes_from_here(&headers, oauth.issuer.url()) {
        return page::refusal("The decision comes from another site.");
    }
    let now = oauth.issuer.0.settings.time.now();
    let pending = oauth.pending().remove(first(&form, "ticket").unwrap_or_default());
    let Some(mut pending) = pending.filter(|it| it.is_fresh(now)) else {
        return page::refusal("This page has been answered already, or is too old.");
    };
    let current = oauth.current().await;
    let asked = match validate(&current, &pending.request).await {
        Ok(validated) => validated,
        Err(answer) => return answer,
    };
    let user = first(&form, "user").unwrap_or_default();
    if !oauth.issuer.0.settings.users.iter().any(|known| known == user) {
        return page::refusal("There is no such user.");
    }
    let ticked: Vec<&str> = all(&form, "scope").filter(|it| asked.scope.contains(it)).collect();
    let nothing_left = ticked.is_empty() && !asked.scope.is_empty();
    if first(&form, "decision") != Some("allow") || nothing_left {
        return redirect(&asked.denied().location());
    }
    if ticked.is_empty() {
        return grant(&current, &asked, user).await;
    }
    // oauth-as grants what the request asks for, so the request is narrowed.
    let ticked = ticked.join(" ");
    pending.request.retain(|(name, _)| name != "scope");
    pending.request.push(("scope".to_owned(), ticked));
    match validate(&current, &pending.request).await {
        Ok(narrowed) => grant(&current, &narrowed, user).await,
        Err(answer) => answer,
    }
}

async fn validate(
    current: &Generation,
    request: &Pairs,
) -> Result<ValidatedAuthorizationRequest, Response> {
    let pairs = request.iter().map(|(name, value)| (name, value.as_str()));
    let request = AuthorizationRequest::from_pairs(pairs);
    let validated = current.server.validate_authorization_request(&request).await;
    validated.map_err(|error| refuse(&error))
}

async fn consent(
    oauth: &OAuth,
    current: &Generation,
    validated: &ValidatedAuthorizationRequest,
    request: Pairs,
) -> Response {
    let client = current.server.store().get_client(&validated.client_id).await;
    let client = client.ok().flatten();
    let mut ticket = [0; 24];
    if SystemRandom::new().fill(&mut ticket).is_err() {
        return page::refusal("There are no random numbers.");
    }
    let ticket = base64url(&ticket);
    let since = oauth.issuer.0.settings.time.now();
    oauth.pending().insert(ticket.clone(), Pending { request, since });
    Consent {
        ticket: &ticket,
        users: &oauth.issuer.0.settings.users,
        client_name: client.as_ref().and_then(|client| client.name.as_deref()),
        client_id: validated.client_id.as_str(),
        redirect_uri: &validated.redirect_uri,
        resources: &validated.resource,
        scopes: validated.scope.iter().map(|scope| scope.as_str()).collect(),
    }
    .into_response()
}

async fn grant(
    current: &Generation,
    validated: &ValidatedAuthorizationRequest,
    user: &str,
) -> Response {
    let approval = UserApproval::granted(validated, user);
    match current.server.issue_authorization_code(approval).await {
        Ok(issued) => redirect(&issued.location(&validated.redirect_uri)),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &AuthorizationError) -> Response {
    match error {
        AuthorizationError::Redirect(answer) => redirect(&answer.location()),
        AuthorizationError::Direct(error) => page::refusal(&error.to_string()),
    }
}

fn redirect(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return page::refusal("The redirect URI is no URI.");
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Whether the browser says that the form comes from a page of this issuer. The ticket, which no
/// other site can read, is the proof.
fn comes_from_here(headers: &HeaderMap, issuer: &str) -> bool {
    let is = |name, expected: &str| headers.get(name).is_none_or(|value| value == expected);
    is("sec-fetch-site", "same-origin") && is("origin", issuer)
}

fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    all(pairs, name).next()
}

fn all<'a>(pairs: &'a Pairs, name: &str) -> impl Iterator<Item = &'a str> {
    let named = pairs.iter().filter(move |(it, _)| it == name);
    named.map(|(_, value)| value.as_str())
}
