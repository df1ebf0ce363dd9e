//! A broker inside a program.

use std::time::Duration;

use highwater_broker::{Broker, BrokerOptions, client::Client};
use highwater_records::Offset;

#[tokio::test]
async fn it_starts_on_a_port_of_its_own_and_comes_back_with_its_topics() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = BrokerOptions::in_directory(directory.path()).unwrap();
    options.set("num.partitions", "3").unwrap();
    for round in 0..3 {
        let broker = Broker::start(options.clone()).await.unwrap();
        assert_eq!(broker.bootstrap(), broker.address().to_string());
        let mut client = Client::connect(broker.bootstrap(), "test").await.unwrap();
        if round == 0 {
            client.create_topic("t", -1, &[]).await.unwrap();
        }
        let metadata = client.metadata(Some(&["t"])).await.unwrap();
        assert_eq!(metadata.topics[0].partitions.len(), 3);
        broker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn several_live_side_by_side_but_not_in_one_directory() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, two] =
        directories.each_ref().map(|directory| BrokerOptions::in_directory(directory.path()).unwrap());
    let first = Broker::start(one.clone()).await.unwrap();
    let second = Broker::start(two).await.unwrap();
    assert_ne!(first.address(), second.address());
    let refused = Broker::start(one).await.err().expect("the directory is in use");
    assert!(refused.to_string().contains(directories[0].path().to_str().unwrap()), "{refused}");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_long_poll() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(BrokerOptions::in_directory(directory.path()).unwrap()).await.unwrap();
    let mut client = Client::connect(broker.bootstrap(), "test").await.unwrap();
    client.create_topic("t", 1, &[]).await.unwrap();
    let polling =
        tokio::spawn(
            async move { client.fetch("t", 0, Offset::ZERO, 1 << 20, Duration::from_secs(3_600)).await },
        );
    broker.stop().await.unwrap();
    // Answered or cut off, but not an hour later.
    drop(polling.await.unwrap());
}

#[tokio::test]
async fn wrong_settings_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = BrokerOptions::in_directory(directory.path()).unwrap();
    let refused = options.set("num.partition", "3").unwrap_err();
    assert!(refused.to_string().contains("num.partitions"), "{refused}");
    assert!(options.set("num.partitions", "none").is_err());
    options.set("remote.log.storage.url", "ftp://elsewhere").unwrap_or_default();
    options.set("listeners", "PLAINTEXT://256.0.0.1:0").unwrap();
    assert!(Broker::start(options).await.is_err());
}
