//! Prints `docs/configuration.md`.

fn main() {
    print!("{}", highwater_metadata::config::documentation());
}
