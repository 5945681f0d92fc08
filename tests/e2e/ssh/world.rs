//! Three k3s servers on this machine: a real sshd on an address for each, a folder for each that is its `/etc` and `/var`,
//! and stand-ins for sudo, systemctl and k3s. The "processes" live here, so they outlast whoever asked for a restart.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pxe_serve::cluster::k3s_config::ConfigFile;
use pxe_serve::cluster::tls_san::configured;

use crate::api::{A_YEAR, Api, Ca, Does, free_network};
use crate::site::pxe_serve;
use crate::tools::{command, have, run, said};

/// In the configuration of every server, and nowhere in anybody's output.
pub const CANARY: &str =
    "K106959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126::server:canary-of-the-token";
pub const SERVERS: [&str; 3] = ["lenovo1", "lenovo2", "lenovo3"];
/// What a server has in its configuration and certificate before anybody adds to it.
pub const OLD_VIP: &str = "127.0.0.99";

/// Becomes root "on the node" whose address the connection came to.
const SUDO: &str = r#"#!/bin/sh
[ "$1" = -n ] || { echo 'sudo: a password is required' >&2; exit 1; }
shift
set -- "$LAB/nodes/$(echo "$SSH_CONNECTION" | cut -d' ' -f3)" "$@"
exec unshare -m sh -c 'export NODE="$1"; shift; mount --bind "$NODE/etc" /etc && mount --bind "$NODE/var" /var && exec "$@"' sudo "$@"
"#;

/// A restart is a request that somebody else carries out, as it is with systemd.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >>"$NODE/systemctl.log"
case $1 in
    show) cat "$NODE/unit" ;;
    restart)
        touch "$NODE/requests/$$"
        while [ -e "$NODE/requests/$$" ]; do sleep 0.02; done
        if [ -e "$NODE/hopeless" ]; then echo 'Job for k3s.service failed.' >&2; exit 1; fi ;;
    reboot) touch "$NODE/rebooted" ;;
esac
"#;

const K3S: &str = r#"#!/bin/sh
case "$*" in
    *--raw=/readyz*) [ -e "$NODE/ready" ] && printf ok ;;
    *) exec "$LAB/bin/cluster" "$@" ;;
esac
"#;

/// `ssh` of the user's: the real one with a configuration of this world's.
const SSH: &str = r#"#!/bin/sh
# What pxe-serve includes is the configuration in the home of the user, who is somebody else here.
[ "$1" = -F ] && sed "s|~/.ssh/config|$LAB/ssh_config|" "$2" >"$LAB/ssh_config.$$" || exit 1
shift 2
exec /usr/bin/ssh -F "$LAB/ssh_config.$$" "$@"
"#;

/// Runs a program of the user's. It may be told to end who called it at the n-th of all these calls: before it, during it,
/// or after it.
const CALL: &str = r#"#!/bin/sh
exec 9>"$LAB/lock"
flock 9
echo "$*" >>"$LAB/calls.log"
count=$(($(cat "$LAB/count" 2>/dev/null || echo 0) + 1))
echo "$count" >"$LAB/count"
exec 9>&-
case $KILL in
    "before $count") kill -9 "$PPID"; exit 1 ;;
    "during $count") (sleep 0.15; kill -9 "$PPID") & ;;
    "after $count") "$@"; kill -9 "$PPID"; exit 1 ;;
esac
exec "$@"
"#;

pub struct World {
    pub folder: tempfile::TempDir,
    network: String,
    sshd: Child,
    masters: Mutex<Vec<Child>>,
    nodes: Arc<Mutex<Vec<Node>>>,
    ended: Arc<AtomicBool>,
    systemd: Option<JoinHandle<()>>,
}

struct Node {
    root: PathBuf,
    address: String,
    api: Option<Api>,
    /// What its certificate is for; it only grows.
    sans: Vec<String>,
    /// A restart that goes on, and since when.
    restarting: Option<Instant>,
    restarts: usize,
    ca: Arc<Ca>,
    /// How many were down at the most when this one went down, itself included.
    most_down: usize,
}

