//! The conformance suite on every kind of bucket, and what is special to one.

use std::{path::Path, path::PathBuf, sync::Arc};

use bytes::Bytes;
use highwater_engine::disk::{Disk, RealDisk, memory::MemoryDisk};
use highwater_env::{Env, TokioEnv};

use super::{
    conformance,
    env::{TestEnv, block_on},
};
use crate::bucket::{
    Body, Bucket, BucketErrorKind, Pieces,
    faulty::{Fault, FaultyBucket},
    file::FileBucket,
    memory::MemoryBucket,
};

#[test]
fn memory() {
    let env = TestEnv::new(1);
    block_on(conformance::check(&*env, &MemoryBucket::new(), "t/"));
}

#[test]
fn failing_but_healed() {
    let env = TestEnv::new(1);
    let bucket = FaultyBucket::new(env.clone(), Arc::new(MemoryBucket::new()), 7);
    block_on(conformance::check(&*env, &bucket, "t/"));
}

#[test]
fn file_on_a_disk_in_memory() {
    let env = TestEnv::new(1);
    block_on(async {
        let disk = Arc::new(MemoryDisk::new());
        let bucket = FileBucket::open(env.clone(), disk, PathBuf::from("/bucket")).await.unwrap();
        conformance::check(&*env, &bucket, "t/").await;
    });
}

#[test]
fn file_on_a_real_disk_shared_by_two_holders() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    env.connections().clone().block_on(async {
        let open = || FileBucket::open(env.clone(), Arc::new(RealDisk), directory.path().join("bucket"));
        // Two holders have locks of their own within the process: only the lock files keep them apart.
        let (one, other) = (open().await.unwrap(), open().await.unwrap());
        conformance::check(&*env, &one, "t/").await;
        let first = one.put_new("x/y", Bytes::from_static(b"1")).await.unwrap();
        let mut writers = Vec::new();
        for writer in 0..16_u8 {
            let (bucket, first) = (if writer % 2 == 0 { one.clone() } else { other.clone() }, first.clone());
            let write = async move { bucket.replace("x/y", &first, vec![writer].into()).await.is_ok() };
            writers.push(env.connections().spawn(write));
        }
        let mut winners = 0;
        for writer in writers {
            winners += u32::from(writer.await.unwrap());
        }
        assert_eq!(winners, 1);
    });
}

/// Cuts the power at every change of the disk during a create, a replace and a streamed put. Afterwards each object
/// is whole, old or new; what was answered is there; the next open clears up and the bucket works.
#[test]
fn a_power_cut_at_any_change_leaves_whole_objects() {
    block_on(async {
        let mut finished = false;
        for stop in 0..200 {
            for (tear, seed) in [(false, 1), (true, 2), (false, 3)] {
                let disk = MemoryDisk::new();
                let root = PathBuf::from("/bucket");
                let open = || {
                    FileBucket::open(
                        TestEnv::new(stop),
                        Arc::new(disk.clone()) as Arc<dyn Disk>,
                        root.clone(),
                    )
                };
                let bucket = open().await.unwrap();
                disk.stop_after(stop, tear);
                let created = bucket.put_new("h/head", Bytes::from_static(b"first")).await;
                let replaced = match &created {
                    Ok(tag) => bucket.replace("h/head", tag, Bytes::from_static(b"second")).await.is_ok(),
                    Err(_) => false,
                };
                let mut body = Body::new([Bytes::from_static(b"seg"), Bytes::from_static(b"ment")]);
                let put = bucket.put("s/t/segment", &mut body).await;
                finished |= !disk.stopped();
                drop(bucket);
                disk.crash(seed * 1000 + stop);

                let bucket = FileBucket::open(TestEnv::new(stop + 500), Arc::new(disk.clone()), root.clone())
                    .await
                    .unwrap();
                let head = bucket.get("h/head").await.ok().map(|(bytes, _)| bytes);
                match (created.is_ok(), replaced) {
                    (_, true) => assert_eq!(head.as_deref(), Some(&b"second"[..])),
                    (true, false) => {
                        assert!(head.as_deref().is_some_and(|it| it == b"first" || it == b"second"))
                    }
                    (false, false) => assert!(head.as_deref().is_none_or(|it| it == b"first")),
                }
                let segment = bucket.get("s/t/segment").await.ok().map(|(bytes, _)| bytes);
                assert!(segment.as_deref().is_none_or(|it| it == b"segment"), "stop {stop}: half an object");
                assert!(put.is_err() || segment.is_some(), "stop {stop}: an answered put is gone");
                let left = disk.list(Path::new("/bucket/.tmp")).unwrap();
                assert_eq!(left.len(), 1, "stop {stop}: only our own lock is left: {left:?}");
                let again = Bytes::from_static(b"again");
                bucket.put_new("h/again", again.clone()).await.unwrap();
                assert_eq!(bucket.get("h/again").await.unwrap().0, again);
            }
            if finished {
                return;
            }
        }
        panic!("the workload never ran to its end");
    });
}

