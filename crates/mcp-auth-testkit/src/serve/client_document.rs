//! Client ID metadata documents: fetches them and registers their clients.
//!
//! <https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/>

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use mcp_auth::Limits;
use oauth_as::ClientId;
use oauth_as::cimd::{CimdPolicy, ClientIdUrl, ValidatedClientIdDocument};
use serde_json::Value;
use url::Url;

use super::oauth::OAuth;
use super::redirect::{is_loopback, is_same_loopback};

const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_bytes: 64 << 10 };

/// Whether a client ID is the URL of a metadata document.
pub(super) fn is_document_url(client_id: &str) -> bool {
    client_id.starts_with("https://") || client_id.starts_with("http://")
}

/// Fetches the document at `client_id` and registers the client that it describes. The error is shown to
/// the user.
pub(super) async fn register(
    oauth: &OAuth,
    client_id: &str,
    redirect_uri: Option<&str>,
) -> Result<(), String> {
    let url = Url::parse(client_id).map_err(|why| format!("The client ID is no URL: {why}."))?;
    let plain = url.scheme() != "https";
    if plain && !is_loopback(&url) {
        return Err("The client ID is plain http to another machine: https is required.".into());
    }
    let document = fetch(oauth, client_id).await?;
    let mut document: Value = serde_json::from_slice(&document)
        .map_err(|_| "The client's metadata document is not JSON.".to_owned())?;
    if document["client_id"] != client_id {
        return Err("The client's metadata document names another client ID.".into());
    }

    let mut policy = CimdPolicy::new();
    policy.allow_loopback = true;
    policy.allow_query_string = true;
    policy.max_document_bytes = 2 * LIMITS.max_bytes;
    policy.redirect_uris_same_origin = false;
    policy.registration_bounds = oauth.registration_bounds();
    // oauth-as accepts only https. The original client ID was compared above, so it can be replaced here.
    let secure_name =
        if plain { client_id.replacen("http", "https", 1) } else { client_id.to_owned() };
    document["client_id"] = secure_name.as_str().into();
    offer_every_scope(oauth, &mut document);
    let why = |why: oauth_as::cimd::CimdError| format!("The client's metadata is refused: {why}.");
    let name = ClientIdUrl::parse(&secure_name, &policy).map_err(why)?;
    let validated =
        ValidatedClientIdDocument::validate(&name, document.to_string().as_bytes(), &policy);

    let mut client = validated.map_err(why)?.to_client();
    client.client_id = ClientId::new(client_id);
    client.default_scopes = client.allowed_scopes.clone();
    // oauth-as allows another port only for numeric addresses that were registered with a port.
    if let Some(requested) = redirect_uri
        && client.redirect_uris.iter().any(|it| is_same_loopback(it, requested))
    {
        client.redirect_uris.push(requested.to_owned());
    }
    let server = oauth.current().await.server;
    let registered = server.register_client(client).await;
    registered.map_err(|why| why.to_string())
}

/// Registers a client for all scopes, whatever it named, so that it can request more scopes later.
pub(super) fn offer_every_scope(oauth: &OAuth, metadata: &mut Value) {
    let Some(members) = metadata.as_object_mut() else {
        return;
    };
    let scopes = oauth.scopes();
    if scopes.is_empty() {
        members.remove("scope");
    } else {
        members.insert("scope".to_owned(), scopes.to_string().into());
    }
}

async fn fetch(oauth: &OAuth, url: &str) -> Result<Bytes, String> {
    let request = Request::get(url)
        .header(header::ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|why| format!("The client ID is no URL: {why}."))?;
    let answer = oauth.issuer.0.settings.fetch.fetch(request, LIMITS).await;
    let answer = answer.map_err(|why| format!("The client's metadata is out of reach: {why}."))?;
    if answer.status() != StatusCode::OK {
        let status = answer.status();
        return Err(format!("The client's metadata is not there: HTTP status {status}."));
    }
    Ok(answer.into_body())
}
