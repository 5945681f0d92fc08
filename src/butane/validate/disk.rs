//! Partitions of one disk, as Ignition wants them.

use std::collections::BTreeSet;

use super::generated::{Checker, path_problem};
use crate::butane::record::Record;

impl Checker<'_, '_> {
    pub(super) fn disk(&mut self, disk: &Record) {
        self.required_device(disk);
        let partitions: Vec<&Record> = disk.records("partitions").collect();
        self.each_once(&partitions, "partition numbers collide", |partition| {
            partition.int("number").filter(|number| *number != 0).map(|number| number.to_string())
        });
        self.overlaps(&partitions);
        let gone = |partition: &&&Record| partition.bool("should_exist") == Some(false);
        let unplaced = |partition: &&Record| number(partition) == 0;
        if partitions.iter().any(|partition| gone(&partition)) && partitions.iter().any(unplaced) {
            let message = "shouldExist is false for a partition and other partition(s) has start or size 0";
            self.findings.field_error(disk, "partitions", message);
        }
        self.each_once(&partitions, "cannot use the same partition label twice", |partition| {
            partition.filled("label").map(str::to_owned)
        });
    }

    pub(super) fn required_device(&mut self, record: &Record) {
        match record.filled("device") {
            None => self.findings.field_error(record, "device", "disk device is required"),
            Some(device) => {
                if let Some(problem) = path_problem(device) {
                    self.findings.field_error(record, "device", problem);
                }
            }
        }
    }

    /// As in Ignition, only the first of several clashes is told.
    fn each_once(&mut self, partitions: &[&Record], message: &str, key: impl Fn(&Record) -> Option<String>) {
        let mut seen = BTreeSet::new();
        let repeats = |partition: &&&Record| key(partition).is_some_and(|key| !seen.insert(key));
        if let Some(partition) = partitions.iter().find(repeats) {
            self.findings.error(partition.origin, message);
        }
    }

    /// Only partitions with a start and a size have a known place; a start of 0 is wherever there is room.
    fn overlaps(&mut self, partitions: &[&Record]) {
        let mut placed: Vec<(i64, i64)> = Vec::new();
        for partition in partitions {
            let start = partition.int("start_mib").filter(|start| *start != 0);
            let (Some(start), Some(size)) = (start, partition.int("size_mib")) else { continue };
            let end = start.saturating_add(size).saturating_sub(1);
            let clashes = |&(from, to): &(i64, i64)| {
                (from..=to).contains(&start) || (from..=to).contains(&end) || (start <= from && to <= end)
            };
            if placed.iter().any(clashes) {
                self.findings.error(partition.origin, "partitions overlap");
                return;
            }
            placed.push((start, end));
        }
    }

    pub(super) fn partition(&mut self, partition: &Record) {
        if let Some(label) = partition.text("label") {
            // GPT holds 36 UTF-16 units; Ignition counts bytes.
            if label.len() > 36 {
                self.findings.field_error(
                    partition,
                    "label",
                    "partition labels may not exceed 36 characters",
                );
            }
            if label.contains(':') {
                let message = "partition label will be truncated to text before the colon";
                self.findings.field_error(partition, "label", message);
            }
        }
        for field in ["guid", "type_guid"] {
            if partition.filled(field).is_some_and(|guid| !is_guid(guid)) {
                let message = "doesn't match the form \"01234567-89AB-CDEF-EDCB-A98765432101\"";
                self.findings.field_error(partition, field, message);
            }
        }
        let has_more = ["label", "start_mib", "size_mib"].iter().any(|field| partition.has(field))
            || ["guid", "type_guid"].iter().any(|field| partition.filled(field).is_some());
        if partition.bool("should_exist") == Some(false) && has_more {
            let message = "shouldExist specified false with other options also specified";
            self.findings.error(partition.origin, message);
        }
        if number(partition) == 0 && !partition.has("label") {
            let message = "a partition number >= 1 or a label must be specified";
            self.findings.error(partition.origin, message);
        }
    }
}

fn number(partition: &Record) -> i64 {
    partition.int("number").unwrap_or(0)
}

fn is_guid(text: &str) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == GROUPS.len()
        && groups
            .iter()
            .zip(GROUPS)
            .all(|(group, len)| group.len() == len && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
