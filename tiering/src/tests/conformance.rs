//! What every bucket must do, whatever it is made of. Keys begin with a prefix of the caller, so that a real store
//! can be used again and again.

use bytes::Bytes;
use highwater_env::{BoxFuture, Env};

use super::env::all;
use crate::bucket::{Body, Bucket, BucketErrorKind, PieceFailed, Pieces, Tag, probe::probe};

pub(crate) async fn check(env: &dyn Env, bucket: &dyn Bucket, prefix: &str) {
    reads_what_was_written(bucket, prefix).await;
    conditions_hold(bucket, prefix).await;
    ranges(bucket, prefix).await;
    many_pieces(bucket, prefix).await;
    lists_in_order(bucket, prefix).await;
    refuses_what_is_no_key(bucket).await;
    races_have_one_winner(bucket, prefix).await;
    probe(env, bucket).await.unwrap();
    assert_eq!(bucket.list("probe/").await.unwrap(), [], "a probe leaves nothing");
    for (key, _) in bucket.list(prefix).await.unwrap() {
        bucket.delete(&key).await.unwrap();
    }
    assert_eq!(bucket.list(prefix).await.unwrap(), []);
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn kind<T>(answer: Result<T, crate::bucket::BucketError>) -> BucketErrorKind {
    match answer {
        Ok(_) => panic!("expected a refusal"),
        Err(error) => error.kind,
    }
}

async fn one_range(
    bucket: &dyn Bucket,
    key: &str,
    range: std::ops::Range<u64>,
) -> Result<Vec<Bytes>, crate::bucket::BucketError> {
    bucket.get_ranges(key, std::slice::from_ref(&range)).await
}

async fn reads_what_was_written(bucket: &dyn Bucket, prefix: &str) {
    let key = format!("{prefix}a/b.1");
    assert_eq!(kind(bucket.get(&key).await), BucketErrorKind::NotFound);
    assert_eq!(kind(one_range(bucket, &key, 0..1).await), BucketErrorKind::NotFound);
    bucket.delete(&key).await.unwrap();
    bucket.put(&key, &mut Body::from(text("one"))).await.unwrap();
    assert_eq!(bucket.get(&key).await.unwrap().0, "one");
    bucket.put(&key, &mut Body::new([])).await.unwrap();
    assert_eq!(bucket.get(&key).await.unwrap().0, "");
    bucket.delete(&key).await.unwrap();
    assert_eq!(kind(bucket.get(&key).await), BucketErrorKind::NotFound);
}

async fn conditions_hold(bucket: &dyn Bucket, prefix: &str) {
    let key = format!("{prefix}head");
    let missing = Tag("\"0123456789abcdef0123456789abcdef\"".to_owned());
    // A store answers a replace of nothing with either; both make the caller read.
    assert!(matches!(
        kind(bucket.replace(&key, &missing, text("zero")).await),
        BucketErrorKind::Precondition | BucketErrorKind::NotFound
    ));
    let first = bucket.put_new(&key, text("one")).await.unwrap();
    assert_eq!(kind(bucket.put_new(&key, text("two")).await), BucketErrorKind::Precondition);
    assert_eq!(bucket.get(&key).await.unwrap(), (text("one"), first.clone()));
    let second = bucket.replace(&key, &first, text("two")).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(kind(bucket.replace(&key, &first, text("three")).await), BucketErrorKind::Precondition);
    assert_eq!(kind(bucket.replace(&key, &missing, text("three")).await), BucketErrorKind::Precondition);
    assert_eq!(bucket.get(&key).await.unwrap(), (text("two"), second.clone()));
    bucket.delete(&key).await.unwrap();
    assert!(bucket.replace(&key, &second, text("four")).await.is_err(), "nothing is resurrected");
    assert_eq!(kind(bucket.get(&key).await), BucketErrorKind::NotFound);
    bucket.put_new(&key, text("five")).await.unwrap();
}

async fn ranges(bucket: &dyn Bucket, prefix: &str) {
    let key = format!("{prefix}ranges");
    bucket.put(&key, &mut Body::new([text("0123"), text(""), text("456789")])).await.unwrap();
    let parts = bucket.get_ranges(&key, &[2..5, 0..10, 9..10]).await.unwrap();
    assert_eq!(parts, ["234", "0123456789", "9"]);
    assert!(one_range(bucket, &key, 8..11).await.is_err(), "never fewer bytes than asked");
    assert!(bucket.get_ranges(&key, &[0..1, 20..30]).await.is_err());
}

/// Twenty-one pieces of 1 MiB and a bit: several parts where a store takes an object in parts.
struct Many {
    left: usize,
    fail_at: usize,
}

impl Pieces for Many {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, PieceFailed>> {
        let answer = if self.left == self.fail_at {
            Err(PieceFailed)
        } else if self.left == 0 {
            Ok(None)
        } else {
            self.left -= 1;
            Ok(Some(Bytes::from(vec![self.left as u8; (1 << 20) + 7])))
        };
        Box::pin(async move { answer })
    }

    fn size_hint(&self) -> u64 {
        self.left as u64 * ((1 << 20) + 7)
    }
}

async fn many_pieces(bucket: &dyn Bucket, prefix: &str) {
    let key = format!("{prefix}many");
    bucket.put(&key, &mut Many { left: 21, fail_at: usize::MAX }).await.unwrap();
    let piece = (1 << 20) + 7_u64;
    let parts = bucket.get_ranges(&key, &[0..2, piece - 1..piece + 1, 20 * piece..21 * piece]).await.unwrap();
    assert_eq!(parts[0], [20, 20][..]);
    assert_eq!(parts[1], [20, 19][..]);
    assert!(parts[2].iter().all(|byte| *byte == 0) && parts[2].len() as u64 == piece);
    assert_eq!(bucket.list(&key).await.unwrap(), [(key.clone(), 21 * piece)]);

    // A put that fails, early or late, leaves nothing to read.
    for fail_at in [20, 1] {
        let key = format!("{prefix}half-{fail_at}");
        let answer = bucket.put(&key, &mut Many { left: 21, fail_at }).await;
        assert_eq!(kind(answer), BucketErrorKind::Pieces);
        assert_eq!(kind(bucket.get(&key).await), BucketErrorKind::NotFound);
    }
}

async fn lists_in_order(bucket: &dyn Bucket, prefix: &str) {
    for name in ["list/b", "list/a/2", "list/a/10", "list-other"] {
        bucket.put(&format!("{prefix}{name}"), &mut Body::from(text("xy"))).await.unwrap();
    }
    let found = bucket.list(&format!("{prefix}list/")).await.unwrap();
    let expected = ["list/a/10", "list/a/2", "list/b"].map(|name| (format!("{prefix}{name}"), 2));
    assert_eq!(found, expected);
    assert_eq!(
        bucket.list(&format!("{prefix}list/a/1")).await.unwrap().len(),
        1,
        "a prefix may end in a name"
    );
    assert_eq!(bucket.list(&format!("{prefix}nothing/")).await.unwrap(), []);
}

async fn refuses_what_is_no_key(bucket: &dyn Bucket) {
    for key in ["../up", "/root", "a//b", ".locks/1"] {
        assert_eq!(kind(bucket.get(key).await), BucketErrorKind::Refused);
        assert_eq!(kind(bucket.put_new(key, text("x")).await), BucketErrorKind::Refused);
        assert_eq!(kind(bucket.put(key, &mut Body::from(text("x"))).await), BucketErrorKind::Refused);
        assert_eq!(kind(bucket.delete(key).await), BucketErrorKind::Refused);
    }
}

/// Sixteen writers at once, several times: exactly one create and exactly one replace of a version goes through.
async fn races_have_one_winner(bucket: &dyn Bucket, prefix: &str) {
    for round in 0..4 {
        let key = format!("{prefix}race-{round}");
        let body = |writer: u8| Bytes::from(vec![writer; 32]);
        let creates: Vec<_> = (0..16).map(|writer| bucket.put_new(&key, body(writer))).collect();
        let created = winner(all(creates).await);
        let (bytes, tag) = bucket.get(&key).await.unwrap();
        assert_eq!((bytes, &tag), (body(created.0), &created.1));
        let replaces: Vec<_> = (16..32).map(|writer| bucket.replace(&key, &tag, body(writer))).collect();
        let replaced = winner(all(replaces).await);
        assert_eq!(bucket.get(&key).await.unwrap(), (body(replaced.0 + 16), replaced.1));
    }
}

/// Losers may be told that the store was busy (nothing happened), but never that they won.
fn winner(answers: Vec<Result<Tag, crate::bucket::BucketError>>) -> (u8, Tag) {
    let mut winners = Vec::new();
    for (writer, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(tag) => winners.push((writer as u8, tag)),
            Err(error) => assert!(
                matches!(error.kind, BucketErrorKind::Precondition | BucketErrorKind::Unavailable),
                "{error}"
            ),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    winners.remove(0)
}
