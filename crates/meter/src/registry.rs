//! The registry: families of series, each a number that many threads change at once.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::text::{Kind, Text};

/// Series of one family: a peer that finds a way to make labels must not fill the memory, nor Prometheus.
pub const MAX_SERIES: usize = 200;
/// The value of every label of the series that takes what is beyond [`MAX_SERIES`].
const OTHER: &str = "other";

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds, or takes away.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Puts it at a value.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How values are spread: how many are at most each bound, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is beyond the last.
    buckets: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Histogram {
    /// Nothing seen yet; `bounds` ascend.
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, buckets, sum: AtomicU64::new(0f64.to_bits()) }
    }

    /// One more value.
    pub fn observe(&self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // The closure always answers: there is nothing to ignore.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// The values seen.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Bounds with how many values are at most each, then the sum. The last bound is infinity.
    pub(crate) fn snapshot(&self) -> (Vec<(f64, u64)>, f64) {
        let mut total = 0;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let rows = bounds.zip(&self.buckets).map(|(bound, bucket)| {
            total += bucket.load(Ordering::Relaxed);
            (bound, total)
        });
        (rows.collect(), f64::from_bits(self.sum.load(Ordering::Relaxed)))
    }
}

/// A series, and the values of its labels.
type Series<T> = Vec<(Box<[String]>, Arc<T>)>;

#[derive(Debug)]
struct Family<T> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    series: RwLock<Series<T>>,
}

impl<T> Family<T> {
    fn of(&self, values: &[&str], new: impl Fn() -> T) -> Arc<T> {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let find = |series: &Series<T>| {
            let found = series.iter().find(|(have, _)| have.iter().map(String::as_str).eq(values.iter().copied()));
            found.map(|(_, series)| series.clone())
        };
        if let Some(found) = find(&self.series.read().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = find(&series) {
            return found;
        }
        let labels: Box<[String]> = if series.len() < MAX_SERIES - 1 {
            values.iter().map(|value| (*value).to_owned()).collect()
        } else {
            let other: Box<[String]> = values.iter().map(|_| OTHER.to_owned()).collect();
            if let Some((_, found)) = series.iter().find(|(have, _)| *have == other) {
                return found.clone();
            }
            other
        };
        let made = Arc::new(new());
        series.push((labels, made.clone()));
        made
    }

    fn write(&self, kind: Kind, text: &mut Text, mut each: impl FnMut(&mut Text, &[(&str, &str)], &T)) {
        text.head(self.name, self.help, kind);
        for (values, series) in self.series.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let labels: Vec<(&str, &str)> =
                self.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
            each(text, &labels, series);
        }
    }
}

/// A family of [`Counter`]s. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Counters(Arc<Family<Counter>>);

impl Counters {
    /// The counter with these values of the labels.
    pub fn of(&self, values: &[&str]) -> Arc<Counter> {
        self.0.of(values, Counter::default)
    }
}

/// A family of [`Gauge`]s. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gauges(Arc<Family<Gauge>>);

impl Gauges {
    /// The gauge with these values of the labels.
    pub fn of(&self, values: &[&str]) -> Arc<Gauge> {
        self.0.of(values, Gauge::default)
    }
}

/// A family of [`Histogram`]s. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Histograms(Arc<Family<Histogram>>, &'static [f64]);

impl Histograms {
    /// The histogram with these values of the labels.
    pub fn of(&self, values: &[&str]) -> Arc<Histogram> {
        self.0.of(values, || Histogram::new(self.1))
    }
}

#[derive(Debug, Clone)]
enum Any {
    Counters(Counters),
    Gauges(Gauges),
    Histograms(Histograms),
}

/// Every family of a server. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Mutex<Vec<Any>>>);

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Registry::default()
    }

    /// The family of counters of that name; `name` ends with `_total`.
    pub fn counters(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Counters {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for known in all.iter() {
            if let Any::Counters(family) = known
                && family.0.name == name
            {
                return family.clone();
            }
        }
        let made = Counters(Arc::new(Family { name, help, labels, series: RwLock::default() }));
        all.push(Any::Counters(made.clone()));
        made
    }

    /// The family of gauges of that name.
    pub fn gauges(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Gauges {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for known in all.iter() {
            if let Any::Gauges(family) = known
                && family.0.name == name
            {
                return family.clone();
            }
        }
        let made = Gauges(Arc::new(Family { name, help, labels, series: RwLock::default() }));
        all.push(Any::Gauges(made.clone()));
        made
    }

    /// The family of histograms of that name, all with the same ascending bounds.
    pub fn histograms(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Histograms {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for known in all.iter() {
            if let Any::Histograms(family) = known
                && family.0.name == name
            {
                return family.clone();
            }
        }
        let made = Histograms(Arc::new(Family { name, help, labels, series: RwLock::default() }), bounds);
        all.push(Any::Histograms(made.clone()));
        made
    }

    /// Everything, as Prometheus reads it.
    pub fn write(&self, text: &mut Text) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for family in all {
            match family {
                Any::Counters(Counters(family)) => family.write(Kind::Counter, text, |text, labels, counter| {
                    text.value(family.name, labels, counter.get() as f64);
                }),
                Any::Gauges(Gauges(family)) => family.write(Kind::Gauge, text, |text, labels, gauge| {
                    text.value(family.name, labels, gauge.get() as f64);
                }),
                Any::Histograms(Histograms(family, _)) => {
                    family.write(Kind::Histogram, text, |text, labels, histogram| {
                        text.histogram(family.name, labels, histogram);
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(registry: &Registry) -> String {
        let mut text = Text::default();
        registry.write(&mut text);
        text.finish()
    }

    #[test]
    fn numbers_are_written_with_their_labels() {
        let registry = Registry::new();
        let counters = registry.counters("a_total", "How many.", &["kind"]);
        counters.of(&["x"]).add(3);
        counters.of(&["x"]).one();
        registry.counters("a_total", "How many.", &["kind"]).of(&["y\"\n\\"]).one();
        registry.gauges("b", "Now.", &[]).of(&[]).add(-2);
        assert_eq!(
            written(&registry),
            "# HELP a_total How many.\n# TYPE a_total counter\na_total{kind=\"x\"} 4\na_total{kind=\"y\\\"\\n\\\\\"} 1\n\
             # HELP b Now.\n# TYPE b gauge\nb -2\n"
        );
    }

    #[test]
    fn histograms_are_cumulative() {
        let registry = Registry::new();
        let histogram = registry.histograms("h", "Spread.", &[], &[0.5, 1.0]).of(&[]);
        for value in [0.25, 0.5, 0.75, 8.0] {
            histogram.observe(value);
        }
        assert_eq!(histogram.count(), 4);
        assert_eq!(
            written(&registry),
            "# HELP h Spread.\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 2\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 4\n\
             h_sum 9.5\nh_count 4\n"
        );
    }

    #[test]
    fn a_family_does_not_grow_without_end() {
        let registry = Registry::new();
        let counters = registry.counters("a_total", "How many.", &["kind"]);
        for number in 0..10 * MAX_SERIES {
            counters.of(&[&number.to_string()]).one();
        }
        let text = written(&registry);
        assert_eq!(text.lines().count(), 2 + MAX_SERIES);
        assert!(text.ends_with(&format!("a_total{{kind=\"other\"}} {}\n", 9 * MAX_SERIES + 1)), "{text}");
    }
}
