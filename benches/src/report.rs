//! What was measured: one table for people, one JSON object for machines.

use std::fmt;

use serde::Serialize;

use crate::load::Quantiles;
use crate::machine::Machine;
use crate::phases::{
    BATCH_CONNECTIONS, BATCHES_OF_QUESTIONS_PER_S, EVENTS_UNDER_READS_PER_S, FlatOutReads, Import, QUESTIONS_AT_ONCE,
    QUESTIONS_PER_S, READS_PER_S, Reads, Rest, SINGLE_CONNECTIONS, TRIGGERS_PER_S, Throughput, Webhooks,
};

/// Everything of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// What was measured: version of the server, and how this bench was built.
    pub server: String,
    /// `release` or `debug`.
    pub bench_build: &'static str,
    /// Seed of the load.
    pub seed: u64,
    /// Length of each phase.
    pub phase_s: u64,
    /// Events before the first measurement.
    pub warm_up_events: u64,
    /// People of the shop.
    pub people: u32,
    /// What the disk can do.
    pub fdatasync_per_s: f64,
    /// What the disk can do, 10⁶ bytes per second.
    pub sequential_mb_per_s: f64,
    /// What HTTP and JSON alone can do with batches.
    pub noop_batches: Throughput,
    /// What HTTP alone can do with single events.
    pub noop_singles: Throughput,
    /// Batches, stored and processed.
    pub batches: Throughput,
    /// Single events.
    pub singles: Throughput,
    /// From event to webhook.
    pub webhooks: Webhooks,
    /// The same, beside batches at half of the rate of `batches`.
    pub webhooks_at_half: Webhooks,
    /// Profile reads under load.
    pub reads: Reads,
    /// Profile reads with nothing beside them.
    pub flat_out_reads: FlatOutReads,
    /// The same bytes from Redis through a handler that does nothing else, where Redis is installed.
    pub redis_reads: Option<FlatOutReads>,
    /// A file of orders, where it is there.
    pub import: Option<Import>,
    /// `GET /v1/allowed` under load.
    pub questions: Reads,
    /// `POST /v1/allowed` under load.
    pub batches_of_questions: Reads,
    /// What is left on the disk.
    pub rest: Rest,
    /// Webhooks of other activations that arrived during the run.
    pub other_webhooks: u64,
    /// Most memory that the server held.
    pub server_memory_bytes_max: u64,
}

