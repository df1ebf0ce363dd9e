//! Batches that are small and would be huge: alone in their process, since it is the process that is measured.

use crate::running::{Raw, Running};
use bytes::Bytes;
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, Record},
    compression::Codec,
};
use highwater_wire::ErrorCode;

const INFLATED_BYTES: usize = 64 << 20;

/// A record of nothing but zeros, compressed.
fn bomb(codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    let zeros = vec![0; INFLATED_BYTES];
    let record = Record { timestamp: TimestampMs(1), key: None, value: Some(&zeros), headers: &[] };
    builder.push(record).unwrap();
    builder.build(Offset::ZERO, None).unwrap()
}

/// A number of kilobytes from the kernel's account of this process, in bytes.
fn account(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_taken_as_they_are_or_refused_but_not_inflated() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let bombs: Vec<Bytes> = [Codec::Gzip, Codec::Lz4, Codec::Zstd].into_iter().map(bomb).collect();
    assert!(bombs.iter().all(|bomb| bomb.len() < 1 << 20));
    // Building them took more memory than serving them may; from here on the peak is counted anew.
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        eprintln!("SKIPPED: this kernel does not let a process reset its peak of memory");
        return;
    }
    let before = account("VmHWM").expect("the kernel's account");
    let mut raw = Raw::connect(&running).await;
    for bomb in &bombs {
        for _ in 0..4 {
            let (code, _) = raw.produce(Some(bomb.clone())).await;
            assert!(
                matches!(code, ErrorCode::None | ErrorCode::InvalidRecord | ErrorCode::CorruptMessage),
                "{code}"
            );
        }
    }
    let grown = account("VmHWM").expect("the kernel's account") - before;
    assert!(grown < INFLATED_BYTES, "{grown} bytes more at the peak");
    running.serves_others().await;
}
