//! The commands that talk to a cluster, as processes: what they write and what they end with.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use highwater_broker::{Broker, BrokerOptions};

/// Runs `highwater` with these words, which ends with `code`; what it wrote to standard output, and to the error one.
fn highwater(broker: &Broker, words: &str, input: &str, code: i32) -> (String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(words.split(' '))
        .args(["--bootstrap", broker.bootstrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let texts = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{words}: {texts:?}");
    texts
}

async fn broker(directory: &tempfile::TempDir) -> Broker {
    Broker::start(BrokerOptions::in_directory(directory.path()).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_produced_is_consumed() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory).await;
    let run = |words: &str, input: &str| highwater(&broker, words, input, 0).0;
    assert_eq!(run("topics list", ""), "there are no topics\n");
    assert!(run("topics create orders --partitions 3", "").starts_with("created orders: 3 partitions, id "));
    let lines: Vec<String> = (0..1000).map(|at| format!("key {at}:value {at}")).collect();
    let written = run("produce orders -k : -z lz4 -H from=test", &lines.join("\n"));
    assert_eq!(written, "1000 records written to orders\n");

    let everything = run("consume orders", "");
    let mut values: Vec<&str> = everything.lines().collect();
    values.sort_unstable();
    let mut expected: Vec<String> = (0..1000).map(|at| format!("value {at}")).collect();
    expected.sort_unstable();
    assert_eq!(values, expected);

    // Keys lie where Kafka's producers would have put them: `foobar` hashes to -790332482, of which 31 bits modulo 3 are 0.
    run("produce orders -k =", "foobar=here\r\n");
    let last = run("consume orders --from -1 -p 0 --json", "");
    assert!(
        last.contains(r#""partition":0,"#) && last.contains(r#""key":"foobar","value":"here""#),
        "{last}"
    );
    assert_eq!(run("consume orders --from 5 -p 0 -n 2 --json", "").lines().count(), 2);
    assert_eq!(run("consume orders --from end", ""), "");
    assert_eq!(run("consume orders --from @2999-01-01", ""), "");
    assert_eq!(run("consume orders --from @0 --committed", "").lines().count(), 1001);

    let described = run("topics describe orders --json", "");
    let total: u32 = described.lines().map(|line| number_after(line, "\"end\":")).sum();
    assert_eq!(total, 1001);
    assert_eq!(run("topics grow orders --partitions 5", ""), "orders has 5 partitions now\n");
    assert_eq!(run("topics delete orders", ""), "deleted orders\n");
    broker.stop().await.unwrap();
}

fn number_after(line: &str, name: &str) -> u32 {
    let (_, rest) = line.split_once(name).unwrap();
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_moved_described_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory).await;
    let run = |words: &str, input: &str| highwater(&broker, words, input, 0).0;
    run("topics create orders --partitions 2", "");
    run("produce orders -p 1", "a\nb\nc\n");
    let dry = run("groups reset g --topic orders --to end --dry-run", "");
    assert!(dry.contains("not moved"), "{dry}");
    assert_eq!(run("groups list", ""), "there are no groups\n");
    run("groups reset g --topic orders -p 1 --to 1", "");
    let described = run("groups describe g", "");
    assert_eq!(
        described,
        "g: Empty, 0 members\n\
         TOPIC   PARTITION  COMMITTED  END  LAG  MEMBER\n\
         orders          1          1    3    2       -\n"
    );
    let described = run("groups describe g --json", "");
    assert!(described.contains(r#""committed":1,"end":3,"lag":2,"member":null"#), "{described}");
    assert!(run("groups list --json", "").contains(r#"{"group":"g","type":"classic","state":"Empty""#));
    assert_eq!(run("groups delete g", ""), "deleted g\n");
    let (_, error) = highwater(&broker, "groups describe g", "", 1);
    assert!(error.contains("there is no group \"g\""), "{error}");
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_are_set_and_unset() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory).await;
    let run = |words: &str| highwater(&broker, words, "", 0).0;
    run("topics create orders --config retention.ms=1000");
    run("configs alter --topic orders --set segment.bytes=1048576 --unset retention.ms");
    let described = run("configs describe --topic orders --json");
    assert!(described.contains(r#""key":"segment.bytes","value":"1048576","source":"topic""#), "{described}");
    assert!(!described.contains("retention.ms"), "{described}");
    let all = run("configs describe --topic orders --all --json");
    assert!(all.contains(r#""key":"retention.ms","value":"604800000","source":"default""#), "{all}");
    assert!(run("configs describe --broker 1").contains("log.dirs"));
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_say_what_may_have_been_meant() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory).await;
    highwater(&broker, "topics create orders --partitions 3", "", 0);
    for (words, code, part) in [
        ("topics describe oders", 1, "did you mean \"orders\"?"),
        ("consume orders -p 7", 1, "has no partition 7; it has 3, from 0 on"),
        ("topics create orders", 1, "TOPIC_ALREADY_EXISTS"),
        ("topics create a/b", 1, "INVALID_TOPIC_EXCEPTION"),
        ("topics create b --config retention.mss=1", 1, "retention.ms"),
        ("topics create b --config retention", 2, "not of the form key=value"),
        ("topics grow orders --partitions 2", 1, "INVALID_PARTITIONS"),
        ("produce orders -k :", 2, "line 1 has no key"),
        ("groups delete nobody", 1, "there are no groups"),
    ] {
        // Only a command that reads gets something to read: another one may have ended before it is written.
        let input = if words.starts_with("produce") { "no key here\n" } else { "" };
        let (_, error) = highwater(&broker, words, input, code);
        assert!(error.starts_with("highwater: ") && error.contains(part), "{words}: {error}");
    }
    let nobody = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["topics", "list", "--bootstrap", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    let error = String::from_utf8(nobody.stderr).unwrap();
    assert!(error.contains("no broker at 127.0.0.1:1"), "{error}");
    broker.stop().await.unwrap();
}

/// Somebody who reads on and on, as a process.
struct Follower {
    child: Child,
    written: Arc<Written>,
}

/// What somebody has written so far.
#[derive(Default)]
struct Written {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Follower {
    fn start(broker: &Broker, words: &str) -> Follower {
        let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(words.split(' '))
            .args(["--follow", "--json", "--bootstrap", broker.bootstrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let written = Arc::<Written>::default();
        let (inside, out) = (written.clone(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                inside.lines.lock().unwrap().push(line);
                inside.more.notify_all();
            }
        });
        Follower { child, written }
    }

    fn lines(&self) -> Vec<String> {
        self.written.lines.lock().unwrap().clone()
    }

    fn wait_for(&self, count: usize, what: &str) {
        let lines = self.written.lines.lock().unwrap();
        let (lines, _) =
            self.written.more.wait_timeout_while(lines, PATIENCE, |lines| lines.len() < count).unwrap();
        assert_eq!(lines.len(), count, "{what}");
    }

    /// Partitions that it wrote records of.
    fn partitions(&self) -> BTreeSet<u32> {
        self.lines().iter().map(|line| number_after(line, "\"partition\":")).collect()
    }

    /// Interrupts it, as Ctrl-C does; a member leaves its group.
    fn interrupt(mut self) -> Vec<String> {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.lines()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again; each question is a process, so that nothing spins.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

async fn broker_of_groups(directory: &tempfile::TempDir) -> Broker {
    let mut options = BrokerOptions::in_directory(directory.path()).unwrap();
    options.set("group.initial.rebalance.delay.ms", "0").unwrap();
    options.set("group.consumer.min.heartbeat.interval.ms", "500").unwrap();
    options.set("group.consumer.heartbeat.interval.ms", "500").unwrap();
    Broker::start(options).await.unwrap()
}

/// A broker that stops and starts again, at the same address, while commands go on.
async fn restarted(directory: &tempfile::TempDir, stopped: Broker) -> Broker {
    let listener = format!("PLAINTEXT://{}", stopped.bootstrap());
    stopped.stop().await.unwrap();
    let mut options = BrokerOptions::in_directory(directory.path()).unwrap();
    options.set("listeners", &listener).unwrap();
    Broker::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_go_on_when_the_broker_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker_of_groups(&directory).await;
    let run = |broker: &Broker, words: &str, input: &str| highwater(broker, words, input, 0).0;
    run(&broker, "topics create orders", "");
    run(&broker, "produce orders", "one\n");
    let readers = [
        ("a reader", Follower::start(&broker, "consume orders")),
        ("a member", Follower::start(&broker, "consume orders --group g --protocol consumer")),
        ("a classic member", Follower::start(&broker, "consume orders --group h --protocol classic")),
    ];
    readers.iter().for_each(|(who, reader)| reader.wait_for(1, who));
    let broker = restarted(&directory, broker).await;
    run(&broker, "produce orders", "two\n");
    readers.iter().for_each(|(who, reader)| reader.wait_for(2, who));
    for (who, reader) in readers {
        // One that is no member has nothing to leave: it ends as programs do that are interrupted.
        let lines = if who == "a reader" { reader.lines() } else { reader.interrupt() };
        assert!(lines[0].contains("\"one\"") && lines[1].contains("\"two\""), "{who}: {lines:?}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_produced_while_the_broker_starts_again_is_there_once() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker_of_groups(&directory).await;
    highwater(&broker, "topics create orders", "", 0);
    // A batch is sent as soon as it is full: the first reaches this broker, the others whoever is there by then.
    let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["produce", "orders", "--bootstrap", broker.bootstrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut write = |from: u32| {
        for at in from..from + 100 {
            writeln!(input, "{at:-^1000}").unwrap();
        }
        input.flush().unwrap();
    };
    write(0);
    until("the first batch", || !highwater(&broker, "consume orders -n 1", "", 0).0.is_empty());
    let broker = restarted(&directory, broker).await;
    write(100);
    drop(input);
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(error.contains("trying again"), "{error}");
    let (text, _) = highwater(&broker, "consume orders", "", 0);
    let numbers: Vec<u32> = text.lines().map(|line| line.trim_matches('-').parse().unwrap()).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    broker.stop().await.unwrap();
}

async fn members_share_and_hand_over(protocol: &str) {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker_of_groups(&directory).await;
    let run = |words: &str, input: &str| highwater(&broker, words, input, 0).0;
    run("topics create orders --partitions 4", "");
    let produce = |value: &str| {
        for partition in 0..4 {
            run(&format!("produce orders -p {partition}"), value);
        }
    };
    let words = format!("consume orders --group g --protocol {protocol}");
    let has = |members: usize, each: usize| {
        let (text, _) = describe(&broker);
        text.matches("\"client\"").count() == members
            && text.split("\"assigned\":").skip(1).all(|rest| {
                let assigned = rest.split("\"member\":").next().unwrap_or_default();
                let list = assigned.split("\"partitions\":[").nth(1).and_then(|list| list.split(']').next());
                list.is_some_and(|list| list.split(',').filter(|number| !number.is_empty()).count() == each)
            })
    };
    let first = Follower::start(&broker, &words);
    until("the first has all", || has(1, 4));
    produce("one\n");
    first.wait_for(4, "the first reads all");
    let second = Follower::start(&broker, &words);
    until("both have two", || has(2, 2));
    produce("two\n");
    first.wait_for(6, "the first reads two more");
    second.wait_for(2, "the second reads two");
    let (all, half) = (first.partitions(), second.partitions());
    assert_eq!((all.len(), half.len()), (4, 2));
    assert_eq!(second.interrupt().len(), 2);
    until("the first has all again", || has(1, 4));
    produce("three\n");
    first.wait_for(10, "the first reads on");
    assert_eq!(first.interrupt().len(), 10);
    let (text, _) = describe(&broker);
    assert!(text.contains(r#""state":"Empty""#), "{text}");
    assert_eq!(text.matches(r#""committed":3,"end":3,"lag":0"#).count(), 4, "{text}");
    broker.stop().await.unwrap();
}

fn describe(broker: &Broker) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["groups", "describe", "g", "--json", "--bootstrap", broker.bootstrap()])
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_share_partitions_and_hand_them_over() {
    members_share_and_hand_over("consumer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_classic_group_share_partitions_and_hand_them_over() {
    members_share_and_hand_over("classic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker_of_groups(&directory).await;
    let run = |words: &str, input: &str| highwater(&broker, words, input, 0).0;
    run("topics create orders --partitions 2", "");
    for (protocol, group) in [("consumer", "new"), ("classic", "old")] {
        run("produce orders -p 0", "a\nb\nc\n");
        let consume = |more: &str| run(&format!("consume orders -g {group} --protocol {protocol}{more}"), "");
        // Of what was written before a group began it has nothing where it begins at the end.
        assert_eq!(consume(" --from end"), "", "{group}");
        run("produce orders -p 0", "1\n2\n3\n");
        run("produce orders -p 1", "4\n");
        assert_eq!(consume(" -n 2").lines().count(), 2, "{group}");
        let mut rest: Vec<String> = consume("").lines().map(str::to_owned).collect();
        rest.sort_unstable();
        assert_eq!(rest.len(), 2, "{group}");
        assert_eq!(consume(""), "", "{group}");
    }
    // A group without a protocol named is of the newer one, and one of the older keeps it.
    run("consume orders -g third", "");
    let groups = run("groups list --json", "");
    assert!(groups.contains(r#""group":"third","type":"consumer""#), "{groups}");
    let (_, error) = highwater(&broker, "consume orders -g g -p 1", "", 2);
    assert!(error.contains("cannot be used with"), "{error}");
    broker.stop().await.unwrap();
}
