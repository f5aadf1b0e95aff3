//! Issuer templates with a tenant placeholder, and which of their issuers are trusted.

use std::collections::BTreeSet;

/// The maximum length of a tenant. A GUID has 36 bytes, a host name at most 253.
const MAX_TENANT_BYTES: usize = 253;

/// An issuer, with or without a tenant placeholder: `https://login.example.com/{tenant}/v2.0`. The placeholder
/// may occur several times, always for the same tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerPattern {
    text: Box<str>,
    /// The literal text before, between and after the placeholders.
    pieces: Vec<Box<str>>,
}

/// The issuers of a template whose tenant is in a list, or all issuers of the template if an issuer resolver
/// decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerSet {
    pub(crate) template: IssuerPattern,
    pub(crate) tenants: Option<BTreeSet<Box<str>>>,
}

impl IssuerPattern {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Parses a template. Returns `None` if it has two placeholders with different names, or a stray brace.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut pieces = vec![];
        let mut name = None;
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (placeholder, behind) = behind.split_once('}')?;
            if before.contains('}') || *name.get_or_insert(placeholder) != placeholder {
                return None;
            }
            pieces.push(before.into());
            rest = behind;
        }
        pieces.push(rest.into());
        (!rest.contains('}')).then(|| Self { text: text.into(), pieces })
    }

    /// A pattern that matches only this issuer.
    pub(crate) fn exact(text: &str) -> Self {
        Self { text: text.into(), pieces: vec![text.into()] }
    }

    pub(crate) fn has_placeholder(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The tenant of an issuer that matches this template. It consists of letters, digits, `-`, `_` and `.`
    /// only, so it cannot turn the issuer into another URL. Returns `None` if the issuer does not match.
    pub(crate) fn tenant_of<'i>(&self, issuer: &'i str) -> Option<&'i str> {
        let placeholders = self.pieces.len() - 1;
        let fixed: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        let length = issuer.len().checked_sub(fixed)?.checked_div(placeholders)?;
        let start = self.pieces.first()?.len();
        let tenant = issuer.get(start..start + length)?;
        (is_tenant(tenant) && self.is_filled(issuer, tenant)).then_some(tenant)
    }

    /// Whether the issuer equals this pattern, or matches it as a template.
    pub(crate) fn matches(&self, issuer: &str) -> bool {
        if self.has_placeholder() {
            self.tenant_of(issuer).is_some()
        } else {
            *self.text == *issuer
        }
    }

    /// The issuer of a tenant.
    pub(crate) fn issuer_of(&self, tenant: &str) -> String {
        self.pieces.join(tenant)
    }

    fn is_filled(&self, issuer: &str, tenant: &str) -> bool {
        let mut rest = Some(issuer);
        for (i, piece) in self.pieces.iter().enumerate() {
            let filled =
                if i == 0 { rest } else { rest.and_then(|rest| rest.strip_prefix(tenant)) };
            rest = filled.and_then(|rest| rest.strip_prefix(&**piece));
        }
        rest == Some("")
    }
}

impl IssuerSet {
    /// Whether the issuer belongs to this set.
    pub(crate) fn contains(&self, issuer: &str) -> bool {
        self.template.tenant_of(issuer).is_some_and(|tenant| {
            self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
        })
    }

    /// The issuers of the listed tenants. Empty if there is no list.
    pub(crate) fn issuers(&self) -> Vec<String> {
        let tenants = self.tenants.iter().flatten();
        tenants.map(|tenant| self.template.issuer_of(tenant)).collect()
    }
}

/// Whether the text can be a tenant: it cannot reach beyond its place in a URL.
pub(crate) fn is_tenant(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=MAX_TENANT_BYTES).contains(&text.len())
        && text.bytes().all(is_plain)
        && text.bytes().any(|b| b != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRA: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
    const TWICE: &str = "https://{tenant}.ciamlogin.com/{tenant}/v2.0";

    #[test]
    fn the_tenant_of_an_issuer_is_extracted() {
        for (template, issuer, tenant) in [
            (ENTRA, "https://login.microsoftonline.com/t1/v2.0", Some("t1")),
            (ENTRA, "https://login.microsoftonline.com//v2.0", None),
            (ENTRA, "https://login.microsoftonline.com/v2.0", None),
            (ENTRA, "https://login.microsoftonline.com/t1/v2.0/", None),
            (ENTRA, "https://login.microsoftonline.com/t1/x/v2.0", None),
            (ENTRA, "https://login.microsoftonline.com/../v2.0", None),
            (ENTRA, "https://login.microsoftonline.com/{tenantid}/v2.0", None),
            (ENTRA, "https://login.microsoftonline.com/t1%2f/v2.0", None),
            (ENTRA, "https://login.microsoftonline.com/t1?/v2.0", None),
            (ENTRA, "https://login.microsoftonline.com/é/v2.0", None),
            (ENTRA, "https://login.microsoftonline.com.evil.example/t1/v2.0", None),
            (ENTRA, "http://login.microsoftonline.com/t1/v2.0", None),
            (ENTRA, "https://LOGIN.microsoftonline.com/t1/v2.0", None),
            (ENTRA, "", None),
            (TWICE, "https://t1.ciamlogin.com/t1/v2.0", Some("t1")),
            (TWICE, "https://t1.ciamlogin.com/t2/v2.0", None),
            (TWICE, "https://t1.ciamlogin.com/t12/v2.0", None),
            ("https://{t}.example.com", "https://evil.example/x.example.com", None),
            ("https://{t}.example.com", "https://evil.example#.example.com", None),
            ("https://{t}.example.com", "https://user@h.example.com", None),
            ("https://one.example.com", "https://one.example.com", None),
        ] {
            let parsed = IssuerPattern::parse(template).expect(template);
            assert_eq!(parsed.tenant_of(issuer), tenant, "{template} {issuer}");
        }
        let long = format!("https://{}.example.com", "x".repeat(254));
        let template = IssuerPattern::parse("https://{t}.example.com").expect("a template");
        assert_eq!(template.tenant_of(&long), None);
    }

    #[test]
    fn invalid_braces_are_not_a_template() {
        for text in ["https://{a}/{b}", "https://{a", "https://a}", "https://}{a}", "https://{a}}"]
        {
            assert_eq!(IssuerPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_issuer_set_contains_only_its_listed_tenants() {
        let template = IssuerPattern::parse(ENTRA).expect("a template");
        let tenants = ["t1", "t2"].map(Box::from);
        let issuer_set = IssuerSet { template: template.clone(), tenants: Some(tenants.into()) };
        assert!(issuer_set.contains("https://login.microsoftonline.com/t1/v2.0"));
        assert!(!issuer_set.contains("https://login.microsoftonline.com/T1/v2.0"));
        assert!(!issuer_set.contains("https://login.microsoftonline.com/t3/v2.0"));
        assert_eq!(
            issuer_set.issuers(),
            [
                "https://login.microsoftonline.com/t1/v2.0",
                "https://login.microsoftonline.com/t2/v2.0"
            ]
        );
        let nobody = IssuerSet { template, tenants: Some(BTreeSet::new()) };
        assert!(!nobody.contains("https://login.microsoftonline.com/t1/v2.0"));
    }
}