/// How long a restart takes.
const RESTART: Duration = Duration::from_millis(250);
const LIMIT: Duration = Duration::from_secs(60);

impl World {
    /// None when a program is missing.
    pub fn new() -> Option<World> {
        if !have(&["ssh", "/usr/sbin/sshd", "ssh-keygen", "unshare", "flock", "jq"], true) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let lab = folder.path();
        let network = free_network();
        let ca = Arc::new(Ca::new());
        for (name, text) in
            [("sudo", SUDO), ("systemctl", SYSTEMCTL), ("k3s", K3S), ("cluster", "#!/bin/sh\n")]
        {
            script(&lab.join("bin").join(name), text);
        }
        script(&lab.join("called/call"), CALL);
        let mut nodes = Vec::new();
        for number in 5..8 {
            let address = format!("{network}{number}");
            let root = lab.join("nodes").join(&address);
            for below in ["etc/rancher/k3s", "var/lib/rancher/k3s/server", "requests"] {
                fs::create_dir_all(root.join(below)).unwrap();
            }
            fs::write(root.join("var/lib/rancher/k3s/server/node-token"), format!("{CANARY}\n")).unwrap();
            nodes.push(Node {
                root,
                address,
                api: None,
                sans: Vec::new(),
                restarting: None,
                restarts: 0,
                ca: ca.clone(),
                most_down: 0,
            });
        }
        let sshd = start_sshd(lab, &network);
        let nodes = Arc::new(Mutex::new(nodes));
        let ended = Arc::new(AtomicBool::new(false));
        let systemd = thread::spawn({
            let (nodes, ended) = (nodes.clone(), ended.clone());
            move || {
                while !ended.load(Ordering::Relaxed) {
                    tick(&mut nodes.lock().unwrap());
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
        let world =
            World { folder, network, sshd, masters: Mutex::default(), nodes, ended, systemd: Some(systemd) };
        world.user_program("ssh", SSH);
        world.write_inventory();
        world.reset();
        Some(world)
    }

    /// Every server as it was: an old VIP in its configuration, and up.
    pub fn reset(&self) {
        for node in self.nodes.lock().unwrap().iter_mut() {
            let config = node.root.join("etc/rancher/k3s");
            fs::remove_dir_all(&config).unwrap();
            fs::create_dir_all(config.join("config.yaml.d")).unwrap();
            let text = format!("node-name: x\ntoken: \"{CANARY}\"\ntls-san: [{OLD_VIP}]\n");
            fs::write(config.join("config.yaml"), text).unwrap();
            for mark in ["hopeless", "sick", "rebooted"] {
                let _ = fs::remove_file(node.root.join(mark));
            }
            (node.restarts, node.most_down, node.restarting, node.api) = (0, 0, None, None);
            node.sans = vec![node.address.clone()];
            node.come_up();
        }
        let _ = fs::remove_file(self.path("count"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path "on the node".
    pub fn on(&self, place: usize, path: &str) -> PathBuf {
        self.nodes.lock().unwrap()[place].root.join(path)
    }

    pub fn address(&self, place: usize) -> String {
        self.nodes.lock().unwrap()[place].address.clone()
    }

    pub fn user_program(&self, name: &str, text: &str) {
        script(&self.path("called").join(name), text);
        let call = format!("#!/bin/sh\nexec \"$LAB/called/call\" \"$LAB/called/{name}\" \"$@\"\n");
        script(&self.path("user").join(name), &call);
    }

    pub fn node_program(&self, name: &str, text: &str) {
        script(&self.path("bin").join(name), text);
    }

    #[track_caller]
    pub fn wait_for(&self, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < LIMIT);
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn ca(&self) -> Arc<Ca> {
        self.nodes.lock().unwrap()[0].ca.clone()
    }

    /// What the user types.
    pub fn pxe_serve(&self, arguments: &[&str]) -> Command {
        let mut program = command(pxe_serve().to_str().unwrap());
        let path = format!("{}:{}", self.path("user").display(), std::env::var("PATH").unwrap());
        program.args(arguments).current_dir(&self.folder).env("PATH", path).env("LAB", self.folder.path());
        program
    }

    /// Runs it to its end; whatever it says, it says no secret.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_killed(arguments, "")
    }

    #[track_caller]
    pub fn run_killed(&self, arguments: &[&str], kill: &str) -> Output {
        let mut program = self.pxe_serve(arguments);
        let output = run(program.env("KILL", kill), LIMIT);
        let said = said(&output);
        assert!(!said.contains("canary"), "{said}");
        let log = fs::read_to_string(self.path("calls.log")).unwrap_or_default();
        assert!(!log.contains("canary"), "a secret on a command line: {log}");
        output
    }

    /// Whether the certificate of a server is for this name.
    pub fn shows(&self, place: usize, name: &str) -> bool {
        self.nodes.lock().unwrap()[place].sans.iter().any(|san| san == name)
    }

    /// Opens a connection to every server and keeps it, so that each `ssh` is cheap; ssh_config(5), ControlPath.
    pub fn keep_connections(&self) {
        let config = self.path("ssh_config");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}ControlPath {}/master-%h\n", self.folder.path().display()))
            .unwrap();
        for place in 0..3 {
            let mut master = Command::new("ssh");
            master.arg("-F").arg(&config).args(["-M", "-N", "-n", &self.address(place)]);
            self.masters.lock().unwrap().push(master.stderr(Stdio::null()).spawn().unwrap());
            let begin = Instant::now();
            while !self.path(&format!("master-{}", self.address(place))).exists() {
                assert!(begin.elapsed() < LIMIT);
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// How many programs were called since the last reset.
    pub fn calls(&self) -> usize {
        fs::read_to_string(self.path("count")).unwrap().trim().parse().unwrap()
    }

    /// Whether the n-th connection of the first run changed something: it wrote or restarted.
    pub fn changed_at(&self, count: usize) -> bool {
        let log = fs::read_to_string(self.path("calls.log")).unwrap();
        let scripts: Vec<&str> = log.split("-F ").skip(1).collect();
        scripts[count - 1].contains("sha256sum") || scripts[count - 1].contains("systemctl restart")
    }

    /// How often each was restarted.
    pub fn restarts(&self) -> Vec<usize> {
        self.nodes.lock().unwrap().iter().map(|node| node.restarts).collect()
    }

    /// The most servers that were down at once through restarts.
    pub fn most_down(&self) -> usize {
        self.nodes.lock().unwrap().iter().map(|node| node.most_down).max().unwrap()
    }

    /// Stops the k3s of a server for good.
    pub fn stop(&self, place: usize) {
        self.nodes.lock().unwrap()[place].go_down("inactive");
    }

    /// Closes its port, while k3s runs and is ready for who is on the node.
    pub fn hide(&self, place: usize) {
        self.nodes.lock().unwrap()[place].api = None;
    }

    /// Starts it again.
    pub fn start(&self, place: usize) {
        self.nodes.lock().unwrap()[place].come_up();
    }

    /// Waits for restarts that go on without anybody who waits for them.
    pub fn settle(&self) {
        let begin = Instant::now();
        while self.nodes.lock().unwrap().iter().any(|node| node.restarting.is_some() || node.has_request()) {
            assert!(begin.elapsed() < LIMIT);
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn write_inventory(&self) {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/inventory.yaml")).unwrap();
        let text = text.replace("192.168.26.", &self.network);
        fs::write(self.path("inventory.yaml"), text).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(systemd) = self.systemd.take() {
            let _ = systemd.join();
        }
        for process in self.masters.get_mut().unwrap().iter_mut().chain([&mut self.sshd]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Node {
    fn has_request(&self) -> bool {
        fs::read_dir(self.root.join("requests")).unwrap().next().is_some()
    }

    fn unit(&self, state: &str, started: Option<u64>) {
        let started = started.map(|seconds| format!("@{seconds}")).unwrap_or_default();
        let text = format!("ActiveState={state}\nExecMainStartTimestamp={started}\n");
        let new = self.root.join("unit.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.root.join("unit")).unwrap();
    }

    fn go_down(&mut self, state: &str) {
        let _ = fs::remove_file(self.root.join("ready"));
        self.unit(state, None);
        self.api = None;
    }

    /// Reads its configuration as k3s does; its certificate keeps what it was for.
    fn come_up(&mut self) {
        let folder = self.root.join("etc/rancher/k3s");
        let mut files = Vec::new();
        for below in ["", "config.yaml.d/"] {
            for entry in fs::read_dir(folder.join(below)).into_iter().flatten() {
                let entry = entry.unwrap();
                if entry.path().is_file() {
                    let name = format!("{below}{}", entry.file_name().to_str().unwrap());
                    files.push(ConfigFile { name, bytes: fs::read(entry.path()).unwrap() });
                }
            }
        }
        for san in configured(&files).unwrap() {
            let san = san.to_string();
            if !self.sans.contains(&san) {
                self.sans.push(san);
            }
        }
        let shows = self.ca.issue(&self.sans, A_YEAR);
        self.api = Some(Api::start(&self.address, &self.ca, &shows, Does::Answers));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.unit("active", Some(now));
        if !self.root.join("sick").exists() {
            fs::write(self.root.join("ready"), "").unwrap();
        }
    }
}

/// Carries out what systemctl asked for.
fn tick(nodes: &mut [Node]) {
    for place in 0..nodes.len() {
        match nodes[place].restarting {
            None if nodes[place].has_request() => {
                nodes[place].go_down("deactivating");
                nodes[place].restarting = Some(Instant::now());
                nodes[place].restarts += 1;
                nodes[place].most_down = nodes.iter().filter(|node| node.api.is_none()).count();
            }
            Some(since) if since.elapsed() > RESTART => {
                if nodes[place].root.join("hopeless").exists() {
                    nodes[place].unit("failed", None);
                } else {
                    nodes[place].come_up();
                }
                nodes[place].restarting = None;
                for request in fs::read_dir(nodes[place].root.join("requests")).unwrap() {
                    fs::remove_file(request.unwrap().path()).unwrap();
                }
            }
            _ => {}
        }
    }
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn start_sshd(lab: &Path, network: &str) -> Child {
    for key in ["host_key", "user_key"] {
        let mut keygen = command("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", key]).current_dir(lab);
        let output = run(&keygen, LIMIT);
        assert!(output.status.success(), "{}", said(&output));
    }
    // Where sshd(8) wants to be separated from its privileges.
    fs::create_dir_all("/run/sshd").unwrap();
    let port = TcpListener::bind(format!("{network}5:0")).unwrap().local_addr().unwrap().port();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", lab.join("bin").display());
    let addresses: String = (5..8).map(|number| format!("ListenAddress {network}{number}\n")).collect();
    let lab_text = lab.display();
    let config = format!(
        "Port {port}\n{addresses}HostKey {lab_text}/host_key\nAuthorizedKeysFile {lab_text}/user_key.pub\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\n\
         SetEnv LAB={lab_text} PATH={path}\n"
    );
    fs::write(lab.join("sshd_config"), config).unwrap();
    let host_key = fs::read_to_string(lab.join("host_key.pub")).unwrap();
    let known: String = (5..8).map(|number| format!("[{network}{number}]:{port} {host_key}")).collect();
    fs::write(lab.join("known_hosts"), known).unwrap();
    let config = format!(
        "Host *\nPort {port}\nUser root\nIdentityFile {lab_text}/user_key\nIdentitiesOnly yes\nIdentityAgent none\n\
         UserKnownHostsFile {lab_text}/known_hosts\nGlobalKnownHostsFile /dev/null\n"
    );
    fs::write(lab.join("ssh_config"), config).unwrap();
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-e", "-f"]).arg(lab.join("sshd_config")).stdin(Stdio::null());
    let child = sshd.stderr(fs::File::create(lab.join("sshd.log")).unwrap()).spawn().unwrap();
    let begin = Instant::now();
    while std::net::TcpStream::connect(format!("{network}7:{port}")).is_err() {
        assert!(begin.elapsed() < LIMIT, "{}", fs::read_to_string(lab.join("sshd.log")).unwrap());
        thread::sleep(Duration::from_millis(20));
    }
    child
}