#[test]
fn a_full_disk_is_unavailable_and_leaves_nothing() {
    block_on(async {
        let disk = MemoryDisk::new();
        let env: Arc<dyn Env> = TestEnv::new(1);
        let bucket = FileBucket::open(env, Arc::new(disk.clone()), PathBuf::from("/bucket")).await.unwrap();
        let files = disk.files().len();
        disk.set_capacity(Some(100));
        let mut pieces: Box<dyn Pieces> = Box::new(Body::from(Bytes::from(vec![1; 1000])));
        let error = bucket.put("a/b", &mut *pieces).await.unwrap_err();
        assert_eq!(error.kind, BucketErrorKind::Unavailable);
        assert_eq!(bucket.get("a/b").await.unwrap_err().kind, BucketErrorKind::NotFound);
        assert_eq!(disk.files().len(), files);
        disk.set_capacity(None);
        bucket.put("a/b", &mut Body::from(Bytes::from(vec![1; 1000]))).await.unwrap();
    });
}

#[test]
fn faults_do_what_they_say() {
    block_on(async {
        let memory = MemoryBucket::new();
        let bucket = FaultyBucket::new(TestEnv::new(1), Arc::new(memory.clone()), 1);
        let one = Bytes::from_static(b"one");
        for (call, fault) in [
            (0, Fault::Unavailable),
            (1, Fault::UnknownNotDone),
            (2, Fault::UnknownDone),
            (3, Fault::WrongBytes),
            (4, Fault::Truncated),
            (5, Fault::Lost),
            (8, Fault::StopAfter),
        ] {
            bucket.script(call, fault);
        }
        assert_eq!(bucket.put_new("k", one.clone()).await.unwrap_err().kind, BucketErrorKind::Unavailable);
        assert_eq!(bucket.put_new("k", one.clone()).await.unwrap_err().kind, BucketErrorKind::Unknown);
        assert!(memory.objects().is_empty());
        assert_eq!(bucket.put_new("k", one.clone()).await.unwrap_err().kind, BucketErrorKind::Unknown);
        assert_eq!(memory.objects()["k"], one);
        let (wrong, _) = bucket.get("k").await.unwrap();
        assert!(wrong.len() == 3 && wrong != one);
        assert!(bucket.get("k").await.unwrap().0.len() < 3);
        assert_eq!(bucket.get("k").await.unwrap_err().kind, BucketErrorKind::NotFound);
        assert_eq!(bucket.get("k").await.unwrap().0, one);
        bucket.delete("k").await.unwrap();
        bucket.put_new("k", one.clone()).await.unwrap_err();
        assert_eq!(memory.objects()["k"], one);
        bucket.get("k").await.unwrap_err();
        assert_eq!(bucket.calls(), 10);
        bucket.heal();
        assert_eq!(bucket.get("k").await.unwrap().0, one);
    });
}