struct Row {
    what: String,
    value: String,
    latency: Option<Quantiles>,
    beside: String,
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let row = |what: String, value: String, latency, beside| Row { what, value, latency, beside };
        let of = |part: f64, whole: f64| if whole > 0.0 { part * 100.0 / whole } else { 0.0 };
        let slowest = self.batches.slowest_10s_events_per_s.map(|rate| format!("; never under {} in 10 s", thousands(rate)));
        let slowest = slowest.unwrap_or_default();
        let cpu = |load: &Throughput| {
            format!("CPU: server {:.0} %, generator {:.0} %", load.server_cpu_percent, load.generator_cpu_percent)
        };
        let under = |reads: &Reads| {
            let (p50, p99) = (reads.answer.p50_ms, reads.answer.p99_ms);
            format!("at most 5 ms at p99 is promised; batches acknowledged after {p50:.1} / {p99:.1} ms")
        };
        let drain_s = self.batches.seconds - self.phase_s as f64;
        let pushed_back = |load: &Throughput| match load.pushed_back {
            0 => String::new(),
            count => format!("; {} answers 429/503", thousands(count as f64)),
        };
        let webhooks = |what: String, webhooks: &Webhooks| {
            row(
                what,
                format!("{} of {}", thousands(webhooks.arrived as f64), thousands(webhooks.events as f64)),
                Some(webhooks.latency),
                format!(
                    "event acknowledged after {:.1} / {:.1} ms; {} repeats",
                    webhooks.answer.p50_ms, webhooks.answer.p99_ms, webhooks.repeats
                ),
            )
        };
        let redis = match &self.redis_reads {
            None => "redis-server is not installed".to_owned(),
            Some(redis) => format!(
                "{:.0} % of Redis behind a no-op handler: {}, {:.2} / {:.2} ms",
                of(self.flat_out_reads.reads_per_s, redis.reads_per_s),
                per_s(redis.reads_per_s, "reads"),
                redis.latency.p50_ms,
                redis.latency.p99_ms
            ),
        };
        let import = match &self.import {
            None => {
                row("import of a file of orders".into(), "not measured".into(), None, "the file is not there: --orders".into())
            }
            Some(import) => row(
                format!("import of a file of orders, {} events", thousands(import.events as f64)),
                match import.rows {
                    0 => per_s(import.events_per_s, "events"),
                    rows => per_s(import.events_per_s * rows as f64 / import.events.max(1) as f64, "rows"),
                },
                None,
                match import.duckdb_rows_per_s {
                    None => "DuckDB is not there: --python".into(),
                    Some(rate) => {
                        format!("COPY of its {} rows into DuckDB: {}", thousands(import.rows as f64), per_s(rate, "rows"))
                    }
                },
            ),
        };
        vec![
            row("ceiling: fdatasync after each 4 KiB".into(), per_s(self.fdatasync_per_s, "syncs"), None, String::new()),
            row("ceiling: sequential write, one sync".into(), per_s(self.sequential_mb_per_s, "MB"), None, String::new()),
            row(
                "ceiling: no-op handler, batches parsed".into(),
                per_s(self.noop_batches.events_per_s, "events"),
                Some(self.noop_batches.answer),
                cpu(&self.noop_batches),
            ),
            row(
                "ceiling: no-op handler, single events".into(),
                per_s(self.noop_singles.requests_per_s, "requests"),
                Some(self.noop_singles.answer),
                cpu(&self.noop_singles),
            ),
            row(
                format!("batches of 100, stored and processed; {BATCH_CONNECTIONS} connections"),
                per_s(self.batches.events_per_s, "events"),
                Some(self.batches.answer),
                format!(
                    "{:.0} % of no-op{slowest}; {:.0} bytes written per event; last processed {drain_s:.2} s after the end; {}{}",
                    of(self.batches.events_per_s, self.noop_batches.events_per_s),
                    self.batches.written_bytes_per_event,
                    cpu(&self.batches),
                    pushed_back(&self.batches),
                ),
            ),
            row(
                format!("single events, stored; {SINGLE_CONNECTIONS} connections"),
                per_s(self.singles.requests_per_s, "requests"),
                Some(self.singles.answer),
                format!(
                    "{:.0} % of no-op; {}{}",
                    of(self.singles.requests_per_s, self.noop_singles.requests_per_s),
                    cpu(&self.singles),
                    pushed_back(&self.singles),
                ),
            ),
            webhooks(format!("event sent → webhook received, at {TRIGGERS_PER_S}/s"), &self.webhooks),
            webhooks(
                format!("the same under {} events/s, half of the above", thousands(self.batches.events_per_s / 2.0)),
                &self.webhooks_at_half,
            ),
            row(
                format!("profile reads at {READS_PER_S}/s under {} events/s", thousands(f64::from(EVENTS_UNDER_READS_PER_S))),
                per_s(self.reads.reads_per_s, "reads"),
                Some(self.reads.latency),
                format!(
                    "{} of {} found; batches acknowledged after {:.1} / {:.1} ms",
                    thousands(self.reads.reads as f64 - self.reads.not_found as f64),
                    thousands(self.reads.reads as f64),
                    self.reads.answer.p50_ms,
                    self.reads.answer.p99_ms
                ),
            ),
            row(
                "profile reads flat out, nothing beside them".into(),
                per_s(self.flat_out_reads.reads_per_s, "reads"),
                Some(self.flat_out_reads.latency),
                redis,
            ),
            row(
                format!(
                    "GET /v1/allowed at {QUESTIONS_PER_S}/s under {} events/s",
                    thousands(f64::from(EVENTS_UNDER_READS_PER_S))
                ),
                per_s(self.questions.reads_per_s, "answers"),
                Some(self.questions.latency),
                under(&self.questions),
            ),
            row(
                format!("POST /v1/allowed of {QUESTIONS_AT_ONCE} at {BATCHES_OF_QUESTIONS_PER_S}/s, likewise"),
                per_s(self.batches_of_questions.reads_per_s, "answers"),
                Some(self.batches_of_questions.latency),
                under(&self.batches_of_questions),
            ),
            row(
                format!("disk, journals included, {} events", thousands(self.rest.events as f64)),
                format!("{:.0} bytes/event", self.rest.disk_bytes_per_event),
                None,
                format!("the same events as zstd JSONL: {:.0} bytes/event", self.rest.zstd_bytes_per_event),
            ),
            row(
                "start after a clean stop".into(),
                format!("{:.2} s", self.rest.start_s),
                None,
                format!("after kill -9: {:.2} s", self.rest.start_after_kill_s),
            ),
            row("rebuild, with the comparison".into(), per_s(self.rest.rebuild_events_per_s, "events"), None, String::new()),
            import,
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{} cores of {}, data on {}; {}; bench built as {}",
            machine.cores, machine.cpu, machine.file_system, self.server, self.bench_build
        )?;
        writeln!(
            f,
            "load generator and server on the same cores; the generator took {:.0} % of them during batches, {:.0} % during single events",
            self.batches.generator_cpu_percent, self.singles.generator_cpu_percent
        )?;
        writeln!(
            f,
            "phase of {} s after a warm-up of {} events; a shop of {} people, seed {}; server's memory at most {} MB; {} other webhooks",
            self.phase_s,
            thousands(self.warm_up_events as f64),
            thousands(f64::from(self.people)),
            self.seed,
            thousands(self.server_memory_bytes_max as f64 / 1e6),
            thousands(self.other_webhooks as f64),
        )?;
        if machine.file_system == "tmpfs" {
            writeln!(f, "THE DATA IS IN MEMORY (tmpfs): a sync costs nothing there; give --directory on a disk")?;
        }
        writeln!(f)?;
        let rows = self.rows();
        let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or_default();
        let (what, value) = (width(|row| &row.what), width(|row| &row.value));
        writeln!(f, "{:what$}  {:>value$}  {:>9}  {:>9}  beside it", "", "", "p50", "p99")?;
        for row in &rows {
            let milliseconds =
                |of: fn(Quantiles) -> f64| row.latency.map(|latency| format!("{:.2} ms", of(latency))).unwrap_or_default();
            let (p50, p99) = (milliseconds(|latency| latency.p50_ms), milliseconds(|latency| latency.p99_ms));
            let line = format!("{:what$}  {:>value$}  {p50:>9}  {p99:>9}  {}", row.what, row.value, row.beside);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn per_s(rate: f64, of: &str) -> String {
    format!("{} {of}/s", thousands(rate))
}

/// Rounded, with commas.
fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(events_per_s: f64, requests_per_s: f64) -> Throughput {
        Throughput {
            events: 1_000_000,
            seconds: 10.25,
            events_per_s,
            requests_per_s,
            answer: Quantiles { p50_ms: 1.5, p99_ms: 20.25, max_ms: 31.0 },
            pushed_back: 0,
            slowest_10s_events_per_s: Some(98_765.0),
            generator_cpu_percent: 12.4,
            server_cpu_percent: 80.0,
            written_bytes_per_event: 410.0,
        }
    }

    #[test]
    fn the_table_says_what_was_measured_beside_what() {
        let latency = Quantiles { p50_ms: 2.0, p99_ms: 9.0, max_ms: 10.0 };
        let report = Report {
            machine: Machine { cores: 2, cpu: "Some CPU".into(), file_system: "ext4".into() },
            server: "jumelle 0.1.0".into(),
            bench_build: "release",
            seed: 1,
            phase_s: 10,
            warm_up_events: 500_000,
            people: 1_000_000,
            fdatasync_per_s: 3_000.0,
            sequential_mb_per_s: 325.0,
            noop_batches: load(200_000.0, 2_000.0),
            noop_singles: load(90_000.0, 90_000.0),
            batches: load(100_000.0, 1_000.0),
            singles: Throughput { pushed_back: 7, ..load(45_000.0, 45_000.0) },
            webhooks: Webhooks { events: 2_000, arrived: 2_000, repeats: 0, latency, answer: latency, beside: 0 },
            webhooks_at_half: Webhooks { events: 900, arrived: 899, repeats: 1, latency, answer: latency, beside: 500_000 },
            flat_out_reads: FlatOutReads { reads_per_s: 30_000.0, latency },
            redis_reads: Some(FlatOutReads { reads_per_s: 50_000.0, latency }),
            import: Some(Import { events: 22_000, events_per_s: 11_000.0, rows: 540_000, duckdb_rows_per_s: Some(1e6) }),
            reads: Reads { reads: 5_000, not_found: 100, reads_per_s: 500.0, latency, events: 50_000, answer: latency },
            questions: Reads { reads: 2_000, not_found: 0, reads_per_s: 2_000.0, latency, events: 50_000, answer: latency },
            batches_of_questions: Reads { reads: 50, not_found: 0, reads_per_s: 50.0, latency, events: 50_000, answer: latency },
            rest: Rest {
                events: 5_000_000,
                disk_bytes_per_event: 512.3,
                zstd_bytes_per_event: 99.6,
                start_s: 0.5,
                start_after_kill_s: 1.25,
                rebuild_events_per_s: 200_000.0,
            },
            other_webhooks: 12,
            server_memory_bytes_max: 900_000_000,
        };
        let table = report.to_string();
        for expected in [
            "2 cores of Some CPU, data on ext4; jumelle 0.1.0; bench built as release\n",
            "the generator took 12 % of them during batches",
            "100,000 events/s    1.50 ms   20.25 ms  50 % of no-op; never under 98,765 in 10 s; 410 bytes written per event; last processed 0.25 s after the end",
            "50 % of no-op; CPU: server 80 %, generator 12 %; 7 answers 429/503\n",
            "2,000 of 2,000    2.00 ms    9.00 ms  event acknowledged after 2.0 / 9.0 ms; 0 repeats\n",
            "4,900 of 5,000 found",
            "GET /v1/allowed at 2000/s under 5,000 events/s",
            "POST /v1/allowed of 100 at 50/s, likewise",
            "512 bytes/event",
            "zstd JSONL: 100 bytes/event",
            "after kill -9: 1.25 s",
            "200,000 events/s",
            "the same under 50,000 events/s, half of the above",
            "899 of 900    2.00 ms    9.00 ms  event acknowledged after 2.0 / 9.0 ms; 1 repeats\n",
            "30,000 reads/s    2.00 ms    9.00 ms  60 % of Redis behind a no-op handler: 50,000 reads/s, 2.00 / 9.00 ms\n",
            "270,000 rows/s",
            "COPY of its 540,000 rows into DuckDB: 1,000,000 rows/s",
        ] {
            assert!(table.contains(expected), "{expected:?} is not in\n{table}");
        }
        assert_eq!(table.lines().count(), 21, "{table}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["batches"]["answer"]["p99_ms"], 20.25);
    }

    #[test]
    fn thousands_have_commas() {
        for (number, expected) in [(0.0, "0"), (999.4, "999"), (1_000.0, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(thousands(number), expected);
        }
    }
}
