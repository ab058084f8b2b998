//! Built anew when the console or the tag was: their files are embedded.

fn main() {
    for built in ["../../console/dist", "../../tag/dist"] {
        println!("cargo:rerun-if-changed={built}");
    }
}
