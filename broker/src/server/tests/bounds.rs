use std::time::Duration;

use super::toy::{Client, request, start, until};
use crate::server::{ServerOptions, frame::READ_AHEAD_BYTES};

const MOMENT: Duration = Duration::from_millis(30);

#[tokio::test]
async fn impossible_lengths_close_the_connection_before_anything_is_read() {
    let (server, _toy) = start(ServerOptions { request_max_bytes: 1000, ..Default::default() }).await;
    for length in [-1, i32::MIN, 1001, i32::MAX] {
        let mut client = Client::connect(&server).await;
        client.send(b"efirst").await;
        client.raw(&length.to_be_bytes()).await;
        assert_eq!(client.receive().await.unwrap(), b"efirst");
        assert_eq!(client.receive().await, None);
    }
    assert_eq!(server.counters().frames_refused, 4);
    let mut client = Client::connect(&server).await;
    let largest = [b'e'; 1000];
    client.send(&largest).await;
    assert_eq!(client.receive().await.unwrap(), largest);
}

#[tokio::test]
async fn a_claim_is_believed_as_far_as_bytes_arrive() {
    let (server, _toy) = start(ServerOptions::default()).await;
    let mut client = Client::connect(&server).await;
    client.raw(&(90_i32 << 20).to_be_bytes()).await;
    until(|| server.counters().request_memory_bytes > 0).await;
    assert_eq!(server.counters().request_memory_bytes, READ_AHEAD_BYTES as u64);
    let sent = 1_000_000;
    client.raw(&vec![0; sent]).await;
    until(|| server.counters().bytes_in as usize == sent + 4).await;
    assert!(server.counters().request_memory_bytes <= 2 * sent as u64);
    drop(client);
    until(|| server.counters().request_memory_bytes == 0).await;
}

#[tokio::test]
async fn requests_wait_for_memory_and_all_get_through() {
    let size = 200 << 10;
    let (server, toy) = start(ServerOptions { request_memory_bytes: 256 << 10, ..Default::default() }).await;
    let payload = |name: &str| {
        let mut payload = format!("w{name:8}").into_bytes();
        payload.resize(size, 0);
        payload
    };
    let mut clients = Vec::new();
    // The first fits, the second takes the overdraft, the third finds neither.
    for (name, waits) in [("first", 0), ("second", 1), ("third", 2)] {
        let mut client = Client::connect(&server).await;
        client.send(&payload(name)).await;
        let starts = waits.min(1) + 1;
        toy.logged(|log| log.len() == starts).await;
        until(|| server.counters().memory_waits == waits as u64).await;
        clients.push(client);
    }
    // So does everybody else, until memory comes back.
    let mut small = Client::connect(&server).await;
    small.send(&payload("fourth")).await;
    assert_eq!(toy.logged(|_| true).await.len(), 2);
    for name in ["first   ", "second  ", "third   ", "fourth  "] {
        toy.open_gate(name);
    }
    for client in clients.iter_mut().chain([&mut small]) {
        assert_eq!(client.receive().await.unwrap().len(), size);
    }
    // Many at once, each larger than its share.
    let many = (0..24).map(|number| {
        let payload = payload(&format!("m{number}"));
        let address = server.addresses()[0];
        tokio::spawn(async move {
            let mut client = Client(tokio::net::TcpStream::connect(address).await.unwrap());
            for _ in 0..4 {
                client.send(&payload).await;
                assert_eq!(client.receive().await.unwrap(), payload);
            }
        })
    });
    let many: Vec<_> = many.collect();
    for number in 0..24 {
        toy.open_gate(&format!("{:8}", format!("m{number}")));
    }
    for one in many {
        one.await.unwrap();
    }
    until(|| server.counters().request_memory_bytes == 0).await;
}

#[tokio::test]
async fn who_holds_memory_and_stalls_is_closed_for_the_others() {
    let options = ServerOptions {
        request_memory_bytes: 300 << 10,
        stall_grace: MOMENT,
        pace_bytes_per_second: u64::MAX,
        ..Default::default()
    };
    let (server, _toy) = start(options).await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(&server).await;
        let half = &request(&vec![b'e'; 400 << 10])[..150 << 10];
        // The server may have had enough before everything is sent.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.0, half).await;
        stalled.push(client);
    }
    let mut honest = Client::connect(&server).await;
    let whole = vec![b'e'; 200 << 10];
    honest.send(&whole).await;
    assert_eq!(honest.receive().await.unwrap(), whole);
    for mut client in stalled {
        assert_eq!(client.receive().await, None);
    }
    until(|| server.counters().timed_out >= 5).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let options =
        ServerOptions { stall_grace: MOMENT, pace_bytes_per_second: u64::MAX, ..Default::default() };
    let (server, toy) = start(options).await;
    let mut client = Client::connect(&server).await;
    for _ in 0..10 {
        client.send(b"b").await;
    }
    until(|| server.counters().timed_out == 1 && server.counters().open() == 0).await;
    // What it would not read kept most of its further requests from being executed.
    assert_eq!(toy.logged(|_| true).await.len(), 1);
    Client::connect(&server).await.is_served().await;
}

#[tokio::test]
async fn silence_closes_a_connection_unless_it_is_owed_something() {
    let (server, toy) = start(ServerOptions { idle_max: MOMENT, ..Default::default() }).await;
    let mut owed = Client::connect(&server).await;
    owed.send(b"wgate").await;
    toy.logged(|log| log.len() == 1).await;
    // Each of these is silent for as long as the one that waits.
    for _ in 0..3 {
        let mut silent = Client::connect(&server).await;
        assert_eq!(silent.receive().await, None);
    }
    assert_eq!(server.counters().timed_out, 3);
    toy.open_gate("gate");
    assert_eq!(owed.receive().await.unwrap(), b"wgate");
    assert_eq!(owed.receive().await, None);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let (server, toy) = start(ServerOptions { connections_max: 2, ..Default::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&server).await;
        client.is_served().await;
        clients.push(client);
    }
    let mut third = Client::connect(&server).await;
    third.send(b"ethird").await;
    clients.pop();
    assert_eq!(third.receive().await.unwrap(), b"ethird");
    assert_eq!(toy.connections_at_most(), 2);
    assert_eq!(server.counters().accepted, 3);
}
