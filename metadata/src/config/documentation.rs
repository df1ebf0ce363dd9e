//! The page `docs/configuration.md`.

use super::{BROKER_KEYS, Definition, GROUP_KEYS, Importance, TOPIC_KEYS, value};
use alloc::{format, string::String, vec::Vec};

/// The page, as Markdown. `docs/configuration.md` is this text; a test compares them.
pub fn documentation() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Keys of a broker\n\n");
    let mut own: Vec<&Definition> = BROKER_KEYS.iter().collect();
    own.sort_by_key(|definition| (rank(definition.importance), definition.name));
    table(&mut page, own.into_iter(), "Also as");
    page.push_str(TOPICS);
    table(
        &mut page,
        TOPIC_KEYS.iter().filter(|definition| definition.used && !definition.internal),
        "Broker keys",
    );
    page.push_str(UNUSED);
    table(&mut page, TOPIC_KEYS.iter().filter(|definition| !definition.used), "Broker keys");
    page.push_str(GROUPS);
    table(&mut page, GROUP_KEYS.iter(), "Broker keys");
    page
}

fn rank(importance: Importance) -> u8 {
    match importance {
        Importance::High => 0,
        Importance::Medium => 1,
        Importance::Low => 2,
    }
}

fn table<'d>(page: &mut String, definitions: impl Iterator<Item = &'d Definition>, others: &str) {
    page.push_str(&format!("| Key | Takes | Default | {others} | Meaning |\n|---|---|---|---|---|\n"));
    for definition in definitions {
        let synonyms: Vec<String> =
            definition.synonyms.iter().map(|synonym| format!("`{}`", synonym.name)).collect();
        let default = match definition.default {
            None => String::new(),
            Some("") => String::from("empty"),
            Some(text) => format!("`{text}`"),
        };
        let takes = value::expected(definition);
        page.push_str(&format!(
            "| `{}` | {takes} | {default} | {} | {} |\n",
            definition.name,
            synonyms.join(", "),
            definition.doc
        ));
    }
}

const HEAD: &str = "\
# Configuration

This page is written by `cargo run -p highwater-metadata --example configuration > docs/configuration.md` from the
definitions in `metadata/src/config/`.

`highwater serve [server.properties] [--override key=value]...` reads a file in the format of Java properties, as
Kafka's start script does; `--override` beats the file. Names, types and defaults are Kafka's. A key that Kafka 4.3
has and nothing here reads is accepted and named once in the log. A key that nobody knows is refused with its
line and the nearest valid one, and so is a value that is not valid: nothing starts then.

## Where defaults differ from Kafka's

| Key | Kafka | Here | Why |
|---|---|---|---|
| `remote.storage.enable` | `false` | `true` for topics that only delete | Sealed segments belong in the bucket; resolved when a topic is created and stored explicitly. |
| `remote.log.storage.system.enable` | `false` | `true` | There is always a bucket: a directory unless one is given. |
| `listeners` | every interface | `PLAINTEXT://127.0.0.1:9092` | Without authentication nobody else should reach the broker unasked. |
| `log.dirs` | `/tmp/kafka-logs` | `./highwater/data` | Data does not belong in a directory that is emptied. |
| `node.id` | none | `1` | One broker needs no configuration. |

Ours alone: `highwater.durability`, `highwater.journal.bytes`, `highwater.open.files.max`, `highwater.scrub.period.ms`, `remote.log.storage.url`, `remote.log.storage.s3.endpoint`,
`remote.log.storage.s3.region`. Refused until they are built: `remote.log.copy.disable=true`,
 an `authorizer.class.name`, listeners that are not `PLAINTEXT`, more than one listener,
more than one of `log.dirs`.
";

const TOPICS: &str = "
## Keys of a topic

A topic has the value that was set for it when it was created, else that of the first broker key given in the order
listed (those that end in `minutes` or `hours` are in that unit), else the default.

";

const UNUSED: &str = "
### Accepted, validated and described, and read by nothing yet

";

const GROUPS: &str = "
## Keys of a group

Set while brokers run (`kafka-configs --entity-type groups`, `highwater configs alter --group`), and for groups of the newer
protocol (KIP-848). The broker keys with `min` and `max` in their names bound them: a value beyond is refused, and one that
was set before the bounds changed counts as the bound.

";
