//! Tokens that a tool gives for a key in a way of its own, as Splio and Actito document it.

use jumelle_connect::auth::{read_token, token_request};
use jumelle_connect::{Connector, Moment, Settings, built_in_files};
use jumelle_model::time::Timestamp;
use serde_json::{Value, json};

fn connector(name: &str) -> Connector {
    Connector::load(name, &built_in_files()[name]).unwrap()
}

/// Method, address, headers, body of the request for a token.
fn asked(connector: &Connector) -> (String, String, Vec<(String, String)>, String) {
    let Value::Object(given) = json!({"api_key": "k3y"}) else { unreachable!("it is an object") };
    let settings = Settings::new(&connector.manifest, given, "FR");
    let moment = Moment { now: Timestamp::from_millis(0), nonce: String::new() };
    let request = token_request(connector, &settings, &moment).unwrap();
    (request.method, request.url, request.headers, String::from_utf8(request.body).unwrap())
}

#[test]
fn splio_gives_one_for_a_key_in_the_body() {
    let splio = connector("splio");
    let (method, url, headers, body) = asked(&splio);
    assert_eq!((method.as_str(), url.as_str()), ("POST", "https://api.splio.com/authenticate"));
    assert!(headers.contains(&("content-type".into(), "application/json".into())), "{headers:?}");
    assert_eq!(body, r#"{"api_key":"k3y"}"#);
    let token = read_token(&splio, 200, br#"{"token": "abc"}"#).unwrap();
    assert_eq!((token.text.as_str(), token.expires_in_s), ("abc", 86_400));
}

#[test]
fn actito_gives_one_for_a_key_in_a_header() {
    let actito = connector("actito");
    let (method, url, headers, body) = asked(&actito);
    assert_eq!((method.as_str(), url.as_str()), ("GET", "https://api.actito.com/auth/token"));
    assert!(headers.contains(&("authorization".into(), "k3y".into())), "{headers:?}");
    assert_eq!(body, "");
    let token = read_token(&actito, 200, br#"{"accessToken": "abc"}"#).unwrap();
    assert_eq!((token.text.as_str(), token.expires_in_s), ("abc", 900));
}

#[test]
fn a_token_in_a_refusal_or_under_another_name_is_none() {
    let splio = connector("splio");
    for (status, answer) in [(401, r#"{"token": "abc"}"#), (200, r#"{"access_token": "abc"}"#), (200, "no JSON")] {
        let refused = read_token(&splio, status, answer.as_bytes()).err().unwrap();
        assert!(refused.starts_with(&format!("the token was refused ({status})")), "{refused}");
        assert!(!refused.contains("abc"), "{refused}");
    }
}
