//! What all versions of the configuration have in common, from the start to the end of the gateway.

use crate::audit::Audit;
use crate::refusals::Refusals;
use crate::replicas::Replicas;
use crate::traces::Traces;
use crate::under_way::UnderWay;

/// What all versions of the configuration have in common. Clones share it.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) audit: Option<Audit>,
    pub(crate) under_way: UnderWay,
    pub(crate) refusals: Refusals,
    pub(crate) traces: Option<Traces>,
    /// What replicas of this gateway have in common too.
    pub(crate) replicas: Replicas,
}

impl Shared {
    /// `max_under_way` is how many requests may be under way.
    pub(crate) fn new(
        audit: Option<Audit>,
        traces: Option<Traces>,
        replicas: Replicas,
        max_under_way: usize,
    ) -> Self {
        let under_way = UnderWay::new(max_under_way);
        Self { audit, under_way, refusals: Refusals::default(), traces, replicas }
    }
}
