//! Digests: SHA-256 names a generation (ETag, `?sha256=`, SHA256SUMS), SHA-512 is what Ignition verifies.

use std::fmt;
use std::io;
use std::str::FromStr;

use sha2::Digest as _;

/// A SHA-256, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

/// A SHA-512, written as 128 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha512([u8; 64]);

/// Both digests of one artifact, computed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    pub sha256: Sha256,
    pub sha512: Sha512,
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Digest { sha256: Sha256::of(bytes), sha512: Sha512(sha2::Sha512::digest(bytes).into()) }
    }
}

impl Sha256 {
    pub fn of(bytes: &[u8]) -> Self {
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// Of all that `reader` gives, telling how many bytes came at a time.
    pub fn of_reader(reader: &mut impl io::Read, progress: &mut dyn FnMut(u64)) -> io::Result<Self> {
        /// Enough that the system call costs nothing beside the hash.
        const CHUNK: usize = 256 * 1024;
        let mut chunk = vec![0; CHUNK];
        let mut hash = sha2::Sha256::new();
        loop {
            match reader.read(&mut chunk)? {
                0 => return Ok(Sha256(hash.finalize().into())),
                length => {
                    hash.update(&chunk[..length]);
                    progress(length as u64);
                }
            }
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Sha512 {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Sha256 {
    type Err = ();

    /// Lower or upper case, exactly 64 hex digits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| (digit as char).to_digit(16).ok_or(());
            *byte = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
        }
        Ok(Sha256(bytes))
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Display for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl serde::Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Sha256 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("a SHA-256 has 64 hex digits"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256-{self}")
    }
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha512-{self}")
    }
}
