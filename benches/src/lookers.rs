//! People who consent and look at something, and are in a segment for it: whom the race and the first sync send to tools.

use crate::wire;

/// Definitions but for destinations and activations.
pub const DEFINITIONS: &str = "\
workspace: {key: bench, locale: en, timezone: Europe/Paris, country: FR, currency: EUR}
sources:
  site: {kind: web, write_key: wk_site}
identifiers:
  email: {limit: 3, normalize: email}
  anonymous_id: {limit: 10}
purposes:
  marketing: {basis: consent}
segments:
  lookers: {rule: {did: Product Viewed}}
";
/// `wk_site:` in base64.
const BASIC: &str = "d2tfc2l0ZTo=";

/// These people, in one request: each consents and looks at something in one event, with `NUMBER` and `at` (`@race.example`) as the address.
pub fn request(at: &str, people: &[u64]) -> Vec<u8> {
    let events: Vec<String> = people
        .iter()
        .map(|person| {
            format!(
                r#"{{"type":"track","event":"Product Viewed","messageId":"looker-{person}","anonymousId":"looker-{person}","context":{{"traits":{{"email":"{person}{at}"}},"consents":[{{"purpose":"marketing","channel":"email","state":"granted"}}]}}}}"#
            )
        })
        .collect();
    let mut request = Vec::new();
    wire::post_into(&mut request, "/v1/batch", BASIC, &[br#"{"batch":["#, events.join(",").as_bytes(), b"]}"]);
    request
}
