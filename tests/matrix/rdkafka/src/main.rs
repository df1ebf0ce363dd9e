//! rdkafka, Rust's binding of librdkafka, with the assignor that moves partitions without stopping the others.

mod story;

use std::{
    error::Error,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    types::RDKafkaErrorCode::TopicAlreadyExists,
};
use story::Story;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const COUNT: usize = 60;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Writer = ThreadedProducer<DefaultProducerContext>;

fn main() {
    let given: Vec<String> = std::env::args().collect();
    let program = Program { bootstrap: given[1].clone(), prefix: given[2].clone() };
    println!("version\t0.39.0 ({})", rdkafka::util::get_rdkafka_version().1);
    step("create a topic", || program.create());
    for codec in CODECS {
        step(&format!("produce {codec}"), || program.round_trip(codec, &[("compression.type", codec)]));
    }
    step("produce idempotently", || program.round_trip("idempotent", &[("enable.idempotence", "true")]));
    step("commit a transaction", || program.commits());
    step("abort a transaction", || program.aborts());
    step("offsets in a transaction", || program.offsets_in_transaction());
    let mut classic =
        Story::new(&program, "group", &[("partition.assignment.strategy", "cooperative-sticky")]);
    step("two members share", || classic.two_share());
    step("one member leaves", || classic.one_leaves());
    step("resume from the commit", || classic.resumes());
    step("new group protocol", || {
        let mut new = Story::new(&program, "group2", &[("group.protocol", "consumer")]);
        new.two_share()?;
        new.one_leaves()?;
        new.resumes()
    });
    step("look up a time", || program.looks_up());
    if let [_, _, _, topic, count] = given.as_slice() {
        step("read the bucket", || {
            let count = count.parse()?;
            same(&program.read(topic, count, "read_committed")?, &values(count, "past"))
        });
    }
}

fn step(name: &str, work: impl FnOnce() -> Outcome) {
    let asked = std::env::var("MATRIX_STEPS").unwrap_or_default();
    if !asked.split(',').any(|part| name.contains(part)) {
        return;
    }
    match work() {
        Ok(()) => println!("ok\t{name}\t"),
        Err(error) => println!("fail\t{name}\t{}", error.to_string().replace(['\n', '\t'], " ")),
    }
}

pub(crate) struct Program {
    bootstrap: String,
    prefix: String,
}

