//! Every field of every spec version, as one table.
//!
//! A row says what a field is called in YAML and in Ignition's JSON, what type it has, from which Ignition
//! version it exists, and when it is printed. The table drives reading YAML, reading JSON, finding unknown
//! keys, merging, finding duplicates, the order and omission of keys in the output, and
//! [`super::lowest`]. Nothing here is ever copied for a new version: a new version adds rows.
//!
//! Rows are in the order Ignition prints them: alphabetical by its Go field names, except that files,
//! directories and links start with the fields they share.

/// The minor number of an Ignition 3.x version: `2` is 3.2.0.
pub type Minor = u8;

/// One kind of mapping.
#[derive(Debug)]
pub struct Shape {
    pub kind: Kind,
    pub key: Key,
    /// Lists whose entries share one namespace: an entry may be in one of them only.
    pub namespace: &'static [&'static str],
    pub fields: &'static [Field],
}

/// The shapes that some rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Config,
    IgnitionConfig,
    Reference,
    Contents,
    Header,
    Proxy,
    Tls,
    User,
    Storage,
    Directory,
    File,
    Link,
    Owner,
    Disk,
    Partition,
    Filesystem,
    Luks,
    Clevis,
    Custom,
    Tang,
    Raid,
    Systemd,
    Unit,
    Dropin,
    Tree,
    Quadlet,
    BootDevice,
    GrubUser,
    Plain,
}

/// What makes two entries of a list the same entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    None,
    Field(&'static str),
    /// The number, or the label when the number is 0.
    Partition,
}

#[derive(Debug)]
pub struct Field {
    pub yaml: &'static str,
    pub json: &'static str,
    pub ty: Type,
    pub since: Minor,
    pub presence: Presence,
    pub side: Side,
    pub gate: Gate,
    /// A list that is concatenated by a merge and may repeat itself.
    pub free: bool,
}

#[derive(Debug)]
pub enum Type {
    Bool,
    Int,
    Text,
    List(&'static Type),
    Record(&'static Shape),
}

/// When a field is printed. Lists and records are left out when empty whatever this says, unless kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// When it was given, even if it is false, 0 or empty.
    Given,
    /// When it is not 0 or empty.
    NotZero,
    Always,
    /// `Always` in versions before this one, then `Given`.
    AlwaysBefore(Minor),
    /// A record: in this version an empty one is printed as `{}`.
    KeptEmptyIn(Minor),
    /// Text: in versions before this one an absent one is printed as `null`.
    NullBefore(Minor),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Both,
    /// Butane only: translation consumes it.
    Butane,
    /// Ignition only.
    Ignition,
}

/// Sections that only some variants have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    BootDevice,
    Grub,
}

const fn field(yaml: &'static str, json: &'static str, ty: Type) -> Field {
    let (presence, side, gate) = (Presence::Given, Side::Both, Gate::Open);
    Field { yaml, json, ty, since: 0, presence, side, gate, free: false }
}

const fn text(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Type::Text)
}

const fn int(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Type::Int)
}

const fn bool(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Type::Bool)
}

const fn texts(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Type::List(&Type::Text))
}

const fn list(yaml: &'static str, json: &'static str, of: &'static Type) -> Field {
    field(yaml, json, Type::List(of))
}

const fn record(yaml: &'static str, json: &'static str, shape: &'static Shape) -> Field {
    field(yaml, json, Type::Record(shape))
}

/// A field Ignition never sees.
const fn sugar(mut field: Field) -> Field {
    field.side = Side::Butane;
    field
}

impl Field {
    const fn since(mut self, minor: Minor) -> Self {
        self.since = minor;
        self
    }

    const fn printed(mut self, presence: Presence) -> Self {
        self.presence = presence;
        self
    }

    const fn always(self) -> Self {
        self.printed(Presence::Always)
    }

    const fn gated(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    const fn free(mut self) -> Self {
        self.free = true;
        self
    }
}

impl Shape {
    const fn new(kind: Kind, key: Key, fields: &'static [Field]) -> Self {
        Shape { kind, key, namespace: &[], fields }
    }

    const fn plain(fields: &'static [Field]) -> Self {
        Shape::new(Kind::Plain, Key::None, fields)
    }

