//! Samples under names, in the form that Prometheus reads.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Error, TextEncoder};

use super::units::number;
use crate::metrics::HistogramSnapshot;

/// Labels of one sample, by name.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Metrics, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    families: Vec<MetricFamily>,
}

impl Exposition {
    /// Numbers that rise and fall.
    pub(super) fn gauge<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        let samples = samples.into_iter().map(|(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            let mut metric = labelled(labels);
            metric.set_gauge(gauge);
            metric
        });
        self.add(name, help, MetricType::GAUGE, samples.collect());
    }

    /// Numbers that only rise, but for a restart.
    pub(super) fn counter<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        let samples = samples.into_iter().map(|(labels, value)| {
            let mut counter = Counter::default();
            counter.set_value(number(value));
            let mut metric = labelled(labels);
            metric.set_counter(counter);
            metric
        });
        self.add(name, help, MetricType::COUNTER, samples.collect());
    }

    /// How often values of which size were seen; `unit` is how much of the shown unit 1 is.
    pub(super) fn histogram<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: f64,
        samples: impl IntoIterator<Item = (Labels<'a>, &'a HistogramSnapshot)>,
    ) {
        let samples = samples.into_iter().map(|(labels, seen)| {
            let buckets = seen.cumulative.iter().map(|(bound, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(number(*bound) / unit);
                bucket.set_cumulative_count(*count);
                bucket
            });
            let mut histogram = Histogram::default();
            histogram.set_bucket(buckets.collect());
            histogram.set_sample_count(seen.count);
            histogram.set_sample_sum(number(seen.sum) / unit);
            let mut metric = labelled(labels);
            metric.set_histogram(histogram);
            metric
        });
        self.add(name, help, MetricType::HISTOGRAM, samples.collect());
    }

    /// As text.
    pub(super) fn encode(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.families)
    }

    /// A family without samples is left out: there is nothing to say yet.
    fn add(&mut self, name: &str, help: &str, kind: MetricType, samples: Vec<Metric>) {
        if samples.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(samples);
        self.families.push(family);
    }
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pairs = labels.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}
