//! Keeps the metrics of the library and of the gateway, which are recorded through the `metrics` facade.
//!
//! A recorder of our own, since what is needed is small: counters, gauges, and histograms with fixed buckets. The usual one
//! brings twenty crates, an HTTP server, and summaries that replicas cannot add up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// The upper bounds of the buckets, in seconds. A decision with a cached token takes some 10 µs and one that has to ask an
/// issuer up to 5 s; a tool may take minutes.
pub(crate) const BUCKETS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0];

/// The most time series of one kind. Labels are constants or configured, so that there are fewer; if not, the rest are not
/// kept.
const MAX_SERIES: usize = 10_000;

/// All metrics of this process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) counters: Series<AtomicU64>,
    pub(crate) gauges: Series<AtomicU64>,
    pub(crate) histograms: Series<Buckets>,
    /// Held while the metrics are written, and before it what is known at any time: several gateways of one process do not
    /// mix theirs.
    pub(crate) writing: Mutex<()>,
}

/// Values by name and labels.
#[derive(Debug)]
pub(crate) struct Series<V>(RwLock<HashMap<Key, Arc<V>>>);

/// How many values are in each bucket, and their sum.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    /// The last one is for what exceeds all bounds.
    pub(crate) counts: [AtomicU64; BUCKETS.len() + 1],
    /// In nanoseconds: 584 years fit.
    pub(crate) nanoseconds: AtomicU64,
}

static METRICS: OnceLock<Option<&'static Metrics>> = OnceLock::new();

impl Metrics {
    /// The metrics of this process, which are recorded from the first call on. Returns `None` if the program records them
    /// itself, with a recorder that it installed before.
    pub(crate) fn of_process() -> Option<&'static Self> {
        *METRICS.get_or_init(|| {
            let metrics: &'static Self = Box::leak(Box::default());
            metrics::set_global_recorder(metrics).ok().map(|()| metrics)
        })
    }
}

impl<V> Default for Series<V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<V: Default> Series<V> {
    fn get(&self, key: &Key) -> Option<Arc<V>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if known.is_some() {
            return known;
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let has_place = all.len() < MAX_SERIES || all.contains_key(key);
        has_place.then(|| Arc::clone(all.entry(key.clone()).or_default()))
    }

    /// All values, in the order of their names and labels.
    pub(crate) fn sorted(&self) -> Vec<(Key, Arc<V>)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            all.iter().map(|(key, value)| (key.clone(), Arc::clone(value))).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }
}

impl HistogramFn for Buckets {
    fn record(&self, seconds: f64) {
        let bucket = BUCKETS.iter().take_while(|bound| seconds > **bound).count();
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let duration = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or_default();
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// The sentences about metrics are in a table of `prometheus`.
impl Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.counters.get(key).map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.gauges.get(key).map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.histograms.get(key).map_or_else(Histogram::noop, Histogram::from_arc)
    }
}
