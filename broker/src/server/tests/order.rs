use tokio::io::AsyncWriteExt;

use super::toy::{Client, request, start};
use crate::server::ServerOptions;

#[tokio::test]
async fn responses_keep_the_order_of_requests_while_execution_goes_on() {
    let (server, toy) = start(ServerOptions::default()).await;
    let mut client = Client::connect(&server).await;
    for payload in ["wslow", "eone", "wother", "etwo", "n", "ethree"] {
        client.send(payload.as_bytes()).await;
    }
    // All of them execute although the first has no answer yet.
    toy.logged(|log| log.len() == 6).await;
    toy.open_gate("other");
    toy.logged(|log| log.contains(&"end other".into())).await;
    toy.open_gate("slow");
    for expected in ["wslow", "eone", "wother", "etwo", "ethree"] {
        assert_eq!(client.receive().await.unwrap(), expected.as_bytes());
    }
    client.is_served().await;
}

#[tokio::test]
async fn requests_execute_one_after_the_other() {
    let (server, toy) = start(ServerOptions::default()).await;
    let mut client = Client::connect(&server).await;
    for payload in ["xone", "etwo", "xthree", "efour"] {
        client.send(payload.as_bytes()).await;
    }
    toy.open_gate("three");
    toy.open_gate("one");
    for expected in ["xone", "etwo", "xthree", "efour"] {
        assert_eq!(client.receive().await.unwrap(), expected.as_bytes());
    }
    let log = toy.logged(|_| true).await;
    assert_eq!(log, ["start one", "end one", "start two", "start three", "end three", "start four"]);
}

#[tokio::test]
async fn no_more_than_so_many_wait_at_once() {
    let (server, toy) = start(ServerOptions { in_flight_max: 2, ..Default::default() }).await;
    let mut client = Client::connect(&server).await;
    for payload in ["wa", "wb", "wc", "wd"] {
        client.send(payload.as_bytes()).await;
    }
    toy.logged(|log| log.len() == 2).await;
    for gate in ["d", "c", "b", "a"] {
        toy.open_gate(gate);
    }
    for expected in ["wa", "wb", "wc", "wd"] {
        assert_eq!(client.receive().await.unwrap(), expected.as_bytes());
    }
    let log = toy.logged(|_| true).await;
    let position = |what: &str| log.iter().position(|line| line == what).unwrap();
    assert!(position("start c") > position("end a"), "{log:?}");
}

#[tokio::test]
async fn a_connection_that_has_had_its_turn_gives_way_and_goes_on() {
    let (server, toy) = start(ServerOptions::default()).await;
    let mut client = Client::connect(&server).await;
    // After a request as large as this the next read asks for 4 KiB. It gets all of that, so that the socket counts as
    // readable still when the request that it was is over, and the turn with it.
    let large = [&b"xgategate"[..], &[0; 40 << 10]].concat();
    client.send(&large).await;
    toy.logged(|log| log.len() == 1).await;
    client.raw(&[request(&[b'u'; 4092]), request(b"ethe next")].concat()).await;
    toy.open_gate("gategate");
    assert_eq!(client.receive().await.unwrap(), large);
    assert_eq!(client.receive().await.unwrap(), b"ethe next");
}

#[tokio::test]
async fn earlier_responses_go_out_before_a_close() {
    let (server, toy) = start(ServerOptions::default()).await;
    for ending in [request(b"c"), request(&[]), request(b"p")] {
        let mut client = Client::connect(&server).await;
        let mut all = request(b"efirst");
        all.extend_from_slice(&request(b"wgate"));
        if ending[..] == request(b"c")[..] {
            all.extend_from_slice(&ending);
            client.raw(&all).await;
            toy.open_gate("gate");
            assert_eq!(client.receive().await.unwrap(), b"efirst");
            assert_eq!(client.receive().await.unwrap(), b"wgate");
        } else {
            // A handler that panics takes its connection along, and no other.
            client.raw(&ending).await;
        }
        assert_eq!(client.receive().await, None);
    }
    super::toy::until(|| server.counters().panics == 2 && server.counters().open() == 0).await;
    Client::connect(&server).await.is_served().await;
}

#[tokio::test]
async fn a_client_that_has_sent_its_last_request_still_gets_its_answers() {
    let (server, toy) = start(ServerOptions::default()).await;
    let mut client = Client::connect(&server).await;
    client.send(b"wgate").await;
    client.send(b"elast").await;
    client.0.shutdown().await.unwrap();
    toy.logged(|log| log.len() == 2).await;
    toy.open_gate("gate");
    assert_eq!(client.receive().await.unwrap(), b"wgate");
    assert_eq!(client.receive().await.unwrap(), b"elast");
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn a_request_that_executes_is_finished_although_the_client_is_gone() {
    let (server, toy) = start(ServerOptions { unsent_max_bytes: usize::MAX, ..Default::default() }).await;
    let mut client = Client::connect(&server).await;
    client.send(b"b").await;
    client.send(b"xlong").await;
    toy.logged(|log| log.contains(&"start long".into())).await;
    drop(client);
    Client::connect(&server).await.is_served().await;
    toy.open_gate("long");
    toy.logged(|log| log.contains(&"end long".into())).await;
    super::toy::until(|| server.counters().open() == 0).await;
}

#[tokio::test]
async fn bytes_may_arrive_in_any_portions() {
    let (server, _toy) = start(ServerOptions::default()).await;
    let payload = |size: usize, seed: usize| -> Vec<u8> {
        let mut payload: Vec<u8> = (0..size).map(|at| (at * 31 + seed * 7 + at / 256) as u8).collect();
        payload[0] = b'e';
        payload
    };
    let mut client = Client::connect(&server).await;
    // Byte by byte.
    for seed in 0..3 {
        let sent = payload(40 + seed, seed);
        for byte in request(&sent) {
            client.raw(&[byte]).await;
        }
        assert_eq!(client.receive().await.unwrap(), sent);
    }
    // Every way of holding a request, one after the other in one stream, cut at odd places.
    let kib = 1024;
    let sizes =
        [1, 4092, 8 * kib, 8 * kib + 1, 30_000, 32 * kib, 32 * kib + 1, 65_531, 65_532, 65_536, 65_537];
    let sizes = sizes.into_iter().chain([300 * kib, 1, 3 * kib * kib, 100, 200 * kib, 2, 2 * kib * kib + 1]);
    let sent: Vec<_> = sizes.enumerate().map(|(seed, size)| payload(size, seed)).collect();
    for portion in [777, 10_001, 65_536, 1 << 20] {
        let stream: Vec<u8> = sent.iter().flat_map(|payload| request(payload)).collect();
        let (mut read, mut write) = client.0.into_split();
        let writer = tokio::spawn(async move {
            for portion in stream.chunks(portion) {
                write.write_all(portion).await.unwrap();
            }
            write
        });
        for payload in &sent {
            let length = tokio::io::AsyncReadExt::read_u32(&mut read).await.unwrap();
            let mut received = vec![0; length as usize];
            tokio::io::AsyncReadExt::read_exact(&mut read, &mut received).await.unwrap();
            assert!(received == *payload, "{} bytes in portions of {portion}", payload.len());
        }
        client = Client(read.reunite(writer.await.unwrap()).unwrap());
    }
    assert_eq!(server.counters().request_memory_bytes, 0);
}
