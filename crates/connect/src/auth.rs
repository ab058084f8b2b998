//! Who a request comes from: tokens, signatures, and the requests that fetch tokens.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use crate::check::parse_duration;
use crate::connector::Connector;
use crate::manifest::{Auth, Digest};
use crate::normalize::Hash;
use crate::path::Path;
use crate::request::{Moment, Request, encode};
use crate::row::Nobody;
use crate::settings::Settings;
use crate::template::Scope;

/// A token that is renewed this long before it ends.
pub const RENEW_BEFORE_S: u64 = 60;
/// How long an assertion holds.
const ASSERTION_S: i64 = 3_600;

/// A token, and for how many seconds it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The text.
    pub text: String,
    /// Seconds.
    pub expires_in_s: u64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({} s)", self.expires_in_s)
    }
}

struct Given<'a> {
    connector: &'a Connector,
    whole: Value,
}

impl Given<'_> {
    fn text(&self, name: &str) -> String {
        let scope = Scope { whole: &self.whole, row: None, rows: &[] };
        self.connector.auth.get(name).and_then(|line| line.write(&scope, str::to_owned)).unwrap_or_default()
    }

    fn prefixed(&self, prefix: &str) -> Vec<(String, String)> {
        let names = self.connector.auth.keys().filter_map(|name| name.strip_prefix(prefix));
        names.map(|name| (name.to_owned(), self.text(&format!("{prefix}{name}")))).filter(|(_, text)| !text.is_empty()).collect()
    }
}

fn given<'a>(connector: &'a Connector, settings: &Settings) -> Given<'a> {
    Given { connector, whole: json!({"settings": settings.values}) }
}

/// Whether requests carry a token that has to be fetched.
pub fn needs_token(connector: &Connector) -> bool {
    matches!(
        connector.manifest.auth,
        Auth::Oauth2Client { .. } | Auth::Oauth2Refresh { .. } | Auth::Oauth2Jwt { .. } | Auth::TokenForKey { .. }
    )
}

/// The request that fetches one.
pub fn token_request(connector: &Connector, settings: &Settings, moment: &Moment) -> Result<Request<Nobody>, String> {
    let given = given(connector, settings);
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, text: String| fields.push((name.to_owned(), text));
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    let mut as_json = false;
    let basic = || format!("Basic {}", STANDARD.encode(format!("{}:{}", given.text("client_id"), given.text("client_secret"))));
    match &connector.manifest.auth {
        Auth::Oauth2Client { scopes, in_header, json, .. } => {
            as_json = *json;
            put("grant_type", "client_credentials".into());
            if *in_header {
                headers.push(("authorization".into(), basic()));
            } else {
                put("client_id", given.text("client_id"));
                put("client_secret", given.text("client_secret"));
            }
            if !scopes.is_empty() {
                put("scope", scopes.join(" "));
            }
        }
        Auth::Oauth2Refresh { in_header, .. } => {
            put("grant_type", "refresh_token".into());
            put("refresh_token", given.text("refresh_token"));
            if *in_header {
                headers.push(("authorization".into(), basic()));
            } else {
                put("client_id", given.text("client_id"));
                put("client_secret", given.text("client_secret"));
            }
        }
        Auth::Oauth2Jwt { scopes, .. } => {
            put("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".into());
            put("assertion", assertion(&given, scopes, moment)?);
        }
        Auth::TokenForKey { method, body, .. } => return token_for_key(&given, method, body),
        _ => return Err("this connector needs no token".into()),
    }
    fields.extend(given.prefixed("extra."));
    let scope = Scope { whole: &given.whole, row: None, rows: &[] };
    let url =
        connector.auth.get("token_url").and_then(|line| line.write(&scope, encode)).ok_or("the token's address is missing")?;
    let (kind, body) = if as_json {
        let map: BTreeMap<_, _> = fields.into_iter().collect();
        ("application/json", json!(map).to_string())
    } else {
        let pairs: Vec<String> = fields.iter().map(|(name, text)| format!("{}={}", encode(name), encode(text))).collect();
        ("application/x-www-form-urlencoded", pairs.join("&"))
    };
    headers.push(("content-type".into(), kind.into()));
    Ok(Request::new("POST", url, headers, body.into_bytes()))
}

