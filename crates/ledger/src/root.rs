//! The root of a day: what is signed, exported and time-stamped.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::merkle::{Hash, hex, unhex};
use crate::{LedgerError, Result};

/// What the first day follows.
pub const NO_ROOT: Hash = [0; 32];

/// The root of one day's entries: of all of them once the day is closed, of the first `size` before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Root {
    /// Date, UTC.
    pub day: String,
    /// Entries that it covers.
    pub size: u64,
    /// Merkle root over them (RFC 6962), hexadecimal.
    pub root: String,
    /// Last link of the day's chain, hexadecimal.
    pub chain: String,
    /// SHA-256 of the statement of the day before, hexadecimal; zeros for the first.
    pub previous: String,
    /// Nothing more comes on this day.
    pub closed: bool,
    /// Ed25519 key that signed it, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Ed25519 signature of the statement, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Root {
    /// The text that is signed: six lines.
    pub fn statement(&self) -> String {
        let state = if self.closed { "closed" } else { "open" };
        let Root { day, size, root, chain, previous, .. } = self;
        format!("jumelle ledger root 1 {state}\n{day}\n{size}\n{root}\n{chain}\n{previous}\n")
    }

    /// What the next day refers to.
    pub fn digest(&self) -> Hash {
        Sha256::digest(self.statement()).into()
    }

    /// Signs it.
    pub fn sign(&mut self, key: Option<&SigningKey>) {
        if let Some(key) = key {
            self.public_key = Some(key.public_key());
            self.signature = Some(hex(key.0.sign(self.statement().as_bytes()).as_ref()));
        }
    }

    /// Whether its signature is one of the key that it names; `None`: it is not signed.
    pub fn is_signed(&self) -> Option<bool> {
        let (key, signature) = (self.public_key.as_ref()?, self.signature.as_ref()?);
        let valid = |key: Hash, signature: [u8; 64]| {
            UnparsedPublicKey::new(&ED25519, key).verify(self.statement().as_bytes(), &signature).is_ok()
        };
        Some(unhex(key).zip(unhex(signature)).is_some_and(|(key, signature)| valid(key, signature)))
    }
}

/// An Ed25519 key.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

impl SigningKey {
    /// From a PKCS #8 file in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    pub fn read(path: &Path) -> Result<SigningKey> {
        let refuse = |what: String| LedgerError::Key { path: path.display().to_string(), what };
        let der = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| refuse(error.to_string()))?;
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|error| refuse(error.to_string()))?;
        Ok(SigningKey(Arc::new(pair)))
    }

    /// An Ed25519 signature.
    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }

    /// Its public half, hexadecimal.
    pub fn public_key(&self) -> String {
        hex(self.0.public_key().as_ref())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key())
    }
}
