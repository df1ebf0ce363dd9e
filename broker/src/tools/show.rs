//! Text for people, and one line of JSON for programs. A line of a segment's or an index's contents is a line of JSON
//! of its own: there may be millions.

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use highwater_engine::{
    LogName, Quarantined, RecoveryReport,
    disk::Disk,
    inspect::{
        Contents, DirContents, Finding, LogContents, Repaired, SegmentContents, Settled, Severity, Verified,
        list_entries,
    },
};

use super::ToolError;
use crate::{counted::counted, json::Json};

pub(super) fn inspected(
    disk: &dyn Disk,
    contents: &Contents,
    json: bool,
    out: &mut impl Write,
) -> Result<(), ToolError> {
    match contents {
        Contents::File(path) => {
            let mut failed = None;
            list_entries(disk, path, &mut |entry| {
                let line = if json {
                    Json::Object(entry.iter().map(|(name, value)| (*name, value_of(value))).collect()).line()
                } else {
                    let words: Vec<String> =
                        entry.iter().map(|(name, value)| format!("{name} {value}")).collect();
                    words.join("  ")
                };
                if failed.is_none() {
                    failed = writeln!(out, "{line}").err();
                }
            })?;
            failed.map_or(Ok(()), Err)?;
        }
        Contents::Log(log) if json => writeln!(out, "{}", log_json(log).line())?,
        Contents::Log(log) => {
            log_line(log, out)?;
            log.segments.iter().try_for_each(|segment| segment_line(segment, out))?;
            for epoch in &log.epochs {
                writeln!(out, "  leader epoch {} from offset {}", epoch.epoch, epoch.start)?;
            }
            writeln!(out, "  other files: {}", log.other_files.join(" "))?;
        }
        Contents::Directory(directory) if json => writeln!(out, "{}", directory_json(directory).line())?,
        Contents::Directory(directory) => {
            let cluster = directory.cluster_id.as_deref().unwrap_or("unknown");
            let node = directory.node_id.map_or("unknown".to_owned(), |node| node.to_string());
            let stop = if directory.clean { "clean" } else { "not clean, or somebody has it open" };
            writeln!(out, "{}: cluster {cluster}, node {node}, last stop {stop}", directory.path.display())?;
            directory.logs.iter().try_for_each(|log| log_line(log, out))?;
        }
    }
    Ok(out.flush()?)
}

fn value_of(value: &str) -> Json {
    match value {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => value.parse::<i64>().map_or_else(|_| Json::text(value), Json::number),
    }
}

fn log_line(log: &LogContents, out: &mut impl Write) -> io::Result<()> {
    let name = log.name.as_ref().map_or_else(|| log.path.display().to_string(), LogName::to_string);
    let from = log.segments.first().map_or(0, |segment| segment.base.get());
    let to = log.segments.last().map_or(0, |segment| segment.next_offset.get());
    let bytes: u64 = log.segments.iter().map(|segment| segment.size).sum();
    let id = log.topic_id.map_or("unknown".to_owned(), |id| id.to_string());
    write!(
        out,
        "{name}: offsets {from} to {to} in {} of {}, topic id {id}",
        counted(log.segments.len(), "segment", "segments"),
        size(bytes)
    )?;
    if let Some(point) = log.recovery_point {
        write!(out, ", durable to {point}")?;
    }
    if let Some(start) = log.log_start {
        write!(out, ", starts at {start}")?;
    }
    writeln!(out)
}

fn segment_line(segment: &SegmentContents, out: &mut impl Write) -> io::Result<()> {
    let SegmentContents { base, size: bytes, next_offset, batches, times, unread, gaps: _ } = segment;
    write!(out, "  {base:?} to {next_offset}: {batches} batches in {}", size(*bytes))?;
    if let Some((from, to)) = times {
        write!(out, ", times {from} to {to}")?;
    }
    if *unread > 0 {
        write!(out, ", then {unread} bytes that do not read")?;
    }
    writeln!(out)
}

