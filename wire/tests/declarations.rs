//! Our declarations against those of Apache Kafka, field by field.
//!
//! Kafka's lie in its client library as JSON. They are not ours to keep, so `tests/declarations/run` fetches the
//! library and names it in `HIGHWATER_KAFKA_MESSAGES`, the unpacked `common/message` directory; without that
//! variable this test says loudly that it did nothing.

use highwater_wire::declaration::{Declaration, Field, Kind};
use highwater_wire::messages;
use std::path::Path;

mod json;
use json::Json;

const VARIABLE: &str = "HIGHWATER_KAFKA_MESSAGES";

#[test]
fn declarations_are_kafkas() {
    let Some(directory) = std::env::var_os(VARIABLE) else {
        eprintln!(
            "SKIPPED: {VARIABLE} is not set, declarations were not compared; see tests/declarations/run"
        );
        return;
    };
    let mut differences = Vec::new();
    let mut fields = 0;
    for declaration in messages::ALL {
        fields += compare_message(declaration, Path::new(&directory), &mut differences);
    }
    println!("{} messages, {fields} fields compared", messages::ALL.len());
    assert!(fields > 200, "only {fields} fields");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn compare_message(declaration: &Declaration, directory: &Path, differences: &mut Vec<String>) -> usize {
    let path = directory.join(format!("{}.json", declaration.name));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let kafka = Json::parse(&text);
    let mut compare = |what: &str, ours: String, kafkas: String| {
        if ours != kafkas {
            differences.push(format!("{}: {what} is {ours}, Kafka has {kafkas}", declaration.name));
        }
    };
    compare("api key", declaration.api_key.to_string(), kafka.text("apiKey"));
    compare("versions", declaration.versions.to_string(), kafka.text("validVersions"));
    compare("flexible", declaration.flexible.to_string(), kafka.text("flexibleVersions"));
    let Kind::Struct(fields) = declaration.kind else { panic!("{} is no struct", declaration.name) };
    compare_fields(declaration.name, fields, &kafka, &kafka, differences)
}

fn compare_fields(
    path: &str,
    ours: &[Field],
    kafka: &Json,
    message: &Json,
    differences: &mut Vec<String>,
) -> usize {
    let kafkas = kafka.array("fields");
    let names = |list: Vec<String>| list.join(", ");
    let (our_names, kafka_names) = (
        names(ours.iter().map(|field| field.name.trim_start_matches("r#").to_owned()).collect()),
        names(kafkas.iter().map(|field| snake_case(&field.text("name"))).collect()),
    );
    if our_names != kafka_names {
        differences.push(format!("{path}: fields are {our_names}, Kafka has {kafka_names}"));
        return 0;
    }
    let mut count = ours.len();
    for (field, kafka) in ours.iter().zip(kafkas) {
        let path = format!("{path}.{}", field.name);
        let mut compare = |what: &str, ours: String, kafkas: String| {
            if ours != kafkas {
                differences.push(format!("{path}: {what} is {ours:?}, Kafka has {kafkas:?}"));
            }
        };
        compare("versions", field.versions.to_string(), kafka.text("versions"));
        compare("null", field.nullable.to_string(), kafka.text_or("nullableVersions", "none"));
        let tag = field.tag.map_or("none".to_owned(), |(tag, versions)| format!("{tag} in {versions}"));
        let kafka_tag = match kafka.get("tag") {
            Some(_) => format!("{} in {}", kafka.text("tag"), kafka.text("taggedVersions")),
            None => "none".to_owned(),
        };
        compare("tag", tag, kafka_tag);
        compare("default", our_default(field), kafka_default(kafka));
        let kafka_type = kafka.text("type");
        let (kind, kafka_element) = match (field.kind, kafka_type.strip_prefix("[]")) {
            (Kind::Array(element), Some(kafka_element)) => (*element, kafka_element),
            (kind, _) => (kind, kafka_type.as_str()),
        };
        match (type_name(kind), kind) {
            (Some(names), _) => {
                let matches = names.contains(&kafka_element);
                compare(
                    "type",
                    if matches { kafka_element } else { names[0] }.to_owned(),
                    kafka_element.to_owned(),
                );
            }
            (None, Kind::Struct(fields)) => {
                // A struct that several fields share stands apart from them.
                let shared = match kafka.get("fields") {
                    Some(_) => None,
                    None => message
                        .array("commonStructs")
                        .iter()
                        .find(|shared| shared.text("name") == kafka_element),
                };
                count += compare_fields(&path, fields, shared.unwrap_or(kafka), message, differences);
            }
            (None, _) => compare("type", "array of arrays".to_owned(), kafka_type),
        }
    }
    count
}

fn type_name(kind: Kind) -> Option<&'static [&'static str]> {
    Some(match kind {
        Kind::Bool => &["bool"],
        Kind::Int8 => &["int8"],
        Kind::Int16 => &["int16"],
        Kind::Uint16 => &["uint16"],
        Kind::Int32 => &["int32"],
        Kind::Int64 => &["int64"],
        Kind::Float64 => &["float64"],
        Kind::Uuid => &["uuid"],
        Kind::String => &["string"],
        Kind::Bytes => &["records", "bytes"],
        Kind::Array(_) | Kind::Struct(_) => return None,
    })
}

/// Our default as Kafka writes it. An `Option` without one is null for us and may be empty for Kafka: that shows
/// only in versions without the field, where we say "not told".
fn our_default(field: &Field) -> String {
    let nullable = field.nullable.min <= field.nullable.max;
    match (field.default.replace(' ', "").as_str(), field.kind) {
        ("", Kind::Bool) => "false".to_owned(),
        ("", Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Int64 | Kind::Float64) => {
            "0".to_owned()
        }
        ("", _) if nullable => "null or empty".to_owned(),
        ("" | "TopicId::ZERO", _) => "empty".to_owned(),
        ("i32::MAX", _) => i32::MAX.to_string(),
        ("i32::MIN", _) => i32::MIN.to_string(),
        ("i64::MAX", _) => i64::MAX.to_string(),
        ("false", Kind::Bool) => "false".to_owned(),
        (other, _) => other.to_owned(),
    }
}

fn kafka_default(field: &Json) -> String {
    let nullable = field.get("nullableVersions").is_some();
    match (field.text_or("default", "").as_str(), field.text("type").as_str()) {
        ("", "bool") => "false".to_owned(),
        ("", "int8" | "int16" | "uint16" | "int32" | "int64" | "float64") => "0".to_owned(),
        ("null" | "", _) if nullable => "null or empty".to_owned(),
        ("", _) => "empty".to_owned(),
        ("0x7fffffff", _) => i32::MAX.to_string(),
        (other, _) => other.to_owned(),
    }
}

fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && !letters[index - 1].is_ascii_uppercase();
        let before_lower = index > 0 && letters.get(index + 1).is_some_and(|next| next.is_ascii_lowercase());
        if letter.is_ascii_uppercase() && index > 0 && (after_lower || before_lower) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
