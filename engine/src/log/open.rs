//! From a directory to a log.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Weak},
};

use highwater_records::{Offset, TimestampMs};

use super::{
    ChangeError, Log, OpenLogError, batches::left_ahead, epochs::load_epochs, head::Heads, pending::Pending,
};
use crate::{
    config::LogConfig,
    directory::{EntryState, LogDir, LogEntry, meta},
    disk::{Disk, read_file, replace_file},
    gaps::{self, Gaps},
    museum::{Bug, has},
    points::Point,
    positions::Positions,
    quarantine::{self, Quarantined},
    recovery::{
        ProducerSource, Recovered, RecoveredProducers, RecoveryReport, Situation, finish_leftovers,
        keep_points, known_points, read_points, recover_segments, remove_stray_snapshots, set_transactions,
        trust_transactions,
    },
    sync::AtomicU64,
};

impl Log {
    pub(crate) fn open(
        dir: Arc<LogDir>,
        entry: Arc<LogEntry>,
        config: LogConfig,
        now: TimestampMs,
    ) -> Result<(Log, RecoveryReport), OpenLogError> {
        let state = {
            let mut state = entry.state.lock();
            if state.deleted {
                return Err(OpenLogError::NotFound(entry.name.clone()));
            }
            if state.open {
                return Err(OpenLogError::AlreadyOpen(entry.name.clone()));
            }
            if dir.journal.is_ahead(entry.id()) {
                return Err(OpenLogError::Disk(left_ahead()));
            }
            state.open = true;
            *state
        };
        match recover(&dir, &entry, &config, state, now) {
            Ok(opened) => Ok(opened),
            Err(error) => {
                entry.state.lock().open = false;
                Err(error.into())
            }
        }
    }
}

fn recover(
    dir: &Arc<LogDir>,
    entry: &Arc<LogEntry>,
    config: &LogConfig,
    state: EntryState,
    now: TimestampMs,
) -> io::Result<(Log, RecoveryReport)> {
    let (disk, directory) = (&dir.disk, entry.path.as_path());
    // Closed in this run is as good as the mark of a clean stop; left open in this run is not.
    let clean = !state.dirty && (dir.clean_at_open() || state.settled);
    let mut report = RecoveryReport { clean, ..RecoveryReport::default() };
    check_identity(dir, entry, &mut report)?;
    let mut leftovers = finish_leftovers(&**disk, directory, clean, &mut report)?;
    let (known, unknown_quarantine) = known_quarantine(dir, entry, &mut report)?;
    let (gaps, damaged) = Gaps::read(&**disk, directory)?;
    if let Some(damaged) = damaged {
        report.notes.push(format!(
            "{} does not read ({damaged}): any gap is taken for compaction's",
            gaps::FILE_NAME
        ));
    }
    let points = read_points(&**disk, directory, &leftovers.points, now)?;
    let mut state = state;
    // After a clean stop of the directory nothing but the checkpoint counts: somebody else may have had it.
    let written_down = if clean && !state.settled { Some(Offset::MAX) } else { state.recovery_point };
    let mut bound = state.recovery_point.max(state.reread);
    for point in points.values().map(|chain| &chain.point).filter(|_| !clean) {
        // Both were written down because they were so; a truncation removes the point first.
        bound = bound.max(Some(point.offset));
        state.high_watermark = state.high_watermark.max(Some(point.high_watermark));
    }
    let walk_all = unknown_quarantine || state.reread.is_some();
    let situation = Situation {
        disk,
        directory,
        bound,
        last_stop_clean: clean,
        log_start: state.log_start.unwrap_or(Offset::ZERO),
        head_is_here: state.log_start.is_some() && !config.tiered,
        index_interval_bytes: config.index_interval_bytes,
        points: &points,
        gaps: &gaps,
        now,
    };
    let recovered = recover_segments(&situation, &leftovers.segments, known, walk_all, &mut report)?;
    report.quarantined = recovered.quarantined.clone();
    for cut in &report.cut {
        leftovers.cuts.extend(cut.file.clone().map(|file| (file, now.0)));
    }

    let positions = place(config, &state, &recovered);
    let rebuild = trust_transactions(
        &situation,
        &recovered.segments,
        &recovered.walked,
        &recovered.with_markers,
        &leftovers.transactions,
        &mut report,
    )?;
    let source = ProducerSource {
        disk: &**disk,
        directory,
        segments: &recovered.segments,
        quarantined: &recovered.quarantined,
        snapshots: &leftovers.snapshots,
        now,
    };
    let known = known_points(&situation, &recovered)?;
    let resumed: BTreeMap<Offset, &Point> = known.iter().map(|(base, chain)| (*base, &chain.point)).collect();
    let RecoveredProducers { states: producers, aborted, snapshots } =
        source.recover(recovered.log_end, positions.high_watermark, &rebuild, &recovered.walked, &resumed)?;
    let wrote_snapshots = !snapshots.is_empty();
    leftovers.snapshots.extend(snapshots);
    set_transactions(&situation, &recovered.segments, &leftovers.transactions, &aborted)?;
    let log_end = recovered.log_end;
    let stray =
        remove_stray_snapshots(&**disk, directory, &recovered.segments, &mut leftovers.snapshots, log_end)?;
    let (epochs, epochs_dirty) = load_epochs(
        &**disk,
        directory,
        &recovered.segments,
        &recovered.quarantined,
        positions.log_start..recovered.log_end,
        resumed.values().next_back().copied(),
        &mut report,
    )?;
    let active = recovered.segments.last().map_or(log_end, |active| active.base);
    let (kept_points, removed_points) =
        keep_points(&situation, &leftovers.points, active, &known, written_down)?;
    let as_it_was = clean && recovered.walked.is_empty() && rebuild.is_empty() && !wrote_snapshots;
    if !as_it_was || leftovers.removed || stray || removed_points {
        // Removed names stay removed before anything is appended.
        disk.sync_dir(directory)?;
    }

    let as_opened = as_it_was && leftovers.snapshots.contains(&log_end);
    let Recovered { segments, mut quarantined, .. } = recovered;
    if config.tiered {
        // What lies below the local start is the bucket's to serve.
        quarantined.retain(|range| range.offsets.end > positions.local_start);
    }
    let snapshots: BTreeSet<Offset> = leftovers.snapshots;
    dir.doom(directory, leftovers.deleted);
    let mut log = Log {
        dir: dir.clone(),
        entry: entry.clone(),
        config: config.clone(),
        segments: Arc::new(segments),
        positions,
        epochs: Arc::new(epochs),
        epochs_dirty,
        producers,
        snapshots,
        quarantine: Arc::new(quarantined),
        cuts: leftovers.cuts,
        pending: Pending::default(),
        points: kept_points,
        heads: Heads::default(),
        reserved: None,
        committing: Weak::new(),
        compacting: Weak::new(),
        decided: Offset::ZERO,
        gate: Arc::default(),
        generation: Arc::new(AtomicU64::new(0)),
        rest_behind_end: false,
        written_start: state.log_start,
        as_opened,
        broken: None,
    };
    {
        let mut state = entry.state.lock();
        state.settled = true;
        state.dirty = true;
        state.recovery_point =
            Some(state.recovery_point.unwrap_or(positions.recovery_point).min(positions.durable_end));
    }
    if let Some(start) = state.log_start.filter(|start| *start > positions.log_end) {
        // The start was written down, what lay behind it was not: all that is left had been deleted. Offsets below the
        // start must not be given out again.
        report.notes.push(format!(
            "the log ends at {}, below its start: it begins again, empty, at {start}",
            positions.log_end
        ));
        log.truncate_fully_and_start_at(start).map_err(|error| match error {
            ChangeError::Disk(error) => error,
            other => io::Error::other(other.to_string()),
        })?;
    }
    log.follow_own_watermark();
    log.publish();
    // Everything kept by recovery is durable.
    log.decided = log.positions.last_stable;
    log.publish();
    entry.state.lock().decided_at_point = log.decided;
    Ok((log, report))
}