pub(super) fn verified(
    found: &Verified,
    path: &Path,
    took: Duration,
    json: bool,
    out: &mut impl Write,
) -> Result<(), ToolError> {
    if json {
        let mut object = verified_fields(found);
        object.push(("milliseconds", Json::number(took.as_millis() as u64)));
        writeln!(out, "{}", Json::Object(object).line())?;
        return Ok(out.flush()?);
    }
    findings(found, out)?;
    let Verified { logs, segments, batches, records, bytes, small_files, .. } = found;
    writeln!(
        out,
        "read {}, {}, {}, {}, {} and {} in {:.1} s",
        counted(*logs, "log", "logs"),
        counted(*segments, "segment", "segments"),
        counted(*batches, "batch", "batches"),
        counted(*records, "record", "records"),
        size(*bytes),
        counted(*small_files, "small file", "small files"),
        took.as_secs_f64()
    )?;
    match found.worst() {
        None | Some(Severity::Note) => writeln!(out, "everything fits")?,
        Some(Severity::Unsettled) => writeln!(
            out,
            "nothing is damaged; the next start puts this right, and so does: highwater log settle {}",
            path.display()
        )?,
        Some(Severity::Rebuildable) => {
            writeln!(out, "no record is lost; to put this right: highwater log repair {}", path.display())?;
        }
        Some(Severity::Damage) => writeln!(
            out,
            "records cannot be read; to keep what can be: highwater log repair {}",
            path.display()
        )?,
    }
    Ok(out.flush()?)
}

fn findings(found: &Verified, out: &mut impl Write) -> io::Result<()> {
    found.findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))
}

pub(super) fn repaired(done: &Repaired, json: bool, out: &mut impl Write) -> Result<(), ToolError> {
    if json {
        let moved = Json::list(&done.moved, |(from, to)| {
            Json::Object(vec![("from", Json::text(from.display())), ("to", Json::text(to.display()))])
        });
        let mut object = verified_fields(&done.found);
        object.push(("moved", moved));
        object.extend(settled_fields(&done.settled));
        writeln!(out, "{}", Json::Object(object).line())?;
        return Ok(out.flush()?);
    }
    findings(&done.found, out)?;
    for (from, to) in &done.moved {
        writeln!(out, "moved {} to {}", from.display(), to.display())?;
    }
    settled(&done.settled, false, out)
}

pub(super) fn settled(done: &Settled, json: bool, out: &mut impl Write) -> Result<(), ToolError> {
    if json {
        writeln!(out, "{}", Json::Object(settled_fields(done)).line())?;
        return Ok(out.flush()?);
    }
    for (name, report) in &done.logs {
        for note in &report.notes {
            writeln!(out, "{name}: {note}")?;
        }
        for cut in report.cut.iter().filter(|cut| cut.file.is_some()) {
            let file = cut.file.as_deref().unwrap_or_default();
            writeln!(out, "{name}: {} bytes behind offset {} lie in {file} now", cut.bytes, cut.at)?;
        }
        for range in &report.quarantined {
            writeln!(out, "{name}: offsets {} to {} cannot be read", range.offsets.start, range.offsets.end)?;
        }
    }
    for name in &done.unidentified {
        writeln!(out, "{name}: left alone, since its partition.metadata does not say whose it is")?;
    }
    let logs = done.logs.len();
    let state = if done.clean { "as after a clean stop" } else { "still to be recovered by the next start" };
    writeln!(out, "{logs} logs; the directory is {state}")?;
    Ok(out.flush()?)
}

fn verified_fields(found: &Verified) -> Vec<(&'static str, Json)> {
    vec![
        ("worst", Json::or_null(found.worst(), |worst| Json::text(worst.name()))),
        ("findings", Json::list(&found.findings, finding_json)),
        ("logs", Json::number(found.logs)),
        ("segments", Json::number(found.segments)),
        ("batches", Json::number(found.batches)),
        ("records", Json::number(found.records)),
        ("bytes", Json::number(found.bytes)),
        ("small_files", Json::number(found.small_files)),
        ("in_use", Json::Bool(found.in_use)),
    ]
}

