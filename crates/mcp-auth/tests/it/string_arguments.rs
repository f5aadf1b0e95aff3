//! A borrowed `String` is accepted wherever a `&str` is.

use mcp_auth::{
    AnyOf, ApiKey, AuthorizationServer, Introspection, McpAuth, Rule, Secret, ToolScopes,
};

#[test]
#[expect(clippy::needless_borrows_for_generic_args, reason = "this is what is tested")]
fn a_borrowed_string_is_accepted_wherever_a_str_is() {
    let text = |text: &str| text.to_owned();
    let (issuer, name) = (text("https://auth.example.com"), text("read"));
    let (secret, url) = (text("a secret"), text("https://api.example.com/mcp"));
    let server = AuthorizationServer::discover(&issuer)
        .scope_claims([&name])
        .required_claim(&name)
        .required_claim_value(&name, &name)
        .insecure_http_hosts([&text("keycloak")])
        .bearer(&secret)
        .introspection(Introspection::basic(&name, &secret).endpoint(&issuer));
    let template = AuthorizationServer::template(
        &text("https://{tenant}.example.org"),
        &text("https://example.org/metadata"),
    );
    let tenants = template.tenant_claim(&name).tenants([&name]);
    let rule = || Rule::from(&name).claim(&name, &name).client(&name).acr_values(&name);
    let built = McpAuth::builder(&url)
        .authorization_server(&text("https://first.example.com"))
        .authorization_servers([&text("https://second.example.com")])
        .authorization_server(server)
        .authorization_server(tenants)
        .trusted_issuer(&issuer)
        .alias(&text("https://other.example.com/mcp"))
        .audience(&name)
        .required_scopes(&name)
        .required_scopes(name.clone())
        .required_scopes(AnyOf(&name))
        .required_scopes(AnyOf(name.clone()))
        .initial_scopes(&name)
        .initial_scopes(name.clone())
        .implies(&text("all"), &name)
        .allowed_origins([&text("https://app.example.com")])
        .requested_as(&name, &name)
        .requested_with_prefix(&text("api://x/"))
        .tools(ToolScopes::new().tool(&name, rule()).method(&text("x/y"), &name))
        .required(rule())
        .metadata(|it| it.resource_name(&name).scopes_supported(&name))
        .build();
    assert!(built.is_ok(), "{built:?}");
    let _ = (Secret::from(&secret), ApiKey::new(&name, &secret).scopes(&name));
}
