//! Against a real server: `tiering/tests/s3` starts one and runs these.

use std::sync::Arc;

use bytes::Bytes;
use highwater_engine::disk::RealDisk;
use highwater_env::{Env, TokioEnv};
use highwater_records::{LeaderEpoch, Offset};

use super::{
    conformance,
    logs::{Log, PARTITION, offset},
    model::owner,
};
use crate::{
    DropReason, HeadLimits, Tier, TierOptions,
    bucket::{BucketErrorKind, OpenOptions, SharedBucket, open},
};

/// The server under test, and a prefix that nobody has used before.
#[expect(clippy::disallowed_methods, reason = "where the server is, only the environment knows")]
async fn server(env: &Arc<TokioEnv>) -> (SharedBucket, String) {
    let url = std::env::var("HIGHWATER_TEST_S3").expect("HIGHWATER_TEST_S3=s3://bucket/prefix");
    let options = OpenOptions {
        s3_endpoint: std::env::var("HIGHWATER_TEST_S3_ENDPOINT").ok(),
        s3_region: Some("us-east-1".to_owned()),
    };
    let url = format!("{url}/{:016x}", env.random());
    let bucket = open(env.clone(), Arc::new(RealDisk), &url, &options).await.unwrap();
    (bucket, url)
}

fn run<T: Send + 'static>(test: impl AsyncFnOnce(Arc<TokioEnv>) -> T) -> T {
    let env = Arc::new(TokioEnv::start().unwrap());
    env.connections().clone().block_on(test(env.clone()))
}

#[test]
fn conforms() {
    run(async |env| {
        let (bucket, _) = server(&env).await;
        conformance::check(&*env, &*bucket, "t/").await;
    });
}

/// Sixteen writers on real tasks, thirty times: one create wins, one replace wins.
#[test]
fn thirty_races_have_one_winner_each() {
    run(async |env| {
        let (bucket, _) = server(&env).await;
        for round in 0..30 {
            let key = format!("race/{round}");
            let mut tag = None;
            for replace in [false, true] {
                let mut writers = Vec::new();
                for writer in 0..16_u8 {
                    let (bucket, key, tag) = (bucket.clone(), key.clone(), tag.clone());
                    let body = Bytes::from(vec![writer + 16 * u8::from(replace); 64]);
                    writers.push(env.connections().spawn(async move {
                        match &tag {
                            None => bucket.put_new(&key, body).await,
                            Some(tag) => bucket.replace(&key, tag, body).await,
                        }
                    }));
                }
                let mut winners = Vec::new();
                for writer in writers {
                    match writer.await.unwrap() {
                        Ok(tag) => winners.push(tag),
                        Err(error) => assert!(
                            matches!(error.kind, BucketErrorKind::Precondition | BucketErrorKind::Unknown),
                            "{error}"
                        ),
                    }
                }
                assert_eq!(winners.len(), 1, "round {round}, replace {replace}");
                assert_eq!(bucket.get(&key).await.unwrap().1, winners[0]);
                tag = winners.pop();
            }
            bucket.delete(&key).await.unwrap();
        }
    });
}

/// Small segments, one that goes in parts, a process that knows nothing, retention, collection, deletion.
#[test]
fn a_partition_lives_there() {
    run(async |env| {
        let (bucket, url) = server(&env).await;
        let fresh = || {
            let options = TierOptions {
                limits: HeadLimits { recent_max: 8, recent_kept: 3, ..Default::default() },
                ..Default::default()
            };
            Tier::new(env.clone(), bucket.clone(), owner(), options).partition(PARTITION, "topic", 1)
        };
        let mut log = Log::new(3);
        (0..12).for_each(|_| log.segment());
        log.large_segment(40 << 20);
        let tier = fresh();
        let epoch = LeaderEpoch(1);
        for index in 0..13 {
            let (base, next) = (log.bases[index], log.segment_end(index));
            let source = log.source(base, next);
            tier.copy(epoch, vec![source], Offset::ZERO).await.unwrap();
        }
        let cold = fresh();
        let begun = env.now();
        assert_eq!(cold.load().await.unwrap().unwrap().segments, 13);
        let (mut at, mut bytes) = (0, 0);
        while at < log.end() {
            let read = cold.read(offset(at), 1 << 20, true).await.unwrap();
            log.check_read(at, log.end(), 1 << 20, true, &read);
            bytes += read.bytes.len();
            at = read.next_offset.get();
        }
        let took = env.now().since(begun);
        println!("{url}: {bytes} bytes read cold in {took:?}");
        let kept = offset(log.bases[12]);
        cold.advance_start(epoch, kept, DropReason::Retention).await.unwrap();
        let collected = cold.collect(epoch, env.wall_ms() + 2000, 1000).await.unwrap();
        assert!(collected.dropped >= 12, "{collected:?}");
        assert_eq!(
            cold.read(kept, 1 << 20, true).await.unwrap().bytes.slice(..8),
            log.batch_at(kept.get())[..8]
        );
        cold.delete(epoch).await.unwrap();
        let later = env.wall_ms() + 10_000_000;
        while !cold.collect(epoch, later, 1000).await.unwrap().forgotten {}
        assert_eq!(
            bucket.list("").await.unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
            ["owner"]
        );
        bucket.delete("owner").await.unwrap();
    });
}

#[test]
fn a_missing_bucket_and_a_server_that_is_not_there_are_told_apart() {
    run(async |env| {
        let options = |endpoint: String| OpenOptions {
            s3_endpoint: Some(endpoint),
            s3_region: Some("us-east-1".to_owned()),
        };
        let (_, _) = server(&env).await;
        #[expect(clippy::disallowed_methods, reason = "where the server is, only the environment knows")]
        let endpoint = std::env::var("HIGHWATER_TEST_S3_ENDPOINT").unwrap();
        let missing = open(env.clone(), Arc::new(RealDisk), "s3://no-such-bucket-at-all", &options(endpoint))
            .await
            .unwrap();
        assert_eq!(missing.put_new("owner", Bytes::new()).await.unwrap_err().kind, BucketErrorKind::Refused);
        assert_eq!(missing.get("owner").await.unwrap_err().kind, BucketErrorKind::Refused);
        // A port that nobody listens on.
        let nobody =
            open(env.clone(), Arc::new(RealDisk), "s3://x", &options("http://127.0.0.1:9".to_owned()))
                .await
                .unwrap();
        let error = nobody.put_new("owner", Bytes::new()).await.unwrap_err();
        assert!(matches!(error.kind, BucketErrorKind::Unknown | BucketErrorKind::Unavailable), "{error}");
        assert_eq!(nobody.get("owner").await.unwrap_err().kind, BucketErrorKind::Unavailable);
    });
}