/// As the tool itself asks for it: headers and a JSON body of its own.
fn token_for_key(given: &Given<'_>, method: &str, body: &BTreeMap<String, String>) -> Result<Request<Nobody>, String> {
    let scope = Scope { whole: &given.whole, row: None, rows: &[] };
    let line = given.connector.auth.get("token_url");
    let url = line.and_then(|line| line.write(&scope, encode)).ok_or("the token's address is missing")?;
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    headers.extend(given.prefixed("header.").into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)));
    let body = if body.is_empty() {
        Vec::new()
    } else {
        headers.push(("content-type".into(), "application/json".into()));
        json!(given.prefixed("body.").into_iter().collect::<BTreeMap<_, _>>()).to_string().into_bytes()
    };
    Ok(Request::new(method, url, headers, body))
}

/// Reads the answer to [`token_request`].
pub fn read_token(connector: &Connector, status: u16, body: &[u8]) -> Result<Token, String> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let (token, seconds) = match &connector.manifest.auth {
        Auth::TokenForKey { token, holds, .. } => {
            let found = Path::parse(token).ok().and_then(|path| path.first(&answer)?.as_str().map(str::to_owned));
            (found, parse_duration(holds).map(|holds| holds.as_secs()))
        }
        _ => {
            let seconds = answer["expires_in"].as_u64().or_else(|| answer["expires_in"].as_str()?.parse().ok());
            (answer["access_token"].as_str().map(str::to_owned), seconds)
        }
    };
    match token {
        Some(text) if (200..300).contains(&status) => Ok(Token { text, expires_in_s: seconds.unwrap_or(3_600) }),
        _ => {
            let why = answer["error_description"].as_str().or(answer["error"].as_str()).unwrap_or("no token in the answer");
            Err(format!("the token was refused ({status}): {}", why.chars().take(200).collect::<String>()))
        }
    }
}

fn assertion(given: &Given<'_>, scopes: &[String], moment: &Moment) -> Result<String, String> {
    let now = moment.now.0.div_euclid(1_000_000);
    let mut claims = json!({"iss": given.text("issuer"), "aud": given.text("audience"), "iat": now, "exp": now + ASSERTION_S});
    if !given.text("subject").is_empty() {
        claims["sub"] = given.text("subject").into();
    }
    if !scopes.is_empty() {
        claims["scope"] = scopes.join(" ").into();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
    let key = rsa_key(&given.text("private_key"))?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "the private key does not sign".to_owned())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn rsa_key(pem: &str) -> Result<RsaKeyPair, String> {
    let wrong = || "the private key is not a PEM of an RSA key (BEGIN PRIVATE KEY, PKCS #8)".to_owned();
    // A key in an environment variable has its line ends written as \n.
    let pem = pem.replace("\\n", "\n");
    let inner: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let bytes = STANDARD.decode(inner.trim()).map_err(|_| wrong())?;
    RsaKeyPair::from_pkcs8(&bytes).map_err(|_| wrong())
}

/// Puts on a request what says who it comes from.
pub(crate) fn sign<O>(
    connector: &Connector,
    settings: &Settings,
    request: &mut Request<O>,
    token: Option<&str>,
    moment: &Moment,
    id: &str,
) -> Result<(), String> {
    let given = given(connector, settings);
    let mut header = |name: &str, value: String| request.headers.push((name.to_ascii_lowercase(), value));
    match &connector.manifest.auth {
        Auth::None { .. } => {}
        Auth::Bearer { .. } => header("authorization", format!("Bearer {}", given.text("token"))),
        Auth::Basic { .. } => {
            let pair = format!("{}:{}", given.text("user"), given.text("password"));
            header("authorization", format!("Basic {}", STANDARD.encode(pair)));
        }
        Auth::Header { headers } => headers.keys().for_each(|name| header(name, given.text(name))),
        Auth::Query { parameters } => {
            for name in parameters.keys() {
                let between = if request.url.contains('?') { '&' } else { '?' };
                request.url.push_str(&format!("{between}{}={}", encode(name), encode(&given.text(name))));
            }
        }
        Auth::Oauth2Client { header: own, .. } | Auth::Oauth2Refresh { header: own, .. } => {
            let token = token.unwrap_or("<access_token>");
            match own {
                Some(name) => header(name, token.to_owned()),
                None => header("authorization", format!("Bearer {token}")),
            }
        }
        Auth::Oauth2Jwt { .. } | Auth::TokenForKey { .. } => {
            header("authorization", format!("Bearer {}", token.unwrap_or("<access_token>")));
        }
        Auth::Oauth1 { .. } => {
            let value = oauth1(&given, &request.method, &request.url, moment);
            request.headers.push(("authorization".into(), value));
        }
        Auth::Hmac { digest, header: name, .. } => {
            let key = given.text("secret");
            let signature = match digest {
                Digest::Sha1 => STANDARD.encode(hmac_sha1(key.as_bytes(), &request.body)),
                Digest::Sha256 => STANDARD.encode(hmac_sha256(key.as_bytes(), &request.body)),
            };
            request.headers.push((name.to_ascii_lowercase(), signature));
            for (name, value) in given.prefixed("header.") {
                request.headers.push((name.to_ascii_lowercase(), value));
            }
        }
        Auth::StandardWebhooks { .. } => {
            let secret = given.text("secret");
            let key = match secret.strip_prefix("whsec_") {
                Some(encoded) => STANDARD.decode(encoded.trim()).map_err(|_| "what follows whsec_ is not base64".to_owned())?,
                None => secret.into_bytes(),
            };
            let seconds = moment.now.0.div_euclid(1_000_000);
            let mut signed = format!("{id}.{seconds}.").into_bytes();
            signed.extend_from_slice(&request.body);
            request.headers.push(("webhook-id".into(), id.to_owned()));
            request.headers.push(("webhook-timestamp".into(), seconds.to_string()));
            request.headers.push(("webhook-signature".into(), format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &signed)))));
        }
        Auth::Wsse { .. } => header("x-wsse", wsse(&given.text("user"), &given.text("secret"), moment)),
        Auth::Ovh { .. } => {
            let seconds = moment.now.0.div_euclid(1_000_000).to_string();
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let parts = [
                given.text("application_secret"),
                given.text("consumer_key"),
                request.method.clone(),
                request.url.clone(),
                body,
                seconds.clone(),
            ];
            header("x-ovh-application", given.text("application_key"));
            header("x-ovh-consumer", given.text("consumer_key"));
            header("x-ovh-timestamp", seconds);
            header("x-ovh-signature", format!("$1${}", Hash::Sha1Hex.of(&parts.join("+"))));
        }
    }
    Ok(())
}

