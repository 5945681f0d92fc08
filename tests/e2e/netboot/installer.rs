//! The real coreos-installer in a live system of Debian: what it writes, what is refused before it writes, and what is
//! reported of both.

use std::path::Path;
use std::time::Duration;

use crate::tools::{command, run, said};

use super::image::STARTED_FROM_DISK;
use super::lab::Lab;
use super::live::{BOOT_PARTITION_AT, write_bad_image};
use super::machine::{Firmware, LENOVO1, Machine, Running};

/// What systemd says when the unit has failed, and with it what reports that.
const IN_EMERGENCY: &str = "Emergency Mode";

fn booted(lab: &Lab, disk: &Path) -> Running {
    lab.arm("lenovo1");
    Machine { firmware: Firmware::Bios, mac: LENOVO1, disk: Some(disk), restarts: true }.boot(lab)
}

/// A disk on which something is, everywhere.
fn used_disk(lab: &Lab) -> (std::path::PathBuf, Vec<u8>) {
    let disk = lab.disk();
    let content = b"what was on the disk".repeat(std::fs::metadata(&disk).unwrap().len() as usize / 20);
    std::fs::write(&disk, &content).unwrap();
    (disk, content)
}

#[test]
fn coreos_installer_writes_what_the_script_promised_reports_it_and_the_disk_starts() {
    const OF_THE_BOOT: [&str; 2] =
        ["/pxe/initrd/install/lenovo1-reinstall.img", "/pxe/ignition/lenovo1-reinstall.ign"];
    let Some(mut lab) = Lab::live(|text| text) else { return };
    lab.start_server();
    let before = OF_THE_BOOT.map(|path| lab.get(path).1);
    let disk = lab.disk();
    let mut machine = booted(&lab, &disk);
    // After its script, and before the first file that depends on the inventory: kernel and initramfs come between.
    machine.says("pxe-serve: installing lenovo1-reinstall");
    lab.set_cable("down");
    lab.edit_inventory(|text| text.replace("virtual_router_id: 26 ", "virtual_router_id: 27 "));
    let asked = lab.requests();
    assert!(!asked.iter().any(|request| OF_THE_BOOT.contains(&request.path.as_str())), "too late: {asked:?}");
    for (path, before) in OF_THE_BOOT.iter().zip(&before) {
        assert_ne!(&lab.get(path).1, before, "{path}");
    }
    lab.set_cable("up");
    for line in [
        "pxe-serve: verified http://192.168.26.1/pxe/ignition/lenovo1-reinstall.ign by its sha512sum",
        "pxe-serve: verified http://192.168.26.1/pxe/fcos/metal.raw by its sha256sum",
        "coreos-installer install --config-file /etc/coreos/installer.d/50-pxe-serve.yaml /dev/nvme0n1",
        "Install complete.",
        "pxe-serve: lenovo1 starts from its disk",
        STARTED_FROM_DISK,
    ] {
        machine.says(line);
    }
    println!("installed by coreos-installer, and started from the disk: {:.1?}", machine.since_power_on());
    let reports = lab.requests().into_iter().filter(|request| request.path == "/pxe/events/lenovo1");
    assert_eq!(reports.map(|report| report.status).collect::<Vec<_>>(), [204]);
    let hosts = lab.ask(&["hosts", "--json"]);
    assert!(hosts.contains("installed"), "{hosts}");
    drop(machine);
    let boot = format!("{}?offset={BOOT_PARTITION_AT}", disk.display());
    let on_boot = |request: &str| {
        let output = run(command("debugfs").args(["-R", request, &boot]), Duration::from_secs(20));
        assert!(output.status.success(), "{}", said(&output));
        output.stdout
    };
    assert!(on_boot("cat /ignition/config.ign") == before[1], "it is not the config that was promised");
    // What brings the network up on the first boot, of the kernel's command line.
    let first_boot = String::from_utf8(on_boot("cat /ignition.firstboot")).unwrap();
    assert!(first_boot.contains("rd.neednet=1 ip=dhcp"), "{first_boot}");
}

#[test]
fn what_is_not_as_rendered_is_refused_before_a_byte_of_the_disk_is_written() {
    let Some(mut lab) = Lab::live(|text| text) else { return };
    let template = std::fs::read_to_string("templates/butane/install.bu.j2").unwrap();
    let right = r#"{{ ignition_hash | replace("sha512-", "") }}"#;
    assert!(template.contains(right), "{template}");
    std::fs::create_dir_all(lab.path("templates/butane")).unwrap();
    let wrong = template.replace(right, &"0".repeat(128));
    std::fs::write(lab.path("templates/butane/install.bu.j2"), wrong).unwrap();
    lab.start_server();
    let (disk, before) = used_disk(&lab);
    let mut machine = booted(&lab, &disk);
    const REASON: &str =
        "http://192.168.26.1/pxe/ignition/lenovo1-reinstall.ign is not what was rendered: sha512sum ";
    machine.says(&format!("Error: {REASON}"));
    machine.says("instead of 0000000000000000; nothing was written to /dev/nvme0n1");
    machine.says(IN_EMERGENCY);
    let hosts = lab.ask(&["hosts", "--json"]);
    assert!(hosts.contains(REASON), "{hosts}");
    let console = machine.console();
    assert!(!console.contains("coreos-installer install "), "{console}");
    drop(machine);
    assert!(std::fs::read(&disk).unwrap() == before, "the disk was written");
}

#[test]
fn an_image_that_is_not_the_promised_one_any_more_is_refused_before_a_byte_of_the_disk_is_written() {
    if !super::runs_all() {
        return;
    }
    let Some(mut lab) = Lab::live(|text| text) else { return };
    lab.start_server();
    let (disk, before) = used_disk(&lab);
    let mut machine = booted(&lab, &disk);
    machine.says("pxe-serve: installing lenovo1-reinstall");
    let image = lab.path("static/fcos/metal.raw");
    let other = [&std::fs::read(&image).unwrap()[..], &[0; 512]].concat();
    std::fs::write(&image, other).unwrap();
    const REASON: &str = "http://192.168.26.1/pxe/fcos/metal.raw is refused: curl: (22)";
    machine.says(&format!("Error: {REASON}"));
    machine.says(IN_EMERGENCY);
    let hosts = lab.ask(&["hosts", "--json"]);
    assert!(hosts.contains("metal.raw is refused: curl: (22)"), "{hosts}");
    drop(machine);
    assert!(std::fs::read(&disk).unwrap() == before, "the disk was written");
}

#[test]
fn coreos_installers_own_last_words_are_reported() {
    let Some(mut lab) = Lab::live(|text| text) else { return };
    write_bad_image(&lab.path("static/fcos/metal.raw"));
    lab.start_server();
    let disk = lab.disk();
    let mut machine = booted(&lab, &disk);
    machine.says("pxe-serve: verified http://192.168.26.1/pxe/fcos/metal.raw by its sha256sum");
    machine.says("coreos-installer install --config-file");
    machine.says(IN_EMERGENCY);
    let hosts = lab.ask(&["hosts", "--json"]);
    println!("{hosts}");
    assert!(hosts.contains("coreos-installer: exit-code (exited 1): Error: "), "{hosts}");
}