/// The directory went by the catalog; here is what that says of the log's own word.
fn check_identity(dir: &LogDir, entry: &LogEntry, report: &mut RecoveryReport) -> io::Result<()> {
    let name = meta::PARTITION_METADATA;
    let bytes = read_file(&*dir.disk, &entry.path.join(name))?;
    match bytes.map(|bytes| meta::decode_partition_metadata(&bytes)) {
        Some(Ok(metadata)) if metadata.topic_id == entry.topic_id => Ok(()),
        Some(Ok(meta::PartitionMetadata { topic_id, .. })) => {
            let text = format!("{name} of {} says topic {topic_id}, not {}", entry.name, entry.topic_id);
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
        _ => {
            report.notes.push(format!("{name} is missing or does not read; written again"));
            let text = meta::encode_partition_metadata(entry.topic_id);
            replace_file(&*dir.disk, &entry.path, name, text.as_bytes())
        }
    }
}

fn known_quarantine(
    dir: &LogDir,
    entry: &LogEntry,
    report: &mut RecoveryReport,
) -> io::Result<(Vec<Quarantined>, bool)> {
    let bytes = read_file(&*dir.disk, &entry.path.join(quarantine::FILE_NAME))?;
    let Some(bytes) = bytes else { return Ok((Vec::new(), false)) };
    match quarantine::decode(&bytes) {
        Ok(known) => Ok((known, false)),
        Err(damaged) => {
            // It told which ranges to keep away from; only the batches themselves can tell that again.
            report
                .notes
                .push(format!("{} does not read ({damaged}): every batch is read", quarantine::FILE_NAME));
            Ok((Vec::new(), true))
        }
    }
}

/// Everything kept by recovery is durable, so the durable end is the log end.
fn place(config: &LogConfig, state: &EntryState, recovered: &Recovered) -> Positions {
    let log_end = recovered.log_end;
    let first = recovered.segments.first().map_or(log_end, |segment| segment.base);
    let remembered = state.log_start.filter(|_| !has(Bug::StartForgotten));
    let written = remembered.map(|start| start.min(log_end));
    let lost_head = |start: Offset| {
        recovered.quarantined.iter().any(|q| q.offsets.start <= start && q.offsets.end >= first)
    };
    let log_start = match written {
        // Below the first segment lies what the bucket has, or what was lost; else retention was there.
        Some(start) if start < first && (config.tiered || lost_head(start)) => start,
        Some(start) => start.max(first),
        None => first,
    };
    let local_start = first.max(log_start);
    let high_watermark = state.high_watermark.unwrap_or(log_start).clamp(log_start, log_end);
    Positions {
        log_start,
        local_start,
        durable_end: log_end,
        recovery_point: state.recovery_point.unwrap_or(Offset::ZERO).min(log_end),
        log_end,
        high_watermark,
        last_stable: high_watermark,
    }
}
