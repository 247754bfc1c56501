//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;

use crate::registry::Histogram;

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page being written. Families that are only known when asked for are added with [`Text::gauges`] and [`Text::counters`].
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// A family of gauges: labels and value of each series.
    pub fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Vec<(&'a str, String)>, f64)>,
    ) {
        self.head(name, help, Kind::Gauge);
        self.all(name, series);
    }

    /// A family of counters: labels and value of each series.
    pub fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Vec<(&'a str, String)>, f64)>,
    ) {
        self.head(name, help, Kind::Counter);
        self.all(name, series);
    }

    /// One histogram without labels that belongs to no registry.
    pub fn one_histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, Kind::Histogram);
        self.histogram(name, &[], histogram);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }

    fn all<'a>(&mut self, name: &str, series: impl IntoIterator<Item = (Vec<(&'a str, String)>, f64)>) {
        // Prometheus refuses a page that has a series twice: of two authorities of the same name, the first is told.
        let mut seen = std::collections::HashSet::new();
        for (labels, value) in series {
            if !seen.insert(labels.clone()) {
                continue;
            }
            let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
            self.value(name, &labels, value);
        }
    }

    pub(crate) fn head(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        self.labels(labels);
        let _ = writeln!(self.0, " {value}");
    }

    pub(crate) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let (rows, sum) = histogram.snapshot();
        let mut count = 0;
        for (bound, total) in rows {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.value(&format!("{name}_bucket"), &labels, total as f64);
            count = total;
        }
        self.value(&format!("{name}_sum"), labels, sum);
        self.value(&format!("{name}_count"), labels, count as f64);
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (at, (key, value)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{key}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
    }
}