impl Program {
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub(crate) fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("log_level", "2");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config
    }

    pub(crate) fn make(&self, topic: &str, partitions: i32) -> Outcome {
        self.create_with(NewTopic::new(topic, partitions, TopicReplication::Fixed(1)))?
            .map_err(|code| code.to_string().into())
    }

    fn create_with(&self, topic: NewTopic) -> Outcome<Result<(), RDKafkaErrorCode>> {
        let admin: AdminClient<DefaultClientContext> = self.config(&[]).create()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answers = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
        let answer = answers.into_iter().next().ok_or("no answer")?;
        Ok(answer.map(|_| ()).map_err(|(_, code)| code))
    }

    fn create(&self) -> Outcome {
        let topic = self.topic("created");
        let wanted = || NewTopic::new(&topic, 3, TopicReplication::Fixed(1)).set("retention.ms", "86400000");
        self.create_with(wanted())?.map_err(|code| code.to_string())?;
        let reader: BaseConsumer = self.config(&[]).create()?;
        until("three partitions", || {
            let found = reader.fetch_metadata(Some(&topic), PATIENCE)?;
            Ok(found.topics().first().is_some_and(|found| found.partitions().len() == 3))
        })?;
        check(self.create_with(wanted())? == Err(TopicAlreadyExists), "a topic could be created twice")
    }

    fn round_trip(&self, name: &str, settings: &[(&str, &str)]) -> Outcome {
        let topic = self.topic(name);
        self.make(&topic, 1)?;
        self.write(&topic, 0, &values(COUNT, "value"), settings)?;
        same(&self.read(&topic, COUNT, "read_committed")?, &values(COUNT, "value"))
    }

    pub(crate) fn write(
        &self,
        topic: &str,
        partition: i32,
        what: &[String],
        settings: &[(&str, &str)],
    ) -> Outcome {
        let writer: Writer = self.config(settings).set("linger.ms", "20").create()?;
        send(&writer, topic, partition, what, None)
    }

    fn read(&self, topic: &str, count: usize, isolation: &str) -> Outcome<Vec<String>> {
        let settings =
            [("group.id", "nobody"), ("enable.auto.commit", "false"), ("isolation.level", isolation)];
        let reader: BaseConsumer = self.config(&settings).create()?;
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, 0, Offset::Beginning)?;
        reader.assign(&place)?;
        let mut found = Vec::new();
        until(&format!("{count} records of {topic}"), || {
            found.extend(poll(&reader));
            Ok(found.len() >= count)
        })?;
        found.truncate(count);
        Ok(found)
    }

    fn transactional(&self, name: &str) -> Outcome<Writer> {
        let writer: Writer = self.config(&[("transactional.id", &self.topic(name))]).create()?;
        writer.init_transactions(PATIENCE)?;
        Ok(writer)
    }

    fn commits(&self) -> Outcome {
        let topic = self.topic("committed");
        self.make(&topic, 1)?;
        let writer = self.transactional("commits")?;
        for half in values(COUNT, "value").chunks(COUNT / 2) {
            writer.begin_transaction()?;
            send(&writer, &topic, 0, half, None)?;
            writer.commit_transaction(PATIENCE)?;
        }
        same(&self.read(&topic, COUNT, "read_committed")?, &values(COUNT, "value"))
    }

    fn aborts(&self) -> Outcome {
        let topic = self.topic("aborted");
        self.make(&topic, 1)?;
        let writer = self.transactional("aborts")?;
        writer.begin_transaction()?;
        send(&writer, &topic, 0, &values(5, "aborted"), None)?;
        writer.abort_transaction(PATIENCE)?;
        writer.begin_transaction()?;
        send(&writer, &topic, 0, &values(5, "value"), None)?;
        writer.commit_transaction(PATIENCE)?;
        same(&self.read(&topic, 5, "read_committed")?, &values(5, "value"))?;
        let both = [values(5, "aborted"), values(5, "value")].concat();
        same(&self.read(&topic, 10, "read_uncommitted")?, &both)
    }

    fn offsets_in_transaction(&self) -> Outcome {
        let (source, target, group) = (self.topic("source"), self.topic("target"), self.topic("eos"));
        self.make(&source, 1)?;
        self.make(&target, 1)?;
        self.write(&source, 0, &values(10, "value"), &[])?;
        let writer = self.transactional("offsets")?;
        let settings = [
            ("group.id", group.as_str()),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
        ];
        let member: BaseConsumer = self.config(&settings).create()?;
        member.subscribe(&[&source])?;
        let mut found = Vec::new();
        until("ten records", || {
            found.extend(poll(&member));
            Ok(found.len() == 10)
        })?;
        let at = |offset| {
            let mut place = TopicPartitionList::new();
            place.add_partition_offset(&source, 0, offset).map(|()| place)
        };
        for offset in [4, 7] {
            writer.begin_transaction()?;
            send(&writer, &target, 0, &found[..offset], None)?;
            let metadata = member.group_metadata().ok_or("no group metadata")?;
            writer.send_offsets_to_transaction(
                &at(Offset::Offset(i64::try_from(offset)?))?,
                &metadata,
                PATIENCE,
            )?;
            if offset == 4 {
                writer.abort_transaction(PATIENCE)?;
            } else {
                writer.commit_transaction(PATIENCE)?;
            }
        }
        let committed = member.committed_offsets(at(Offset::Invalid)?, PATIENCE)?;
        let committed = committed.find_partition(&source, 0).ok_or("no answer")?.offset();
        check(committed == Offset::Offset(7), &format!("committed {committed:?}"))?;
        same(&self.read(&target, 7, "read_committed")?, &values(7, "value"))
    }

    fn looks_up(&self) -> Outcome {
        let topic = self.topic("time");
        self.make(&topic, 1)?;
        let first = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())? - 60_000;
        let writer: Writer = self.config(&[]).create()?;
        send(&writer, &topic, 0, &values(10, "value"), Some(first))?;
        let reader: BaseConsumer = self.config(&[]).create()?;
        for (after, expected) in [(3500, Offset::Offset(4)), (0, Offset::Offset(0)), (20_000, Offset::End)] {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&topic, 0, Offset::Offset(first + after))?;
            let found = reader.offsets_for_times(asked, PATIENCE)?;
            let found = found.find_partition(&topic, 0).ok_or("no answer")?.offset();
            check(found == expected, &format!("{after} ms: {found:?}, not {expected:?}"))?;
        }
        Ok(())
    }
}

/// Writes and waits for the acknowledgements; with `first`, the records are a second apart from then on.
fn send(writer: &Writer, topic: &str, partition: i32, what: &[String], first: Option<i64>) -> Outcome {
    for (number, value) in what.iter().enumerate() {
        let mut record = BaseRecord::to(topic).partition(partition).key("key").payload(value);
        if let Some(first) = first {
            record = record.timestamp(first + 1000 * i64::try_from(number)?);
        }
        writer.send(record).map_err(|(error, _)| error)?;
    }
    writer.flush(PATIENCE)?;
    Ok(())
}

/// What came within a moment; errors that pass are the library's to deal with.
pub(crate) fn poll(reader: &BaseConsumer) -> Vec<String> {
    let mut found = Vec::new();
    let mut wait = Duration::from_millis(100);
    while let Some(Ok(message)) = reader.poll(wait) {
        found.push(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned());
        wait = Duration::ZERO;
    }
    found
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> Outcome<bool>) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        check(Instant::now() < deadline, &format!("waited {} s for {what}", PATIENCE.as_secs()))?;
    }
    Ok(())
}

pub(crate) fn check(holds: bool, message: &str) -> Outcome {
    if holds { Ok(()) } else { Err(message.into()) }
}

/// What is written: the same every time, and worth compressing.
pub(crate) fn values(count: usize, kind: &str) -> Vec<String> {
    (0..count).map(|number| format!("{kind}-{number:06}-{}", "x".repeat(100))).collect()
}

fn same(found: &[String], expected: &[String]) -> Outcome {
    check(
        found == expected,
        &format!("{} records read that differ from the {} written", found.len(), expected.len()),
    )
}

/// The library says so when a member has nothing to commit.
pub(crate) fn is_nothing(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset)
}
