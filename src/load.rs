//! Reads everything a site is made of from disk and environment, and renders it.
//!
//! All sources are read, whatever is wrong with one, so that one look shows every mistake. Costs one pass over the
//! inputs; nothing is kept between loads.

#![expect(clippy::disallowed_methods, reason = "loading is what touches files and environment")]

mod digests;
mod static_files;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rust_embed::RustEmbed;

use crate::catalogue::ArtifactPath;
use crate::document::At;
use crate::generation::{Generation, Loaded};
use crate::ids::Invalid;
use crate::inventory::{
    self, AuthPass, DrainKubeconfig, HmacKey, Inventory, K3sToken, SecretReference, Secrets,
};
use crate::render::{self, Site, TemplateSource, Templates};
use crate::report::{Finding, Report};

pub use digests::Digests;
pub use static_files::Hashing;

/// A file of templates larger than this is none.
const MAX_TEMPLATE_BYTES: u64 = 1024 * 1024;
/// A secret is a line.
const MAX_SECRET_BYTES: u64 = 4096;

#[derive(RustEmbed)]
#[folder = "templates/"]
struct Embedded;

/// Where everything that bytes depend on comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    pub inventory: PathBuf,
    pub templates: Option<PathBuf>,
    pub static_dir: Option<PathBuf>,
}

/// How far the reading of static files is, in bytes of all that are to be read.
#[derive(Debug)]
pub struct Progress<'p> {
    pub path: &'p ArtifactPath,
    pub done: u64,
    pub total: u64,
}

/// Reads, checks and renders; the generation is there when the report has no error.
pub fn load(sources: &Sources) -> Loaded {
    load_with(sources, &Arc::default(), Hashing::Now(&mut |_| {}))
}

/// The same, with what earlier loads know of the static files.
pub fn load_with(sources: &Sources, digests: &Arc<Digests>, hashing: Hashing<'_>) -> Loaded {
    let mut loader = Loader { report: Report::new(), inputs: BTreeSet::new() };
    let inventory = loader.inventory(&sources.inventory);
    let templates = loader.templates(sources.templates.as_deref());
    let mut found = sources.static_dir.as_deref().map(|folder| loader.static_files(folder));
    let folder = sources.inventory.parent().unwrap_or(Path::new(""));
    let secrets = inventory.as_ref().and_then(|inventory| loader.secrets(inventory, folder));
    let images = inventory
        .as_ref()
        .and_then(|inventory| loader.images(&inventory.fcos, &inventory.hosts, found.as_ref()));
    let offline = inventory.as_ref().and_then(|inventory| inventory.k3s.offline.as_ref());
    let archive = inventory.as_ref().and_then(|inventory| inventory.keepalived.image_archive.as_ref());
    let needed: Vec<_> = offline
        .iter()
        .flat_map(|offline| offline.paths())
        .chain(archive.map(|archive| &archive.value))
        .collect();
    let unfinished = found.as_mut().and_then(|found| loader.digests(found, &needed, digests, hashing));
    let Loader { mut report, inputs } = loader;
    let generation = match (inventory, secrets, images) {
        (Some(inventory), Some(secrets), Some(images)) if !report.has_errors() => {
            let static_files = found.map(|found| found.files);
            let site = Site { inventory, images, secrets, templates, static_files };
            let rendered = render::render(&site);
            report.extend(rendered.report);
            let static_dir = sources.static_dir.clone();
            rendered.catalogue.map(|catalogue| Generation {
                inventory: site.inventory,
                catalogue,
                static_dir,
            })
        }
        _ => None,
    };
    Loaded { generation, report, inputs, unfinished }
}

/// The inventory alone, for verbs that need neither templates nor secrets; it is there when the report has no error.
pub fn inventory(file: &Path) -> (Option<Inventory>, Report) {
    let mut loader = Loader { report: Report::new(), inputs: BTreeSet::new() };
    let inventory = loader.inventory(file);
    (inventory, loader.report)
}

struct Loader {
    report: Report,
    inputs: BTreeSet<PathBuf>,
}

impl Loader {
    fn inventory(&mut self, file: &Path) -> Option<Inventory> {
        let bytes = self.read(file, crate::document::MAX_BYTES as u64)?;
        let (inventory, report) = inventory::parse(&file.display().to_string(), &bytes);
        self.report.extend(report);
        inventory
    }