fn finding_json(finding: &Finding) -> Json {
    Json::Object(vec![
        ("severity", Json::text(finding.severity.name())),
        ("file", Json::text(finding.file.display())),
        ("position", Json::or_null(finding.position, Json::number)),
        ("from_offset", Json::or_null(finding.offsets.as_ref(), |range| Json::number(range.start.get()))),
        ("to_offset", Json::or_null(finding.offsets.as_ref(), |range| Json::number(range.end.get()))),
        ("what", Json::text(&finding.what)),
    ])
}

fn settled_fields(done: &Settled) -> Vec<(&'static str, Json)> {
    vec![
        ("clean", Json::Bool(done.clean)),
        ("unidentified", Json::list(&done.unidentified, Json::text)),
        ("recovered", Json::list(&done.logs, |(name, report)| recovery_json(name, report))),
    ]
}

fn recovery_json(name: &LogName, report: &RecoveryReport) -> Json {
    let range = |range: &Quarantined| {
        Json::Object(vec![
            ("segment", Json::number(range.segment.get())),
            ("from_offset", Json::number(range.offsets.start.get())),
            ("to_offset", Json::number(range.offsets.end.get())),
        ])
    };
    Json::Object(vec![
        ("log", Json::text(name)),
        ("was_clean", Json::Bool(report.clean)),
        ("unreadable", Json::list(&report.quarantined, range)),
        (
            "cut",
            Json::list(&report.cut, |cut| {
                Json::Object(vec![
                    ("at_offset", Json::number(cut.at.get())),
                    ("bytes", Json::number(cut.bytes)),
                    ("file", Json::or_null(cut.file.as_ref(), Json::text)),
                    ("reason", Json::text(&cut.reason)),
                ])
            }),
        ),
        ("notes", Json::list(&report.notes, Json::text)),
    ])
}

fn directory_json(directory: &DirContents) -> Json {
    Json::Object(vec![
        ("path", Json::text(directory.path.display())),
        ("cluster_id", Json::or_null(directory.cluster_id.as_ref(), Json::text)),
        ("node_id", Json::or_null(directory.node_id, Json::number)),
        ("clean", Json::Bool(directory.clean)),
        ("logs", Json::list(&directory.logs, log_json)),
    ])
}

fn log_json(log: &LogContents) -> Json {
    let segment = |segment: &SegmentContents| {
        Json::Object(vec![
            ("base_offset", Json::number(segment.base.get())),
            ("next_offset", Json::number(segment.next_offset.get())),
            ("bytes", Json::number(segment.size)),
            ("batches", Json::number(segment.batches)),
            ("first_time", Json::or_null(segment.times, |(first, _)| Json::number(first.0))),
            ("last_time", Json::or_null(segment.times, |(_, last)| Json::number(last.0))),
            ("unread_bytes", Json::number(segment.unread)),
        ])
    };
    let epoch = |epoch: &highwater_engine::EpochStart| {
        let (number, start) = (Json::number(epoch.epoch.0), Json::number(epoch.start.get()));
        Json::Object(vec![("epoch", number), ("start_offset", start)])
    };
    Json::Object(vec![
        ("log", Json::or_null(log.name.as_ref(), Json::text)),
        ("path", Json::text(log.path.display())),
        ("topic_id", Json::or_null(log.topic_id, Json::text)),
        ("recovery_point", Json::or_null(log.recovery_point, |offset| Json::number(offset.get()))),
        ("log_start", Json::or_null(log.log_start, |offset| Json::number(offset.get()))),
        ("high_watermark", Json::or_null(log.high_watermark, |offset| Json::number(offset.get()))),
        ("segments", Json::list(&log.segments, segment)),
        ("leader_epochs", Json::list(&log.epochs, epoch)),
        ("other_files", Json::list(&log.other_files, Json::text)),
    ])
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
