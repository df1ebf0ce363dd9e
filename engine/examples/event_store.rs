//! An append-only event store: what happened is kept, what is so is computed from it, and nobody decides on what is no
//! longer so.
//!
//! `cargo run -p highwater-engine --example event_store`

use std::{collections::BTreeMap, error::Error, path::Path};

use highwater_engine::embed::{FromRecord, Logs, NewRecord, Record, SharedLog, ToRecord, WriteError};
use highwater_records::Offset;

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Deposited { account: String, cents: u64 },
    Withdrew { account: String, cents: u64 },
}

impl ToRecord for Event {
    fn to_record(&self) -> NewRecord<'_> {
        let (kind, account, cents) = match self {
            Event::Deposited { account, cents } => ("deposited", account, cents),
            Event::Withdrew { account, cents } => ("withdrew", account, cents),
        };
        NewRecord::new(cents.to_string().into_bytes()).key(account.as_bytes()).header("kind", kind.as_bytes())
    }
}

impl FromRecord for Event {
    type Error = String;

    fn from_record(record: &Record) -> Result<Event, String> {
        let account = record.key.as_deref().map(String::from_utf8_lossy).ok_or("no account")?.into_owned();
        let cents = record.text().and_then(|text| text.parse().ok()).ok_or("no amount")?;
        match record.headers.first().and_then(|(_, kind)| kind.as_deref()) {
            Some(b"deposited") => Ok(Event::Deposited { account, cents }),
            Some(b"withdrew") => Ok(Event::Withdrew { account, cents }),
            other => Err(format!("unknown kind {other:?}")),
        }
    }
}

/// What is so, as of an offset.
#[derive(Default)]
struct Accounts {
    cents: BTreeMap<String, u64>,
    as_of: Offset,
}

impl Accounts {
    /// Takes in what has happened since.
    fn catch_up(&mut self, events: &SharedLog) -> Result<(), Box<dyn Error>> {
        let now = events.snapshot()?;
        for event in now.records_from(self.as_of).decoded::<Event>() {
            match event? {
                Event::Deposited { account, cents } => *self.cents.entry(account).or_default() += cents,
                Event::Withdrew { account, cents } => *self.cents.entry(account).or_default() -= cents,
            }
        }
        self.as_of = now.end();
        Ok(())
    }
}

/// Withdraws, unless there is not enough. Two who try at the same time cannot both see the same balance.
fn withdraw(events: &SharedLog, account: &str, cents: u64) -> Result<bool, Box<dyn Error>> {
    let mut accounts = Accounts::default();
    loop {
        accounts.catch_up(events)?;
        if accounts.cents.get(account).is_none_or(|balance| *balance < cents) {
            return Ok(false);
        }
        let event = Event::Withdrew { account: account.to_owned(), cents };
        match events.append_if(accounts.as_of, &event) {
            Ok(_) => return Ok(true),
            Err(WriteError::Moved { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Eight threads want 30 of 100: three get it.
fn run(directory: &Path) -> Result<(), Box<dyn Error>> {
    let logs = Logs::open(directory)?;
    let events = logs.log("accounts")?;
    events.append(&Event::Deposited { account: "alice".into(), cents: 100 })?;
    let paid = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..8).map(|_| scope.spawn(|| withdraw(&events, "alice", 30).is_ok_and(|paid| paid))).collect();
        tries.into_iter().filter_map(|tried| tried.join().ok()).filter(|paid| *paid).count()
    });
    logs.close()?;

    // Another day: nothing but the events is needed.
    let logs = Logs::open(directory)?;
    let mut accounts = Accounts::default();
    accounts.catch_up(&logs.log("accounts")?)?;
    println!("{paid} of 8 were paid, {} cents are left", accounts.cents["alice"]);
    assert_eq!((paid, accounts.cents["alice"]), (3, 10));
    logs.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(tempfile::tempdir()?.path())
}

#[test]
fn it_runs() {
    run(tempfile::tempdir().unwrap().path()).unwrap();
}