fn hmac_sha1(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else { return Vec::new() };
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn hmac_sha256(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

/// As Emarsys reads it: the digest is the base64 of the SHA-1's hexadecimal text, not of its bytes
/// (dev.emarsys.com/docs/core-api-reference, "Authentication"; the same in Segment's emarsys destination).
fn wsse(user: &str, secret: &str, moment: &Moment) -> String {
    let (nonce, created) = (&moment.nonce, moment.now.to_string());
    let digest = STANDARD.encode(Hash::Sha1Hex.of(&format!("{nonce}{created}{secret}")));
    format!("UsernameToken Username=\"{user}\", PasswordDigest=\"{digest}\", Nonce=\"{nonce}\", Created=\"{created}\"")
}

/// RFC 5849, 3.4 and 3.5.1; a JSON body is not part of the signature.
fn oauth1(given: &Given<'_>, method: &str, url: &str, moment: &Moment) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let seconds = moment.now.0.div_euclid(1_000_000).to_string();
    let own = [
        ("oauth_consumer_key", given.text("consumer_key")),
        ("oauth_nonce", moment.nonce.clone()),
        ("oauth_signature_method", "HMAC-SHA1".into()),
        ("oauth_timestamp", seconds),
        ("oauth_token", given.text("token")),
        ("oauth_version", "1.0".into()),
    ];
    // The query is percent-encoded already, as RFC 3986 has it.
    let mut all: Vec<(String, String)> = own.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    all.extend(query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())));
    all.sort();
    let parameters: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let signed = format!("{method}&{}&{}", encode(base), encode(&parameters.join("&")));
    let key = format!("{}&{}", encode(&given.text("consumer_secret")), encode(&given.text("token_secret")));
    let signature = STANDARD.encode(hmac_sha1(key.as_bytes(), signed.as_bytes()));
    let mut shown: Vec<String> = own.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
    shown.push(format!("oauth_signature=\"{}\"", encode(&signature)));
    format!("OAuth {}", shown.join(", "))
}
