//! The URLs Ignition fetches from: which schemes, since when, and what each must look like.

use base64::Engine;

use crate::butane::schema::Minor;

pub const INVALID: &str = "unable to parse url";
pub const INVALID_SCHEME: &str = "invalid url scheme";

/// Schemes Ignition fetches from, and its version that began to.
const SCHEMES: &[(&str, Minor)] =
    &[("http", 0), ("https", 0), ("tftp", 0), ("s3", 0), ("data", 0), ("gs", 2), ("arn", 4)];

/// Checks a source that is not empty.
pub fn check(url: &str, minor: Minor) -> Result<(), &'static str> {
    let scheme = scheme(url)?;
    let known = SCHEMES.iter().any(|(name, since)| *name == scheme && *since <= minor);
    match scheme.as_str() {
        _ if !known => Err(INVALID_SCHEME),
        "s3" => s3(url),
        "arn" => arn(url),
        "data" => data(url),
        _ => Ok(()),
    }
}

/// The version that began to fetch from such a URL.
pub fn since(url: &str) -> Minor {
    let scheme = scheme(url).unwrap_or_default();
    SCHEMES.iter().find(|(name, _)| *name == scheme).map_or(0, |(_, since)| *since)
}

/// A Tang server or a proxy: HTTP and nothing else.
pub fn is_http(url: &str) -> Result<bool, &'static str> {
    Ok(matches!(scheme(url)?.as_str(), "http" | "https"))
}

/// The scheme in lower case, empty for a relative URL. Refuses what Go's `url.Parse` refuses.
pub fn scheme(url: &str) -> Result<String, &'static str> {
    if url.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(INVALID);
    }
    let (before_fragment, fragment) = url.split_once('#').unwrap_or((url, ""));
    if !is_escaped_well(fragment) {
        return Err(INVALID);
    }
    let (scheme, rest) = split_scheme(before_fragment)?;
    let rest = rest.split_once('?').map_or(rest, |(path, _)| path);
    let path = if let Some(authority) = rest.strip_prefix("//").filter(|_| !rest.starts_with("///")) {
        let (authority, path) = authority.find('/').map_or((authority, ""), |at| authority.split_at(at));
        check_authority(authority)?;
        path
    } else if scheme.is_empty() || rest.starts_with('/') {
        if scheme.is_empty()
            && !rest.starts_with('/')
            && rest.split('/').next().is_some_and(|s| s.contains(':'))
        {
            return Err(INVALID);
        }
        rest
    } else {
        // Opaque: `data:,x`, taken as it is.
        ""
    };
    if is_escaped_well(path) { Ok(scheme) } else { Err(INVALID) }
}

fn split_scheme(url: &str) -> Result<(String, &str), &'static str> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(INVALID),
            b':' => return Ok((url[..at].to_ascii_lowercase(), &url[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), url))
}

fn is_escaped_well(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user_ok = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(user_ok) || !is_escaped_well(user) {
        return Err(INVALID);
    }
    let port = if let Some(rest) = host.strip_prefix('[') {
        rest.split_once(']').ok_or(INVALID)?.1
    } else {
        // An escape in a host may only stand for a byte beyond ASCII (RFC 6874 aside).
        let mut escapes = host.split('%').skip(1);
        let ascii =
            escapes.any(|hex| !hex.starts_with(|c: char| matches!(c, '8'..='9' | 'a'..='f' | 'A'..='F')));
        let host_ok = |byte: u8| {
            byte >= 0x80 || byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]<>\"%".contains(&byte)
        };
        if ascii || !is_escaped_well(host) || !host.bytes().all(host_ok) {
            return Err(INVALID);
        }
        host.find(':').map_or("", |at| &host[at..])
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let port_ok =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.starts_with(':'));
    if port_ok { Ok(()) } else { Err(INVALID) }
}

/// A version id may be left out, not empty; the first one counts.
fn s3(url: &str) -> Result<(), &'static str> {
    let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    if pairs.find(|(name, _)| *name == "versionId") == Some(("versionId", "")) {
        Err("invalid S3 object VersionId")
    } else {
        Ok(())
    }
}

/// `arn:PARTITION:s3:REGION:ACCOUNT:` and `BUCKET/KEY` or `accesspoint/NAME/KEY`.
fn arn(url: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "invalid S3 ARN format";
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let mut parts = path.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next(), parts.nth(2));
    let (Some("s3"), Some(resource)) = (service, resource) else { return Err(MALFORMED) };
    let needed = if resource.starts_with("accesspoint/") { 3 } else { 2 };
    if resource.split('/').count() < needed {
        return Err(MALFORMED);
    }
    s3(url)
}

/// RFC 2397 as Ignition's reader of it has it, after the scheme.
fn data(url: &str) -> Result<(), &'static str> {
    let (head, body) = match url.strip_prefix("data:").ok_or("missing data prefix")?.split_once(',') {
        Some(parts) => parts,
        None if url == "data:" => return Err("missing comma before data"),
        None if url.contains('/') => return Err("incomplete media type"),
        None => return Err("missing media type slash"),
    };
    let is_base64 = is_base64(head)?;
    let body_ok = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"+/=".contains(&byte)
            || (!is_base64 && b"-_.!~*'();?:@&$,%".contains(&byte))
    };
    if !body.bytes().all(body_ok) {
        return Err("invalid data character");
    }
    if is_base64 {
        let decoded = base64::engine::general_purpose::STANDARD.decode(body);
        return decoded.map(|_| ()).map_err(|_| "illegal base64 data");
    }
    if is_escaped_well(body) { Ok(()) } else { Err("rfc2396: invalid char in unescape sequence") }
}

/// Reads `[TYPE/SUBTYPE][;NAME=VALUE]…[;base64]`.
fn is_base64(head: &str) -> Result<bool, &'static str> {
    /// RFC 2045 §5.1, without the types that came later.
    const TYPES: [&str; 7] = ["application", "audio", "image", "message", "multipart", "text", "video"];
    let is_token = |text: &str| {
        let is_token_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
        text.bytes().all(is_token_char)
    };
    let mut parts = head.split(';');
    let media_type = parts.next().unwrap_or("");
    if !media_type.is_empty() {
        let (kind, subtype) = media_type.split_once('/').ok_or("invalid character for media type")?;
        let is_known = TYPES.contains(&kind) || (kind.len() > 2 && kind.starts_with("x-") && is_token(kind));
        if !is_known || !is_token(subtype) {
            return Err("invalid media type");
        }
    }
    let mut is_base64 = false;
    for parameter in parts {
        match parameter.split_once('=') {
            _ if is_base64 || parameter.is_empty() => {
                return Err("invalid character for parameter attribute");
            }
            None if parameter == "base64" => is_base64 = true,
            None => return Err("expected base64"),
            Some((name, value)) => {
                let is_quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
                if name.is_empty() || !is_token(name) {
                    return Err("invalid character for parameter attribute");
                }
                if value.is_empty() || !(is_quoted || is_token(value)) {
                    return Err("invalid character for parameter value");
                }
            }
        }
    }
    Ok(is_base64)
}
