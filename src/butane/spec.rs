//! Which variants and versions exist, and what sets them apart.
//!
//! A version is a row. Whatever the Ignition version alone decides is in [`super::schema`]; here is only what
//! the pair of variant and version decides.

use super::schema::{Gate, Minor};

/// One spec: a variant at a version, and the Ignition 3.x it compiles to.
#[derive(Debug)]
pub struct Spec {
    pub variant: Variant,
    pub version: &'static str,
    pub minor: Minor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Fcos,
    Flatcar,
    RhelForEdge,
    FedoraIot,
}

/// The Ignition spec that is still open to change; everything below it is stable.
const EXPERIMENTAL: Minor = 7;

const fn spec(variant: Variant, version: &'static str, minor: Minor) -> Spec {
    Spec { variant, version, minor }
}

static SPECS: &[Spec] = &[
    spec(Variant::Fcos, "1.0.0", 0),
    spec(Variant::Fcos, "1.1.0", 1),
    spec(Variant::Fcos, "1.2.0", 2),
    spec(Variant::Fcos, "1.3.0", 2),
    spec(Variant::Fcos, "1.4.0", 3),
    spec(Variant::Fcos, "1.5.0", 4),
    spec(Variant::Fcos, "1.6.0", 5),
    spec(Variant::Fcos, "1.7.0", 6),
    spec(Variant::Fcos, "1.8.0-experimental", 7),
    spec(Variant::Flatcar, "1.0.0", 3),
    spec(Variant::Flatcar, "1.1.0", 4),
    spec(Variant::Flatcar, "1.2.0-experimental", 7),
    spec(Variant::RhelForEdge, "1.0.0", 3),
    spec(Variant::RhelForEdge, "1.1.0", 4),
    spec(Variant::RhelForEdge, "1.2.0-experimental", 7),
    spec(Variant::FedoraIot, "1.0.0", 4),
    spec(Variant::FedoraIot, "1.1.0-experimental", 7),
];

/// A generated field a variant has no use for: its path in the Ignition config, and what to say.
pub type Forbidden = (&'static [&'static str], &'static str);

/// Image-based systems whose disks are laid out before Ignition runs.
static FORBIDDEN_ON_EDGE: &[Forbidden] = &[
    (&["kernel_arguments"], "kernel argument customization is not supported in this spec version"),
    (&["storage", "disks"], "disk customization is not supported in this spec version"),
    (&["storage", "filesystems"], "filesystem customization is not supported in this spec version"),
    (&["storage", "luks"], "luks customization is not supported in this spec version"),
    (&["storage", "raid"], "raid customization is not supported in this spec version"),
];

impl Spec {
    /// The spec called `variant` at exactly `version`, or why there is none.
    pub fn find(variant: &str, version: &str) -> Result<&'static Spec, String> {
        if variant.is_empty() {
            return Err("error parsing variant; must be specified".into());
        }
        if !is_semver(version) {
            return Err("error parsing version; must be a valid semver".into());
        }
        let wanted = match variant {
            "fcos" => Variant::Fcos,
            "flatcar" => Variant::Flatcar,
            "r4e" => Variant::RhelForEdge,
            "fiot" => Variant::FedoraIot,
            "openshift" => {
                return Err(
                    "variant openshift is not supported: it compiles to a MachineConfig for a cluster, \
                            not to an Ignition config a machine could boot"
                        .into(),
                );
            }
            "rhcos" if version == "0.1.0" => {
                return Err("rhcos variant has been removed; use openshift variant instead: \
                            https://coreos.github.io/butane/upgrading-openshift/"
                    .into());
            }
            _ => return Err(no_translator(variant, version)),
        };
        let mut specs = SPECS.iter();
        specs
            .find(|spec| spec.variant == wanted && spec.version == version)
            .ok_or_else(|| no_translator(variant, version))
    }

    /// `3.4.0`, or `3.7.0-experimental`.
    pub fn ignition_version(&self) -> String {
        ignition_version(self.minor)
    }

    pub fn has(&self, gate: Gate) -> bool {
        match gate {
            Gate::Open => true,
            // 1.2 and 1.3 compile to the same Ignition version.
            Gate::BootDevice => self.variant == Variant::Fcos && self.minor >= 2 && self.version != "1.2.0",
            Gate::Grub => self.variant == Variant::Fcos && self.minor >= 4,
        }
    }

    /// Whether the config is for a CoreOS image, whose boot disk has partitions of known labels.
    pub fn knows_boot_disk(&self) -> bool {
        self.variant == Variant::Fcos
    }

    pub fn forbidden(&self) -> &'static [Forbidden] {
        match self.variant {
            Variant::Fcos | Variant::Flatcar => &[],
            Variant::RhelForEdge | Variant::FedoraIot => FORBIDDEN_ON_EDGE,
        }
    }

    /// A field of every LUKS volume the variant cannot honour.
    pub fn forbidden_in_luks(&self) -> Option<(&'static str, &'static str)> {
        match (self.variant, self.minor) {
            (Variant::Flatcar, ..=4) => Some(("clevis", "clevis is not supported in this spec version")),
            (Variant::Flatcar, _) => Some(("cex", "cex is not supported in this spec version")),
            _ => None,
        }
    }
}

pub fn ignition_version(minor: Minor) -> String {
    if minor == EXPERIMENTAL { format!("3.{minor}.0-experimental") } else { format!("3.{minor}.0") }
}

/// The minor of a stable Ignition version this module knows.
pub fn stable_minor(version: &str) -> Option<Minor> {
    (0..EXPERIMENTAL).find(|minor| ignition_version(*minor) == version)
}

fn no_translator(variant: &str, version: &str) -> String {
    format!("No translator exists for variant {variant} with version {version}")
}

/// `MAJOR.MINOR.PATCH[-PRE][+META]` (semver.org §2, without its rule about leading zeros).
fn is_semver(version: &str) -> bool {
    let core = version.split_once(['-', '+']).map_or(version, |(core, _)| core);
    let mut numbers = 0;
    core.split('.').all(|part| {
        numbers += 1;
        part.parse::<i64>().is_ok_and(|number| number >= 0) && !part.starts_with('+')
    }) && numbers == 3
}