    const fn sharing(mut self, namespace: &'static [&'static str]) -> Self {
        self.namespace = namespace;
        self
    }

    pub fn index(&self, yaml: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.yaml == yaml)
    }
}

pub static CONFIG: Shape = Shape::new(
    Kind::Config,
    Key::None,
    &[
        sugar(record("boot_device", "", &BOOT_DEVICE)).gated(Gate::BootDevice),
        sugar(record("grub", "", &GRUB)).gated(Gate::Grub),
        record("ignition", "ignition", &IGNITION),
        record("kernel_arguments", "kernelArguments", &KERNEL_ARGUMENTS).since(3),
        record("passwd", "passwd", &PASSWD),
        record("storage", "storage", &STORAGE),
        record("systemd", "systemd", &SYSTEMD),
        sugar(text("variant", "")),
        sugar(text("version", "")),
    ],
);

pub static IGNITION: Shape = Shape::plain(&[
    record("config", "config", &IGNITION_CONFIG),
    record("proxy", "proxy", &PROXY).since(1),
    record("security", "security", &SECURITY),
    record("timeouts", "timeouts", &TIMEOUTS),
    Field { side: Side::Ignition, ..text("version", "version") },
]);

static IGNITION_CONFIG: Shape = Shape::new(
    Kind::IgnitionConfig,
    Key::None,
    &[list("merge", "merge", &Type::Record(&REFERENCE)), record("replace", "replace", &REFERENCE)],
);

static PROXY: Shape = Shape::new(
    Kind::Proxy,
    Key::None,
    &[text("http_proxy", "httpProxy"), text("https_proxy", "httpsProxy"), texts("no_proxy", "noProxy")],
);

static SECURITY: Shape = Shape::plain(&[record("tls", "tls", &TLS)]);

static TLS: Shape = Shape::new(
    Kind::Tls,
    Key::None,
    &[list("certificate_authorities", "certificateAuthorities", &Type::Record(&REFERENCE))],
);

static TIMEOUTS: Shape =
    Shape::plain(&[int("http_response_headers", "httpResponseHeaders"), int("http_total", "httpTotal")]);

/// Another config, or a certificate authority. In 3.0 it had nothing but a source and a hash.
static REFERENCE: Shape = Shape::new(
    Kind::Reference,
    Key::Field("source"),
    &[
        text("compression", "compression").since(1),
        list("http_headers", "httpHeaders", &Type::Record(&HEADER)).since(1),
        sugar(text("inline", "")).since(1),
        sugar(text("local", "")).since(1),
        text("source", "source").printed(Presence::NullBefore(1)),
        record("verification", "verification", &VERIFICATION),
    ],
);

/// The contents of a file or key file.
pub static CONTENTS: Shape = Shape::new(
    Kind::Contents,
    Key::Field("source"),
    &[
        text("compression", "compression"),
        list("http_headers", "httpHeaders", &Type::Record(&HEADER)).since(1),
        sugar(text("inline", "")),
        sugar(text("local", "")).since(1),
        text("source", "source"),
        record("verification", "verification", &VERIFICATION),
    ],
);

static HEADER: Shape =
    Shape::new(Kind::Header, Key::Field("name"), &[text("name", "name").always(), text("value", "value")]);

static VERIFICATION: Shape = Shape::plain(&[text("hash", "hash")]);

static KERNEL_ARGUMENTS: Shape =
    Shape::plain(&[texts("should_exist", "shouldExist"), texts("should_not_exist", "shouldNotExist")])
        .sharing(&["should_exist", "should_not_exist"]);

static PASSWD: Shape = Shape::plain(&[
    list("groups", "groups", &Type::Record(&GROUP)),
    list("users", "users", &Type::Record(&USER)),
]);

static GROUP: Shape = Shape::new(
    Kind::Plain,
    Key::Field("name"),
    &[
        int("gid", "gid"),
        text("name", "name").always(),
        text("password_hash", "passwordHash"),
        bool("should_exist", "shouldExist").since(2),
        bool("system", "system"),
    ],
);

