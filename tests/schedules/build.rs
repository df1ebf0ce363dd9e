//! Says which locks the engine is to use.

fn main() {
    println!("cargo::rustc-cfg=schedules");
}
