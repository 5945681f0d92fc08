//! What `efibootmgr -v` prints: which entry of a machine's firmware boots from the network.

use crate::ids::MacAddr;

/// An entry that starts from the network, by the four hex digits that efibootmgr knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEntry {
    pub number: String,
    pub label: String,
}

/// Words in the labels of firmwares whose device paths are their own (`VenMsg`, `BBS`).
const LABELS: &[&str] = &["pxe", "network", "lan", "ipv4", "ipv6"];

/// The entry to boot next. A card that the inventory names comes before one that it does not, PXE before HTTP boot (whose
/// address is in the entry), IPv4 before IPv6, an active entry before a dormant one, then the firmware's own order.
pub fn network_entry(efibootmgr: &str, macs: &[MacAddr]) -> Option<NetworkEntry> {
    let order: Vec<&str> = efibootmgr
        .lines()
        .find_map(|line| line.strip_prefix("BootOrder: "))
        .map(|order| order.trim().split(',').collect())
        .unwrap_or_default();
    let macs: Vec<String> = macs.iter().map(|mac| mac.to_string().replace(':', "")).collect();
    let rank = |entry: &Entry<'_>| {
        let path = entry.path.to_ascii_lowercase();
        let ours = macs.iter().position(|mac| path.contains(&format!("mac({mac}")));
        let other_family = !path.contains("ipv4(")
            && (path.contains("ipv6(") || entry.label.to_ascii_lowercase().contains("ipv6"));
        let place = order.iter().position(|number| *number == entry.number);
        (
            ours.unwrap_or(macs.len()),
            path.contains("uri("),
            other_family,
            !entry.active,
            place.unwrap_or(order.len()),
        )
    };
    let entries = efibootmgr.lines().filter_map(Entry::parse).filter(Entry::is_network);
    let best = entries.min_by_key(rank)?;
    Some(NetworkEntry { number: best.number.to_owned(), label: best.label.to_owned() })
}

/// `Boot0003* UEFI: PXE IPv4 …<TAB>PciRoot(0x0)/…`
struct Entry<'t> {
    number: &'t str,
    active: bool,
    label: &'t str,
    path: &'t str,
}

impl<'t> Entry<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let rest = line.strip_prefix("Boot")?;
        let number = rest.get(..4).filter(|number| number.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let rest = &rest[4..];
        let active = rest.starts_with('*');
        let rest = rest.strip_prefix('*').unwrap_or(rest).strip_prefix(' ')?;
        let (label, path) = rest.split_once('\t').unwrap_or((rest, ""));
        Some(Entry { number, active, label: label.trim(), path })
    }

    fn is_network(&self) -> bool {
        let path = self.path.to_ascii_lowercase();
        let label = self.label.to_ascii_lowercase();
        let mut words = label.split(|c: char| !c.is_ascii_alphanumeric());
        // A disk may be called anything; what has a file in its path starts from that.
        path.contains("/mac(")
            || !path.contains("file(") && !path.contains("hd(") && words.any(|word| LABELS.contains(&word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "BootCurrent: 0001\nTimeout: 1 seconds\nBootOrder: 0001,0005,0004,0003,0002,0006\n\
        Boot0001* Fedora\tHD(1,GPT,aa)/File(\\EFI\\fedora\\shimx64.efi)\n\
        Boot0002* UEFI HTTPv4\tPciRoot(0x0)/Pci(0x1,0x0)/MAC(525400123456,1)/IPv4(0.0.0.0)/Uri(http://x/)\n\
        Boot0003* UEFI PXEv6\tPciRoot(0x0)/Pci(0x1,0x0)/MAC(525400123456,1)/IPv6([::])\n\
        Boot0004* UEFI PXEv4\tPciRoot(0x0)/Pci(0x1,0x0)/MAC(525400123456,1)/IPv4(0.0.0.0)\n\
        Boot0005* UEFI PXEv4 other card\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(525400AAAAAA,1)/IPv4(0.0.0.0)\n\
        Boot0006* LAN disk\tHD(2,GPT,bb)/File(\\x.efi)\n";

    fn number(list: &str, mac: &str) -> Option<String> {
        network_entry(list, &[mac.parse().unwrap()]).map(|entry| entry.number)
    }

    #[test]
    fn the_card_of_the_inventory_by_pxe_and_ipv4_is_chosen() {
        assert_eq!(number(LIST, "52:54:00:12:34:56").as_deref(), Some("0004"));
        assert_eq!(number(LIST, "52:54:00:aa:aa:aa").as_deref(), Some("0005"));
        // No entry for this card: the firmware's order decides.
        assert_eq!(number(LIST, "52:54:00:bb:bb:bb").as_deref(), Some("0005"));
    }

    #[test]
    fn a_firmware_with_words_of_its_own_is_understood_by_its_labels() {
        let lenovo = "BootOrder: 0001,0002\nBoot0001* Fedora\tHD(1)/File(\\x)\nBoot0002  PCI LAN: IBA GE\tVenMsg(bc7838d2,0a)\n";
        assert_eq!(number(lenovo, "52:54:00:12:34:56").as_deref(), Some("0002"));
        let short = "Boot0000* Network Boot\nBoot0001* Planet\n";
        assert_eq!(number(short, "52:54:00:12:34:56").as_deref(), Some("0000"));
    }

    #[test]
    fn a_machine_without_such_an_entry_has_none() {
        for list in [
            "",
            "EFI variables are not supported on this system.\n",
            "Boot0001* Fedora\tHD(1)/File(\\x)\nBootNext: 0001\n",
        ] {
            assert_eq!(number(list, "52:54:00:12:34:56"), None, "{list}");
        }
    }
}
