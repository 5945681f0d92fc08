//! `inline` and `local` contents → a `data:` URL in the shortest of three encodings.
//!
//! Owns the encodings (RFC 2397) and the deflate state, 300 kB that are made once per thread. The choice is Butane's:
//! plain first, base64 only if shorter, gzip only if shorter still including the `gzip` written next to it.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Bytes Go's deflate writer ends a stream with that ours does not (an empty stored block). Counted, so that the same
/// contents are compressed as in Butane.
const GO_TRAILER: usize = 5;

/// RFC 1952 §2.3: magic, deflate, no flags, no time, "slowest", unknown OS.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];

thread_local! {
    /// Scratch space: reset before every use, so nothing of one input reaches the next.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::best(), false));
}

/// A `data:` URL and whether its bytes are gzipped.
pub struct Encoded {
    pub url: String,
    pub gzipped: bool,
}

pub fn encode(contents: &[u8], may_compress: bool) -> Encoded {
    let plain_len = "data:,".len() + percent_encoded_len(contents);
    let base64_len = base64_url_len(contents.len());
    let best = plain_len.min(base64_len);
    if may_compress && let Some(packed) = gzip(contents, best) {
        return Encoded { url: base64_url(&packed), gzipped: true };
    }
    let url = if base64_len < plain_len { base64_url(contents) } else { percent_url(contents) };
    Encoded { url, gzipped: false }
}

/// `contents` gzipped, if that makes a URL shorter than `best`.
fn gzip(contents: &[u8], best: usize) -> Option<Vec<u8>> {
    const FRAME: usize = GZIP_HEADER.len() + 8;
    // Not even an empty deflate stream would fit.
    if base64_url_len(FRAME + GO_TRAILER) + "gzip".len() >= best {
        return None;
    }
    let mut packed = Vec::with_capacity(contents.len() / 2 + 64);
    packed.extend_from_slice(&GZIP_HEADER);
    DEFLATE.with_borrow_mut(|deflate| deflate_into(&mut packed, contents, deflate))?;
    let mut crc = Crc::new();
    crc.update(contents);
    packed.extend_from_slice(&crc.sum().to_le_bytes());
    packed.extend_from_slice(&(contents.len() as u32).to_le_bytes());
    (base64_url_len(packed.len() + GO_TRAILER) + "gzip".len() < best).then_some(packed)
}

fn deflate_into(packed: &mut Vec<u8>, contents: &[u8], deflate: &mut Compress) -> Option<()> {
    deflate.reset();
    loop {
        let done = deflate.total_in() as usize;
        packed.reserve(256);
        match deflate.compress_vec(&contents[done..], packed, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => return Some(()),
            Ok(Status::Ok | Status::BufError) => packed.reserve(packed.len()),
            Err(_) => return None,
        }
    }
}

const BASE64_PREFIX: &str = "data:;base64,";

fn base64_url_len(bytes: usize) -> usize {
    BASE64_PREFIX.len() + bytes.div_ceil(3) * 4
}

fn base64_url(bytes: &[u8]) -> String {
    let mut url = String::with_capacity(base64_url_len(bytes.len()));
    url.push_str(BASE64_PREFIX);
    STANDARD.encode_string(bytes, &mut url);
    url
}

/// RFC 2396 unreserved characters.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

fn percent_encoded_len(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| if is_unreserved(*byte) { 1 } else { 3 }).sum()
}

/// `data:,` and the percent-encoded bytes.
pub fn percent_url(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut url = String::with_capacity("data:,".len() + percent_encoded_len(bytes));
    url.push_str("data:,");
    for byte in bytes {
        if is_unreserved(*byte) {
            url.push(char::from(*byte));
        } else {
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    url
}
