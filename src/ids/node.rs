//! What names a machine and its parts.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, text_newtype};

/// One label of RFC 1123: 1 to 63 of `[a-z0-9-]`, not at an end a dash.
fn label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

text_newtype!(
    /// A host's short name (RFC 1123 label, lower case): Kubernetes refuses node names with capitals.
    HostName,
    |text| {
        if label(text) {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                format!("{text:?} is not a host name"),
                "use 1 to 63 of a-z, 0-9 and -, without a dash at an end (RFC 1123); the domain goes to network.domain",
            ))
        }
    }
);

text_newtype!(
    /// A DNS name: labels joined by dots, 253 bytes at most.
    DnsName,
    |text| {
        if text.len() <= 253 && text.split('.').all(label) && !text.split('.').all(|part| part.bytes().all(|b| b.is_ascii_digit())) {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(format!("{text:?} is not a DNS name"), "use labels of a-z, 0-9 and - joined by dots, as in lab.internal"))
        }
    }
);

text_newtype!(
    /// A Linux network interface: at most 15 bytes (IFNAMSIZ), VLANs as `eth0.26`.
    Interface,
    |text| {
        let good = (1..=15).contains(&text.len())
            && text != "."
            && text != ".."
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                format!("{text:?} is not a network interface"),
                "use what `ip link` shows on the machine, such as eth0, enp1s0 or eth0.26",
            ))
        }
    }
);

text_newtype!(
    /// A disk or partition below `/dev`, safe as a kernel argument.
    DevicePath,
    |text| {
        let good = text.len() <= 255
            && text.strip_prefix("/dev/").is_some_and(|rest| {
                rest.split('/').all(|part| {
                    !part.is_empty()
                        && part != "."
                        && part != ".."
                        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:+-".contains(&byte))
                })
            });
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                format!("{text:?} is not a device"),
                "write its path, such as /dev/nvme0n1, /dev/sda or /dev/disk/by-id/…",
            ))
        }
    }
);

text_newtype!(
    /// An absolute path on the node, without `.`/`..` segments and without bytes a unit or a script reads differently.
    NodePath,
    |text| {
        let good = text.len() <= 255
            && text.strip_prefix('/').is_some_and(|rest| {
                rest.split('/').all(|part| {
                    !part.is_empty()
                        && part != "."
                        && part != ".."
                        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
                })
            });
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                format!("{text:?} is not a path on the node"),
                "write an absolute path of letters, digits, `.`, `_` and `-`, such as /var/lib/longhorn",
            ))
        }
    }
);

text_newtype!(
    /// The name of a GPT partition, as `/dev/disk/by-partlabel/` shows it: 36 characters at most.
    PartitionLabel,
    |text| {
        let good = (1..=36).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(format!("{text:?} is not a partition label"), "use 1 to 36 letters, digits, `.`, `_` and `-`, such as longhorn"))
        }
    }
);

text_newtype!(
    /// One kernel argument: no blank, quote or control byte, since the command line is split at blanks.
    KernelArgument,
    |text| {
        let good = !text.is_empty()
            && text.len() <= 512
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\$#{}`".contains(&byte));
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                format!("{text:?} is not one kernel argument"),
                "write each argument as an entry of its own, without blanks, quotes, `$`, `#` or braces",
            ))
        }
    }
);

text_newtype!(
    /// A firmware serial number as SMBIOS shows it, with the blanks at its ends cut off.
    Serial,
    |text| {
        let trimmed = text.trim();
        let good = (1..=64).contains(&trimmed.len())
            && trimmed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" ._/:+-".contains(&byte));
        if good {
            Ok(trimmed.to_owned())
        } else {
            Err(Invalid::new(format!("{text:?} is not a serial number"), "copy /sys/class/dmi/id/product_serial; quote it in YAML"))
        }
    }
);

text_newtype!(
    /// A machine's SMBIOS UUID, in lower case with hyphens.
    MachineUuid,
    |text| {
        let lower = text.to_ascii_lowercase();
        let groups: Vec<&str> = lower.split('-').collect();
        let good = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if good {
            Ok(lower)
        } else {
            Err(Invalid::new(
                format!("{text:?} is not a UUID"),
                "write it as in /sys/class/dmi/id/product_uuid: 8-4-4-4-12 hex digits",
            ))
        }
    }
);

impl MachineUuid {
    /// With the bytes of its first three fields in the other order.
    pub fn swapped(&self) -> Self {
        let fields: Vec<&str> = self.0.splitn(4, '-').collect();
        let swap = |field: &str| -> String {
            (0..field.len()).step_by(2).rev().map(|at| &field[at..at + 2]).collect()
        };
        let [time_low, time_mid, time_high, rest] = fields[..] else { return self.clone() };
        MachineUuid(format!("{}-{}-{}-{rest}", swap(time_low), swap(time_mid), swap(time_high)))
    }
}

/// An Ethernet address; written `52:54:00:12:34:56`, read in any usual notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(macaddr::MacAddr6);

impl MacAddr {
    /// As iPXE's `${mac:hexhyp}`: `52-54-00-12-34-56`.
    pub fn hexhyp(&self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl FromStr for MacAddr {
    type Err = Invalid;

    /// Colons, hyphens, Cisco dots or bare hex, in either case.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let hint =
            "write six octets such as 52:54:00:12:34:56 (hyphens, Cisco dots or bare hex will do as well)";
        let bare: String = text.chars().filter(|c| !":-.".contains(*c)).collect();
        let notation = matches!(text.len(), 12 | 14 | 17) && bare.len() == 12 && bare.is_ascii();
        let octets = notation
            .then(|| {
                let mut octets = [0; 6];
                for (octet, index) in octets.iter_mut().zip((0..12).step_by(2)) {
                    *octet = u8::from_str_radix(&bare[index..index + 2], 16).ok()?;
                }
                Some(octets)
            })
            .flatten()
            .ok_or_else(|| Invalid::new(format!("{text:?} is not a MAC address"), hint))?;
        if octets[0] & 1 == 1 || octets == [0; 6] {
            // IEEE 802: the low bit of the first octet marks a group address, which no card has as its own.
            return Err(Invalid::new(
                format!("{text:?} is a group or null address, not the address of a network card"),
                "copy the address from `ip link` on the machine or from its label",
            ));
        }
        Ok(MacAddr(octets.into()))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text.to_ascii_lowercase())
    }
}

impl serde::Serialize for MacAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MacAddr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
