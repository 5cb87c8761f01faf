//! `narrows status`: how the running narrows is, on one screen.

use std::fmt::Write as _;

use crate::cli::table::{Align, Cell, Table};
use crate::cli::text::{self, Colour, Paint};
use crate::cli::{Context, Exit, Output};
use crate::control::api::{Quantiles, RecorderState, Status};
use crate::observe::metrics::KeySetState;

/// Show how the running narrows is
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows status
  narrows status --json | jq .recorder.state

Exits with 1 if the recorder has failed or a worker is silent.")]
pub struct Args {}

#[must_use]
pub fn run(_args: &Args, context: &Context) -> Exit {
    let status = match context.client().status() {
        Ok(status) => status,
        Err(error) => return context.unanswered(&error),
    };
    let printed = match context.output {
        Output::Json => context.print_json(&status),
        Output::People => context.print(&page(&status, context.paint)),
    };
    if status.recorder.state == RecorderState::Failed || status.workers_silent > 0 {
        return Exit::Failure;
    }
    printed
}

/// Lines of a name and a value, the names aligned.
struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        let padding = NAME_COLUMNS.saturating_sub(text::width(name));
        let name = self.paint.paint(Colour::Bold, name);
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{name}{:padding$}{value}", "");
    }

    /// A further line of the value above.
    fn more(&mut self, value: &str) {
        let _ = writeln!(self.text, "{:NAME_COLUMNS$}{value}", "");
    }

    fn warn(&mut self, value: &str) {
        let value = self.paint.paint(Colour::Red, value);
        self.more(&value);
    }
}

fn page(status: &Status, paint: Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    node(&mut page, status);
    traffic(&mut page, status);
    recorder(&mut page, status);
    events(&mut page, status);
    key_sets(&mut page, &status.key_sets, status.now_unix_s);
    if status.workers.len() > 1 {
        page.text.push('\n');
        page.text.push_str(&workers(status, paint));
    }
    page.text
}

fn node(page: &mut Page, status: &Status) {
    let node = &status.node;
    let up_s = status.now_unix_s.saturating_sub(node.started_unix_ns / 1_000_000_000);
    page.line("node", &text::escape(&node.name));
    page.line("version", &format!("{}, up {}", text::escape(&node.version), text::span(up_s)));
    page.line("configuration", &text::escape(&node.config_version));
    page.line("driver", &text::escape(&node.driver));
    for line in &node.driver_report {
        page.more(&text::escape(line));
    }
    page.line("workers", &node.workers.to_string());
    if status.workers_silent > 0 {
        page.warn(&format!("{} did not answer: what they do is missing", status.workers_silent));
    }
}

fn traffic(page: &mut Page, status: &Status) {
    let sum = &status.counters;
    page.line(
        "sessions",
        &format!(
            "{} live, {} opened, {} refused",
            text::count(status.sessions),
            text::count(sum.sessions_opened),
            text::counted(sum.logins_refused, "login", "logins")
        ),
    );
    page.line(
        "statements",
        &format!(
            "{} allowed, {} denied, {} would be denied by observing policies",
            text::count(sum.statements_allowed),
            text::count(sum.statements_denied),
            text::count(sum.statements_observed)
        ),
    );
    page.line("latency", &quantiles(&status.latency));
    page.line(
        "bytes",
        &format!(
            "{} to bots, {} to targets",
            text::bytes(sum.downstream_sent_bytes),
            text::bytes(sum.upstream_sent_bytes)
        ),
    );
    if sum.defects > 0 {
        let ended = text::counted(sum.defects, "session", "sessions");
        page.warn(&format!("{ended} ended by a defect of narrows: see its log"));
    }
}

fn recorder(page: &mut Page, status: &Status) {
    let recorder = &status.recorder;
    let state = match recorder.state {
        RecorderState::Recording => page.paint.paint(Colour::Green, "recording"),
        RecorderState::Failed => page.paint.paint(Colour::Red, "FAILED: nothing can be recorded"),
    };
    page.line("recorder", &format!("{state}, {} waiting", text::bytes(recorder.queue_bytes)));
    page.more(&format!(
        "{} in {} on disk, {}",
        text::bytes(recorder.raw_bytes),
        text::bytes(recorder.stored_bytes),
        text::counted(recorder.blocks, "block", "blocks")
    ));
    page.more(&format!(
        "{}, {}",
        text::counted(recorder.commits, "commit", "commits"),
        quantiles(&recorder.commit)
    ));
    if recorder.losses > 0 {
        let lost = text::counted(recorder.losses, "stretch was", "stretches were");
        page.warn(&format!("{lost} lost"));
    }
}

fn events(page: &mut Page, status: &Status) {
    let events = &status.events;
    page.line("audit events", &format!("{} written", text::count(events.written)));
    if events.lost > 0 {
        let lost = text::counted(events.lost, "was", "were");
        page.warn(&format!("{lost} lost: the queue was full"));
    }
    if events.failures > 0 {
        let failures = text::counted(events.failures, "time", "times");
        page.warn(&format!("the event file could not be written {failures}"));
    }
}

fn key_sets(page: &mut Page, key_sets: &[KeySetState], now_unix_s: u64) {
    for (index, set) in key_sets.iter().enumerate() {
        let age = match set.fetched_unix_s {
            Some(fetched) => {
                format!("fetched {} ago", text::span(now_unix_s.saturating_sub(fetched)))
            }
            None => page.paint.paint(Colour::Red, "never fetched: its tokens are refused"),
        };
        let keys = text::counted(set.keys, "key", "keys");
        let line = format!("{}: {keys}, {age}", text::escape(&set.issuer));
        page.line(if index == 0 { "issuers" } else { "" }, &line);
        if let Some(failure) = &set.failure {
            page.warn(&format!("the last fetch failed: {}", text::escape(failure)));
        }
    }
}

fn workers(status: &Status, paint: Paint) -> String {
    let mut table = Table::new(&[
        ("WORKER", Align::Right),
        ("DRIVER", Align::Left),
        ("SESSIONS", Align::Right),
        ("SOCKETS", Align::Right),
        ("FREE BUFFERS", Align::Right),
        ("WAITING LEGS", Align::Right),
    ]);
    for line in &status.workers {
        table.row([
            Cell::from(line.worker.to_string()),
            Cell::from(line.driver.as_str()),
            Cell::from(text::count(line.sessions)),
            Cell::from(text::count(line.connections)),
            Cell::from(text::count(line.chunks_free)),
            Cell::from(text::count(line.legs_parked)),
        ]);
    }
    table.render(paint)
}

fn quantiles(of: &Quantiles) -> String {
    if of.count == 0 {
        return "no latency measured yet".to_owned();
    }
    format!(
        "p50 {}, p99 {}, p99.9 {}, max {}",
        text::micros(of.p50_us),
        text::micros(of.p99_us),
        text::micros(of.p999_us),
        text::micros(of.max_us)
    )
}

const NAME_COLUMNS: usize = 15;

#[cfg(test)]
mod tests;