static USER: Shape = Shape::new(
    Kind::User,
    Key::Field("name"),
    &[
        text("gecos", "gecos"),
        texts("groups", "groups"),
        text("home_dir", "homeDir"),
        text("name", "name").always(),
        bool("no_create_home", "noCreateHome"),
        bool("no_log_init", "noLogInit"),
        bool("no_user_group", "noUserGroup"),
        text("password_hash", "passwordHash"),
        text("primary_group", "primaryGroup"),
        texts("ssh_authorized_keys", "sshAuthorizedKeys"),
        sugar(texts("ssh_authorized_keys_local", "")).since(4),
        text("shell", "shell"),
        bool("should_exist", "shouldExist").since(2),
        bool("system", "system"),
        int("uid", "uid"),
    ],
);

pub static STORAGE: Shape = Shape::new(
    Kind::Storage,
    Key::None,
    &[
        list("directories", "directories", &Type::Record(&DIRECTORY)),
        list("disks", "disks", &Type::Record(&DISK)),
        list("files", "files", &Type::Record(&FILE)),
        list("filesystems", "filesystems", &Type::Record(&FILESYSTEM)),
        list("links", "links", &Type::Record(&LINK)),
        list("luks", "luks", &Type::Record(&LUKS)).since(2),
        list("raid", "raid", &Type::Record(&RAID)),
        sugar(list("trees", "", &Type::Record(&TREE))).since(1),
    ],
)
.sharing(&["directories", "files", "links"]);

pub static DIRECTORY: Shape = Shape::new(
    Kind::Directory,
    Key::Field("path"),
    &[
        record("group", "group", &OWNER),
        bool("overwrite", "overwrite"),
        text("path", "path").always(),
        record("user", "user", &OWNER),
        int("mode", "mode"),
    ],
);

pub static FILE: Shape = Shape::new(
    Kind::File,
    Key::Field("path"),
    &[
        record("group", "group", &OWNER),
        bool("overwrite", "overwrite"),
        text("path", "path").always(),
        record("user", "user", &OWNER),
        list("append", "append", &Type::Record(&CONTENTS)).free(),
        record("contents", "contents", &CONTENTS),
        int("mode", "mode"),
    ],
);

pub static LINK: Shape = Shape::new(
    Kind::Link,
    Key::Field("path"),
    &[
        record("group", "group", &OWNER),
        bool("overwrite", "overwrite"),
        text("path", "path").always(),
        record("user", "user", &OWNER),
        bool("hard", "hard"),
        text("target", "target").printed(Presence::AlwaysBefore(3)),
    ],
);

pub static OWNER: Shape = Shape::new(Kind::Owner, Key::None, &[int("id", "id"), text("name", "name")]);

pub static DISK: Shape = Shape::new(
    Kind::Disk,
    Key::Field("device"),
    &[
        text("device", "device").always(),
        list("partitions", "partitions", &Type::Record(&PARTITION)),
        bool("wipe_table", "wipeTable"),
    ],
);

pub static PARTITION: Shape = Shape::new(
    Kind::Partition,
    Key::Partition,
    &[
        text("guid", "guid"),
        text("label", "label"),
        int("number", "number").printed(Presence::NotZero),
        bool("resize", "resize").since(2),
        bool("should_exist", "shouldExist"),
        int("size_mib", "sizeMiB"),
        int("start_mib", "startMiB"),
        text("type_guid", "typeGuid"),
        bool("wipe_partition_entry", "wipePartitionEntry"),
    ],
);

pub static FILESYSTEM: Shape = Shape::new(
    Kind::Filesystem,
    Key::Field("device"),
    &[
        text("device", "device").always(),
        text("format", "format"),
        text("label", "label"),
        texts("mount_options", "mountOptions").since(1).free(),
        texts("options", "options").free(),
        text("path", "path"),
        text("uuid", "uuid"),
        bool("wipe_filesystem", "wipeFilesystem"),
        sugar(bool("with_mount_unit", "")).since(1),
    ],
);

