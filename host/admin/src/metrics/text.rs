//! The text format of Prometheus.

use std::fmt::{Display, Write as _};

use soloist_core::meter::Reading;

use super::families::{Family, Kind};

/// What is told, so far.
#[derive(Default)]
pub(super) struct Text {
    out: String,
    family: &'static str,
}

/// A label with its value, escaped.
pub(super) fn label(name: &str, value: &str) -> String {
    let mut label = format!("{name}=\"");
    for character in value.chars() {
        match character {
            '\\' => label.push_str("\\\\"),
            '"' => label.push_str("\\\""),
            '\n' => label.push_str("\\n"),
            other => label.push(other),
        }
    }
    label.push('"');
    label
}

impl Text {
    /// What follows is of this family.
    pub(super) fn begin(&mut self, family: &Family) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = family.name;
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.out,
            "# HELP {0} {1}\n# TYPE {0} {kind}",
            family.name, family.help
        );
    }

    /// A sample, with labels as [`label`] writes them.
    pub(super) fn sample(&mut self, labels: &[&str], value: impl Display) {
        self.write("", labels, value);
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, labels: &[&str], reading: &Reading) {
        for (bound, count) in &reading.buckets {
            let bound = format!("le=\"{bound}\"");
            self.write("_bucket", &[labels, &[&bound]].concat(), count);
        }
        let all = [labels, &["le=\"+Inf\""]].concat();
        self.write("_bucket", &all, reading.count);
        self.write("_sum", labels, reading.sum);
        self.write("_count", labels, reading.count);
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    fn write(&mut self, suffix: &str, labels: &[&str], value: impl Display) {
        self.out.push_str(self.family);
        self.out.push_str(suffix);
        for (number, label) in labels.iter().enumerate() {
            self.out.push(if number == 0 { '{' } else { ',' });
            self.out.push_str(label);
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}
