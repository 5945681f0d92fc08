//! Images beside FCOS stream metadata are the files that it names, as far as their digests are known.

use crate::inventory::ImageNames;
use crate::report::{Finding, Report};

use super::Site;

pub fn check(site: &Site, report: &mut Report) {
    let (ImageNames::Stream(stream), Some(files)) = (&site.inventory.fcos.images, &site.static_files) else {
        return;
    };
    let stream = &stream.file.value;
    for (path, expected) in site.images.sha256() {
        let Some(sha256) = files.get(path).and_then(|file| file.sha256) else { continue };
        if sha256 != *expected {
            let message =
                format!("is not the file that {stream} names: sha256 {sha256} instead of {expected}");
            let help = format!("download it again, by its `location` in {stream}");
            report.push(Finding::warning(path.as_str(), message).help(help));
        }
    }
}
