use std::{sync::Arc, time::Duration};

use tokio::net::TcpStream;

use super::toy::{Client, request, start};
use crate::server::{ServerOptions, Stopped};

const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_stop_finishes_what_was_started_and_starts_nothing() {
    let (server, toy) = start(ServerOptions::default()).await;
    let server = Arc::new(server);
    let mut waiting = Client::connect(&server).await;
    let mut executing = Client::connect(&server).await;
    let mut half = Client::connect(&server).await;
    let mut silent = Client::connect(&server).await;
    silent.is_served().await;
    waiting.send(b"wgate").await;
    executing.send(b"xgate").await;
    executing.send(b"enever").await;
    half.send(b"ehalf").await;
    assert_eq!(half.receive().await.unwrap(), b"ehalf");
    half.raw(&request(b"ehalf")[..6]).await;
    toy.logged(|log| log.iter().filter(|line| *line == "start gate").count() == 2).await;

    let stopping = tokio::spawn({
        let server = server.clone();
        async move { server.stop(LONG).await }
    });
    assert_eq!(half.receive().await, None);
    assert_eq!(silent.receive().await, None);
    while TcpStream::connect(server.addresses()[0]).await.is_ok() {}
    toy.open_gate("gate");
    assert_eq!(waiting.receive().await.unwrap(), b"wgate");
    assert_eq!(waiting.receive().await, None);
    assert_eq!(executing.receive().await.unwrap(), b"xgate");
    assert_eq!(executing.receive().await, None);
    assert_eq!(stopping.await.unwrap(), Stopped::Finished);
    assert!(!toy.logged(|_| true).await.contains(&"start never".into()));
    assert_eq!(server.counters().open(), 0);
    assert_eq!(server.stop(LONG).await, Stopped::Finished);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_poll() {
    let (server, toy) = start(ServerOptions::default()).await;
    let mut polling = Client::connect(&server).await;
    for payload in ["efirst", "lready", "lnever", "llater"] {
        polling.send(payload.as_bytes()).await;
    }
    toy.logged(|log| log.len() == 4).await;
    toy.open_gate("ready");
    toy.logged(|log| log.len() == 5).await;
    assert_eq!(server.stop(LONG).await, Stopped::Finished);
    assert_eq!(polling.receive().await.unwrap(), b"efirst");
    assert_eq!(polling.receive().await.unwrap(), b"lready");
    assert_eq!(polling.receive().await, None);
}

#[tokio::test]
async fn a_stop_that_runs_out_of_time_cuts_off() {
    let (server, toy) = start(ServerOptions::default()).await;
    let mut waiting = Client::connect(&server).await;
    let mut executing = Client::connect(&server).await;
    waiting.send(b"wnever").await;
    executing.send(b"xnever").await;
    toy.logged(|log| log.len() == 2).await;
    assert_eq!(server.stop(Duration::from_millis(1)).await, Stopped::Cut(2));
    assert_eq!(server.counters().open(), 0);
    assert_eq!(waiting.receive().await, None);
    assert_eq!(executing.receive().await, None);
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_connections() {
    let (server, _toy) = start(ServerOptions::default()).await;
    let mut client = Client::connect(&server).await;
    client.is_served().await;
    drop(server);
    assert_eq!(client.receive().await, None);
}
