use jumelle_consent::Cleared;

fn clear(json: &str) -> Cleared {
    serde_json::from_str(json).unwrap()
}

fn main() {}