    /// Reads a file of at most `limit` bytes; one that cannot be read, or is longer, is a finding.
    fn read(&mut self, file: &Path, limit: u64) -> Option<Vec<u8>> {
        match self.read_or_why(file, limit) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.unreadable(file, &error);
                None
            }
        }
    }

    fn read_or_why(&mut self, file: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
        use std::io::Read as _;
        self.inputs.insert(file.to_owned());
        let mut bytes = Vec::new();
        // One byte more tells a file that is too long from one that just fits.
        std::fs::File::open(file)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let message = format!("it is longer than the {limit} bytes that are read");
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }

    fn unreadable(&mut self, file: &Path, error: &std::io::Error) {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "create the file, or say where it is; --help lists the options",
            std::io::ErrorKind::PermissionDenied => "let the user that runs pxe-serve read it",
            std::io::ErrorKind::FileTooLarge => {
                "is this the right file? What is read here is written by hand"
            }
            _ => "look at the disk and at the path",
        };
        self.report
            .push(Finding::error(file.display().to_string(), format!("cannot be read: {error}")).help(help));
    }

    /// Ours, with the user's laid over them file by file.
    fn templates(&mut self, folder: Option<&Path>) -> Templates {
        let mut templates = Templates::default();
        for name in Embedded::iter() {
            let Some(file) = Embedded::get(&name) else { continue };
            let Ok(text) = String::from_utf8(file.data.into_owned()) else { continue };
            let file = format!("templates/{name} (built in)");
            add_template(&mut templates, &name, TemplateSource { file, text, built_in: true });
        }
        let mut files = BTreeMap::new();
        if let Some(folder) = folder {
            self.walk(folder, folder, &mut files);
        }
        for (name, file) in files {
            let Some(bytes) = self.read(&file, MAX_TEMPLATE_BYTES) else { continue };
            match String::from_utf8(bytes) {
                Ok(text) => {
                    let file = file.display().to_string();
                    add_template(&mut templates, &name, TemplateSource { file, text, built_in: false });
                }
                Err(_) => {
                    let finding = Finding::error(file.display().to_string(), "is not UTF-8");
                    self.report.push(finding.help("save the template as UTF-8"));
                }
            }
        }
        templates
    }

    /// Regular files below `folder`, by their path relative to `root`. Symlinks to files are followed, since
    /// configuration is often mounted that way; to folders they are not, since they may lead in circles.
    fn walk(&mut self, root: &Path, folder: &Path, files: &mut BTreeMap<String, PathBuf>) {
        self.inputs.insert(folder.to_owned());
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(folder, &error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.unreadable(folder, &error),
            };
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_link && !path.is_file() {
                let what = if path.is_dir() {
                    "is a link to a folder, which is not followed"
                } else {
                    "is a link that leads nowhere"
                };
                let help = "name the folder that it leads to, or mount it here";
                self.report.push(Finding::note(path.display().to_string(), what).help(help));
            } else if path.is_dir() {
                self.walk(root, &path, files);
            } else if path.is_file()
                && let Ok(name) = path.strip_prefix(root)
            {
                files.insert(name.to_string_lossy().into_owned(), path);
            }
        }
    }

    /// The values behind the references. What is wrong with one is said at its reference, without the value.
    fn secrets(&mut self, inventory: &Inventory, folder: &Path) -> Option<Secrets> {
        let keepalived = &inventory.keepalived;
        let auth_pass = self.optional_secret(keepalived.auth_pass.as_ref(), folder, AuthPass::parse);
        let auth_hmac = self.optional_secret(keepalived.auth_hmac.as_ref(), folder, HmacKey::parse);
        let k3s_token = self.secret(&inventory.k3s.token, folder, K3sToken::parse);
        let drain = inventory.updates.drain_kubeconfig.as_ref();
        let drain_kubeconfig = self.optional_secret(drain, folder, DrainKubeconfig::parse);
        Some(Secrets {
            auth_pass: auth_pass?,
            auth_hmac: auth_hmac?,
            k3s_token: k3s_token?,
            drain_kubeconfig: drain_kubeconfig?,
        })
    }

    /// `Some(None)` when the inventory asks for none; `None` when what it asks for cannot be had.
    fn optional_secret<T>(
        &mut self,
        reference: Option<&At<SecretReference>>,
        folder: &Path,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        match reference {
            Some(reference) => self.secret(reference, folder, parse).map(Some),
            None => Some(None),
        }
    }

    fn secret<T>(
        &mut self,
        reference: &At<SecretReference>,
        folder: &Path,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let text = match &reference.value {
            SecretReference::Env(name) => std::env::var(name).map_err(|_| {
                Invalid::new(
                    format!("the environment has no {name}"),
                    format!("set {name} for the process, or point to a file"),
                )
            }),
            SecretReference::File(file) => self.secret_file(&folder.join(file)),
        };
        let is_public = text.as_ref().is_ok_and(|text| PUBLISHED.contains(&text.trim()));
        if is_public {
            let help =
                "make one: `openssl rand -hex 32` a token or a key, `openssl rand -hex 4` a VRRP password";
            self.report
                .push(reference.note("this is the example's secret, which everybody knows").help(help));
        }
        match text.and_then(|text| parse(&text)) {
            Ok(secret) => Some(secret),
            Err(Invalid { message, help }) => {
                self.report.push(reference.error(message).help(help));
                None
            }
        }
    }

    fn secret_file(&mut self, path: &Path) -> Result<String, Invalid> {
        let bytes = self.read_or_why(path, MAX_SECRET_BYTES).map_err(|error| {
            let path = path.display();
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => format!(
                    "create it: `openssl rand -hex 32 > {path}` makes a token or a key, `openssl rand -hex 4` a VRRP password"
                ),
                std::io::ErrorKind::PermissionDenied => format!("let the user that runs pxe-serve read {path}"),
                _ => format!("look at {path}: a secret is one line"),
            };
            Invalid::new(format!("{path} cannot be read: {error}"), help)
        })?;
        String::from_utf8(bytes).map_err(|_| {
            Invalid::new(format!("{} is not UTF-8", path.display()), "a secret is one line of text")
        })
    }
}

/// What the repository has in `secrets/`. Not by `include_str!`: who replaced them and builds would have their own in the
/// program.
const PUBLISHED: [&str; 2] = ["example-token-replace-me-with-openssl-rand-hex-32", "k3skeep1"];

/// Other files of the folder, such as a README, are none of ours.
fn add_template(templates: &mut Templates, name: &str, source: TemplateSource) {
    if name == "artifacts.yaml" {
        templates.artifact_lists.push(source);
    } else if name.ends_with(".j2") {
        templates.sources.insert(name.to_owned(), source);
    }
}
