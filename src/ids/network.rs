//! What lives on the wire.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Invalid, text_newtype};

/// VRRP's virtual router id (RFC 5798 §5.2.3): 1 to 255, one per cluster on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct VirtualRouterId(u8);

impl VirtualRouterId {
    /// The id in everybody's example: kubeadm's, k3s' and the container images'.
    pub const EVERYBODYS: VirtualRouterId = VirtualRouterId(51);

    pub fn new(number: i64) -> Result<Self, Invalid> {
        match u8::try_from(number) {
            Ok(id) if id > 0 => Ok(VirtualRouterId(id)),
            _ => Err(Invalid::new(
                format!("{number} is not a virtual router id"),
                "choose 1 to 255, one that no other VRRP group on this network uses (RFC 5798)",
            )),
        }
    }
}

impl fmt::Display for VirtualRouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A VRRP priority: 1 to 254. 255 means "owns the address" and 0 "leaving" (RFC 5798 §5.2.4), neither is for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Priority(u8);

impl Priority {
    pub fn new(number: i64) -> Result<Self, Invalid> {
        match u8::try_from(number) {
            Ok(priority @ 1..=254) => Ok(Priority(priority)),
            _ => Err(Invalid::new(
                format!("{number} is not a VRRP priority"),
                "choose 1 to 254: 255 is for a router that owns the address, 0 says it is leaving (RFC 5798)",
            )),
        }
    }
}

impl Priority {
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_newtype!(
    /// The URL below which the router serves `/pxe/…`: `http://HOST[:PORT]`, without a path, query or final slash.
    BaseUrl,
    |text| {
        let help = "write http:// and the router's address, such as http://192.168.26.1 or http://192.168.26.1:8080";
        let bad = |why: &str| Invalid::new(format!("{text:?} {why}"), help);
        let authority = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => {
                return Err(Invalid::new(
                    format!("{text:?} is https, which iPXE and the FCOS installer cannot verify out of the box"),
                    "write http://…; what a node installs is verified by its hash",
                ));
            }
            _ => return Err(bad("is not an http URL")),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(bad("has more than a host and a port"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|number| number > 0)) {
            return Err(bad("has a bad port"));
        }
        let good_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.parse::<std::net::Ipv4Addr>().is_ok() || super::DnsName::from_str(host).is_ok(),
        };
        if good_host { Ok(format!("http://{authority}")) } else { Err(bad("has a bad host")) }
    }
);

text_newtype!(
    /// What OpenWRT calls a network or a firewall zone: at most 15 bytes of what uci takes as a name.
    UciName,
    |text| {
        let good = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                format!("{text:?} is not a network or firewall zone of OpenWRT"),
                "use 1 to 15 letters, digits and `_`, as in /etc/config/network and /etc/config/firewall",
            ))
        }
    }
);

impl BaseUrl {
    /// The router's address, when it is written by it and not by a name.
    pub fn address(&self) -> Option<IpAddr> {
        let authority = self.0.strip_prefix("http://")?;
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next()?,
            None => authority.split(':').next()?,
        };
        host.parse().ok()
    }
}

/// Addresses that DHCP hands out by itself, both ends included; of one family, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    pub fn first(&self) -> IpAddr {
        self.first
    }

    pub fn last(&self) -> IpAddr {
        self.last
    }
}

impl FromStr for AddressRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(
                format!("{text:?} is not an address range"),
                "write the first and the last address joined by a dash, such as 192.168.26.100-192.168.26.249",
            )
        };
        let (first, last) = text.split_once('-').ok_or_else(bad)?;
        let first: IpAddr = first.trim().parse().map_err(|_| bad())?;
        let last: IpAddr = last.trim().parse().map_err(|_| bad())?;
        if first.is_ipv4() == last.is_ipv4() && first <= last {
            Ok(AddressRange { first, last })
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}
