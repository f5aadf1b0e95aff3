//! Renders the provider tables of the guide.

use std::fmt::Write as _;

use mcp_auth::{Audience, Evidence, MetadataKind, Provider, TokenMarker};

const START: &str = "<!-- from crates/mcp-auth/src/model/provider/table.rs -->\n";
const END: &str = "<!-- end -->\n";

/// The page, with the tables between its markers rendered again.
pub(crate) fn written_into(page: &str) -> String {
    let (before, rest) = page.split_once(START).expect("the start of the tables");
    let (_, after) = rest.split_once(END).expect("the end of the tables");
    format!("{before}{START}{}{END}{after}", tables())
}

fn tables() -> String {
    let mut text = String::from(
        "\n| provider | in code | issuer | documents | for whom its tokens are | sure |\n|---|---|---|---|---|---|\n",
    );
    for row in Provider::ALL {
        let cells = [
            row.name.to_owned(),
            constructor(row),
            if row.issuer.is_empty() { "none".into() } else { format!("`{}`", row.issuer) },
            documents(row),
            audience(row),
            format!("[{}]({})", evidence(row.evidence), row.source),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text += "\n| provider | `typ` | scopes | client | stable subject |\n|---|---|---|---|---|\n";
    for row in Provider::ALL {
        let cells = [
            row.name.to_owned(),
            row.typ.to_owned(),
            scopes(row),
            code(row.client_id),
            subject(row),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text += "\n| provider | what belongs into the issuer | what to set, so that tokens are for your server |\n|---|---|---|\n";
    for row in Provider::ALL {
        let _ = writeln!(text, "| {} | {} | {} |", row.name, row.placeholders, row.advice);
    }
    text + "\n"
}

fn constructor(row: &Provider) -> String {
    let places = match row.id {
        "cognito" => "pool, clients".to_owned(),
        "entra_tenants" => "tenants".to_owned(),
        "github" => "client_id, secret".to_owned(),
        "github_enterprise" => "url, client_id, secret".to_owned(),
        "google" => "clients".to_owned(),
        _ => {
            let mut places: Vec<&str> = Vec::new();
            for piece in row.issuer.split('{').skip(1) {
                let place = piece.split('}').next().unwrap_or_default();
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            places.join(", ")
        }
    };
    format!("`{}({places})`", row.id)
}

fn documents(row: &Provider) -> String {
    let name = |document: &MetadataKind| match document {
        MetadataKind::OAuth => "RFC 8414",
        MetadataKind::Oidc => "OIDC",
        _ => "another",
    };
    let names: Vec<_> = row.documents.iter().map(name).collect();
    if names.is_empty() { "unknown".to_owned() } else { names.join(", ") }
}

fn audience(row: &Provider) -> String {
    match row.audience {
        Audience::Resource => "`aud` is the URL of the resource".to_owned(),
        Audience::Fixed(audience) => format!("`aud` is `{audience}`"),
        Audience::ProviderChosen => {
            "`aud` is the provider's name for it: `.audience(..)`".to_owned()
        }
        Audience::Clients => "no `aud`; `client_id` is one of yours".to_owned(),
        _ => "its API says to which client: one of yours".to_owned(),
    }
}

fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::SeenLive => "seen live",
        Evidence::Vendor => "vendor",
        _ => "others",
    }
}

fn scopes(row: &Provider) -> String {
    let claims: Vec<_> = row.scopes.iter().map(|claim| code(claim)).collect();
    let parts = [claims.join(", else "), row.about_scopes.to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn subject(row: &Provider) -> String {
    let mark = row.markers.iter().map(|mark| match mark {
        TokenMarker::Has(claim) => format!("access tokens have `{claim}`"),
        TokenMarker::Is(claim, value) => format!("access tokens have `{claim}`: `{value}`"),
        _ => String::new(),
    });
    let subject = match row.subject {
        "" => "`sub`".to_owned(),
        note if note.starts_with('`') => note.to_owned(),
        note => format!("`sub`: {note}"),
    };
    std::iter::once(subject).chain(mark).collect::<Vec<_>>().join("; ")
}

fn code(name: &str) -> String {
    if name.is_empty() { "none".to_owned() } else { format!("`{name}`") }
}
