//! Without the feature `tower` nothing is sealed: there is no door that sessions pass.

pub(crate) struct Seal;

impl Seal {
    pub(crate) fn random() -> Option<Self> {
        Some(Self)
    }

    pub(crate) fn of(secrets: &[impl AsRef<[u8]>], _: &str) -> Option<Self> {
        (!secrets.is_empty()).then_some(Self)
    }
}
