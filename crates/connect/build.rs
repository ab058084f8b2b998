//! A connector added to `connectors/` is one more in the binary.

fn main() {
    println!("cargo::rerun-if-changed=../../connectors");
}