pub static LUKS: Shape = Shape::new(
    Kind::Luks,
    Key::Field("name"),
    &[
        record("cex", "cex", &CEX).since(5),
        record("clevis", "clevis", &CLEVIS).printed(Presence::KeptEmptyIn(2)),
        text("device", "device"),
        bool("discard", "discard").since(4),
        record("key_file", "keyFile", &CONTENTS),
        text("label", "label"),
        text("name", "name").always(),
        texts("open_options", "openOptions").since(4).free(),
        texts("options", "options").free(),
        text("uuid", "uuid"),
        bool("wipe_volume", "wipeVolume"),
    ],
);

static CEX: Shape = Shape::plain(&[bool("enabled", "enabled")]);

pub static CLEVIS: Shape = Shape::new(
    Kind::Clevis,
    Key::None,
    &[
        record("custom", "custom", &CUSTOM).printed(Presence::KeptEmptyIn(2)),
        list("tang", "tang", &Type::Record(&TANG)),
        int("threshold", "threshold"),
        bool("tpm2", "tpm2"),
    ],
);

static CUSTOM: Shape = Shape::new(
    Kind::Custom,
    Key::None,
    &[
        text("config", "config").printed(Presence::AlwaysBefore(3)),
        bool("needs_network", "needsNetwork"),
        text("pin", "pin").printed(Presence::AlwaysBefore(3)),
    ],
);

static TANG: Shape = Shape::new(
    Kind::Tang,
    Key::Field("url"),
    &[
        text("advertisement", "advertisement").since(4),
        text("thumbprint", "thumbprint"),
        text("url", "url").printed(Presence::NotZero),
    ],
);

pub static RAID: Shape = Shape::new(
    Kind::Raid,
    Key::Field("name"),
    &[
        texts("devices", "devices"),
        text("level", "level").printed(Presence::AlwaysBefore(3)),
        text("name", "name").always(),
        texts("options", "options").free(),
        int("spares", "spares"),
    ],
);

pub static SYSTEMD: Shape = Shape::new(
    Kind::Systemd,
    Key::None,
    &[
        sugar(list("quadlets", "", &Type::Record(&QUADLET))).since(7),
        list("units", "units", &Type::Record(&UNIT)),
    ],
);

pub static UNIT: Shape = Shape::new(
    Kind::Unit,
    Key::Field("name"),
    &[
        text("contents", "contents"),
        sugar(text("contents_local", "")).since(4),
        list("dropins", "dropins", &Type::Record(&DROPIN)),
        bool("enabled", "enabled"),
        bool("mask", "mask"),
        text("name", "name").always(),
    ],
);

static DROPIN: Shape = Shape::new(
    Kind::Dropin,
    Key::Field("name"),
    &[
        text("contents", "contents"),
        sugar(text("contents_local", "")).since(4),
        text("name", "name").always(),
    ],
);

static QUADLET: Shape = Shape::new(
    Kind::Quadlet,
    Key::Field("name"),
    &[
        text("contents", ""),
        text("contents_local", ""),
        list("dropins", "", &Type::Record(&DROPIN)),
        text("name", ""),
        bool("rootful", ""),
    ],
);

static TREE: Shape = Shape::new(
    Kind::Tree,
    Key::None,
    &[
        int("dir_mode", "").since(6),
        int("file_mode", "").since(6),
        record("group", "", &OWNER).since(6),
        text("local", ""),
        text("path", ""),
        record("user", "", &OWNER).since(6),
    ],
);

static BOOT_DEVICE: Shape = Shape::new(
    Kind::BootDevice,
    Key::None,
    &[text("layout", ""), record("luks", "", &BOOT_LUKS), record("mirror", "", &BOOT_MIRROR)],
);

static BOOT_LUKS: Shape = Shape::plain(&[
    record("cex", "", &CEX).since(5),
    text("device", "").since(5),
    bool("discard", "").since(4),
    list("tang", "", &Type::Record(&TANG)),
    int("threshold", ""),
    bool("tpm2", ""),
]);

static BOOT_MIRROR: Shape = Shape::plain(&[texts("devices", "")]);

static GRUB: Shape = Shape::plain(&[list("users", "", &Type::Record(&GRUB_USER))]);

static GRUB_USER: Shape =
    Shape::new(Kind::GrubUser, Key::Field("name"), &[text("name", ""), text("password_hash", "")]);
