//! The path of an artifact: the same in the URL, in the bundle and in the manifest.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// `pxe/configs/keepalived-lenovo1.conf`: relative, at most 255 bytes, segments of `[A-Za-z0-9._-]` that do not
/// begin with a dot or a dash. So it cannot express `..`, an empty segment, a hidden file, an option or a byte
/// that a URL, a shell or a file system would read differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ArtifactPath(String);

/// Why a text is no artifact path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no artifact path: it needs segments of letters, digits, `.`, `_` and `-`, none beginning with `.` or `-`, 255 bytes at most"
)]
pub struct BadPath(String);

impl ArtifactPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for ArtifactPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let good_segment = |segment: &str| {
            !segment.is_empty()
                && !segment.starts_with(['.', '-'])
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if text.len() <= 255 && text.split('/').all(good_segment) {
            Ok(ArtifactPath(text.to_owned()))
        } else {
            Err(BadPath(text.chars().take(80).collect()))
        }
    }
}

impl Borrow<str> for ArtifactPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
