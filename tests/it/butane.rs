//! The Butane compiler by its cases: `tests/cases/butane/NAME.bu` compiles to `NAME.ign`, says `NAME.stderr`, or both.
//!
//! `UPDATE_CASES=1 cargo test --test it butane` writes what came out instead of comparing; read the difference.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ignition_config::Config;
use proptest::prelude::*;
use pxe_serve::butane::{
    Compiled, LocalError, LocalFiles, NoFiles, Options, Source, TreeEntry, compile, compile_fragments, lowest,
};

const CASES: &str = "tests/cases/butane";

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(CASES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bu"))
        .collect();
    cases.sort();
    cases
}

/// stdout and stderr of `pxe-serve butane --raw-errors` on a file, and its exit status.
fn run(arguments: &[&str], input: &Path) -> (Vec<u8>, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_pxe-serve"))
        .args(["butane", "--raw-errors", "--files-dir", "tests/cases/butane/files"])
        .args(arguments)
        .stdin(Stdio::from(fs::File::open(input).unwrap()))
        .output()
        .unwrap();
    (output.stdout, String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
fn every_case_compiles_to_its_ignition_and_says_its_findings() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let (ignition, stderr, status) = run(&[], &case);
        assert_eq!(status, Some(if ignition.is_empty() { 1 } else { 0 }), "{}", case.display());
        for (extension, came_out) in [("ign", ignition), ("stderr", stderr.into_bytes())] {
            let path = case.with_extension(extension);
            let expected = fs::read(&path).unwrap_or_default();
            if update && came_out.is_empty() {
                let _ = fs::remove_file(&path);
            } else if update {
                fs::write(&path, &came_out).unwrap();
            } else if came_out != expected {
                let [came_out, expected] = [came_out, expected].map(|text| String::from_utf8(text).unwrap());
                wrong.push(format!("{}\n  expected {expected}\n  came out {came_out}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_expectation_belongs_to_a_case() {
    let names: BTreeSet<PathBuf> = cases().iter().map(|case| case.with_extension("")).collect();
    for entry in fs::read_dir(CASES).unwrap() {
        let path = entry.unwrap().path();
        let known = path.ends_with("files") || names.contains(&path.with_extension(""));
        assert!(known, "{} has no .bu next to it", path.display());
    }
}

#[test]
fn strict_refuses_whatever_says_anything() {
    for case in cases() {
        let (_, stderr, status) = run(&[], &case);
        let (strict_stdout, strict_stderr, strict_status) = run(&["--strict"], &case);
        assert_eq!(
            strict_status,
            Some(i32::from(status != Some(0) || !stderr.is_empty())),
            "{}",
            case.display()
        );
        assert_eq!(strict_stdout.is_empty(), strict_status != Some(0));
        assert!(strict_stderr.starts_with(&stderr));
    }
}

#[test]
fn pretty_output_is_the_same_config() {
    for case in cases() {
        let (compact, _, status) = run(&[], &case);
        if status == Some(0) {
            let (pretty, _, _) = run(&["--pretty"], &case);
            let [compact, pretty] =
                [&compact, &pretty].map(|json| serde_json::from_slice::<serde_json::Value>(json).unwrap());
            assert_eq!(compact, pretty, "{}", case.display());
        }
    }
}

#[test]
fn check_prints_nothing_and_an_output_file_gets_it_all() {
    let case = Path::new(CASES).join("passwd.bu");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.ign");
    assert_eq!(run(&["--check"], &case), (Vec::new(), String::new(), Some(0)));
    assert_eq!(run(&["-o", output.to_str().unwrap()], &case), (Vec::new(), String::new(), Some(0)));
    assert_eq!(fs::read(output).unwrap(), fs::read(case.with_extension("ign")).unwrap());
    assert_eq!(run(&["--nonsense"], &case).2, Some(2));
    assert_eq!(run(&["missing.bu"], &case).2, Some(1));
}

#[test]
fn findings_are_drawn_with_their_line_by_default() {
    let case = Path::new(CASES).join("yaml-block-scalar-position.bu");
    let output = Command::new(env!("CARGO_BIN_EXE_pxe-serve")).arg("butane").arg(&case).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("yaml-block-scalar-position.bu:7:17"), "{stderr}");
    assert!(stderr.contains("has no install section"), "{stderr}");
}

/// Files a generated config may name: every path is a small file, every tree one directory.
struct Everything;

impl LocalFiles for Everything {
    fn read(&self, path: &str) -> Result<Vec<u8>, LocalError> {
        Ok(path.as_bytes().repeat(20))
    }

    fn walk(&self, _path: &str) -> Result<Vec<TreeEntry>, LocalError> {
        use pxe_serve::butane::TreeKind::{Directory, File, Link};
        let entry = |path: &str, kind| TreeEntry { path: path.to_owned(), kind };
        let link = Link { target: "a".to_owned() };
        Ok(vec![entry("", Directory), entry("a", File { executable: true }), entry("b", link)])
    }
}

#[test]
fn aliases_that_unfold_for_ever_are_refused() {
    let mut bomb = "variant: fcos\nversion: 1.6.0\na0: &a0 {name: x}\n".to_owned();
    for level in 1..30 {
        let base = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} {{<<: [{}]}}\n", [base.as_str(); 10].join(", ")));
    }
    bomb.push_str("passwd: {users: [{<<: *a29}]}\n");
    let compiled = compile(bomb.as_bytes(), "bomb.bu", &Options::default(), &NoFiles);
    assert!(compiled.refusal.unwrap().contains("excessive aliasing"));
}

/// What must hold of any compile, whatever the input.
fn check_laws(source: &[u8]) {
    let Compiled { ignition, report, refusal } = compile(source, "law.bu", &Options::default(), &Everything);
    assert_eq!(ignition.is_none(), refusal.is_some());
    for finding in report.findings() {
        if let Some(place) = &finding.place {
            assert!(place.bytes.start <= place.bytes.end && place.bytes.end <= source.len(), "{finding:?}");
            assert!(place.line >= 1 && place.column >= 1, "{finding:?}");
        }
    }
    let Some(ignition) = ignition else { return };
    assert!(!report.has_errors());
    is_read_by_ignition_config(&ignition);
    if let Some((version, lowered)) = lowest(&ignition) {
        is_read_by_ignition_config(&lowered);
        assert!(String::from_utf8_lossy(&lowered).contains(&version.to_string()));
        assert!(lowest(&lowered).is_none(), "lowest is not lowest: {}", String::from_utf8_lossy(&lowered));
    }
}

/// An independent reader of Ignition; it knows no experimental spec.
fn is_read_by_ignition_config(ignition: &[u8]) {
    let text = String::from_utf8_lossy(ignition);
    if !text.contains("-experimental") {
        let (_, warnings) = Config::parse_slice(ignition).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(warnings.is_empty(), "{warnings:?}: {text}");
    }
}

#[test]
fn the_laws_hold_for_every_case() {
    for case in cases() {
        check_laws(&fs::read(case).unwrap());
    }
}

/// Lines of all cases, to be put together anew.
fn lines() -> Vec<String> {
    let cases = cases().into_iter().filter_map(|case| fs::read_to_string(case).ok());
    let lines: BTreeSet<String> =
        cases.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.into_iter().collect()
}

fn config_of_odd_lines() -> impl Strategy<Value = String> {
    let version =
        prop::sample::select(vec!["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0"]);
    let lines = prop::collection::vec(prop::sample::select(lines()), 0..12);
    (version, lines)
        .prop_map(|(version, lines)| format!("variant: fcos\nversion: {version}\n{}\n", lines.join("\n")))
}

fn case_with_a_scratch() -> impl Strategy<Value = Vec<u8>> {
    let sources: Vec<Vec<u8>> = cases().into_iter().map(|case| fs::read(case).unwrap()).collect();
    let scratch = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    (prop::sample::select(sources), scratch).prop_map(|(mut source, scratches)| {
        for (at, byte) in scratches {
            let at = at.index(source.len());
            source[at] = byte;
        }
        source
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(source in prop::collection::vec(any::<u8>(), 0..200)) {
        check_laws(&source);
    }

    #[test]
    fn no_text_makes_it_panic(source in "(variant: fcos\nversion: 1.6.0\n)?[ -~\n]{0,200}") {
        check_laws(source.as_bytes());
    }

    #[test]
    fn odd_configs_keep_the_laws(source in config_of_odd_lines()) {
        check_laws(source.as_bytes());
    }

    #[test]
    fn scratched_cases_keep_the_laws(source in case_with_a_scratch()) {
        check_laws(&source);
    }

    #[test]
    fn contents_come_back_as_they_were(contents in prop::collection::vec(any::<u8>(), 0..600)) {
        struct One(Vec<u8>);
        impl LocalFiles for One {
            fn read(&self, _path: &str) -> Result<Vec<u8>, LocalError> {
                Ok(self.0.clone())
            }
            fn walk(&self, _path: &str) -> Result<Vec<TreeEntry>, LocalError> {
                Err(LocalError::NotDirectory)
            }
        }
        let source = b"variant: fcos\nversion: 1.6.0\nstorage: {files: [{path: /a, contents: {local: x}}]}\n";
        let compiled = compile(source, "a.bu", &Options::default(), &One(contents.clone()));
        let json: serde_json::Value = serde_json::from_slice(&compiled.ignition.unwrap()).unwrap();
        prop_assert_eq!(decode(&json["storage"]["files"][0]["contents"]), contents);
    }
}

/// The bytes an Ignition resource stands for.
fn decode(resource: &serde_json::Value) -> Vec<u8> {
    use base64::Engine;
    use std::io::Read;
    let url = resource["source"].as_str().unwrap();
    let bytes = match url.strip_prefix("data:;base64,") {
        Some(packed) => base64::engine::general_purpose::STANDARD.decode(packed).unwrap(),
        None => percent_decode(url.strip_prefix("data:,").unwrap()),
    };
    if resource["compression"] != "gzip" {
        return bytes;
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
    unpacked
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    plain
}

#[test]
fn what_compiles_is_valid_for_ignition_itself() {
    if Command::new("ignition-validate").arg("--version").output().is_err() {
        eprintln!("skipped: no ignition-validate on the PATH (Debian package ignition)");
        return;
    }
    for case in cases() {
        let Compiled { ignition: Some(ignition), .. } =
            compile(&fs::read(&case).unwrap(), "case.bu", &Options::default(), &Everything)
        else {
            continue;
        };
        // Debian's Ignition 2.14 knows the specs up to 3.3.
        if ["3.0.0", "3.1.0", "3.2.0", "3.3.0"]
            .iter()
            .any(|old| String::from_utf8_lossy(&ignition).contains(old))
        {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(&file, &ignition).unwrap();
            let output = Command::new("ignition-validate").arg(file.path()).output().unwrap();
            assert!(output.status.success(), "{}: {output:?}", case.display());
        }
    }
}

#[test]
fn a_config_without_files_next_to_it_reads_none() {
    let source = b"variant: fcos\nversion: 1.6.0\nstorage: {files: [{path: /a, contents: {local: x}}]}\n";
    let compiled = compile(source, "a.bu", &Options::default(), &NoFiles);
    assert_eq!(compiled.report.findings()[0].message, LocalError::NoDirectory.to_string());
}

#[test]
fn lowest_keeps_what_needs_a_version_and_drops_the_rest() {
    for (body, expected) in [
        ("{}", Some("3.0.0")),
        ("{\"kernelArguments\":{\"shouldExist\":[\"a\"]}}", Some("3.3.0")),
        ("{\"storage\":{\"files\":[{\"path\":\"/a\",\"mode\":420}]}}", Some("3.0.0")),
        ("{\"storage\":{\"files\":[{\"path\":\"/a\",\"mode\":2541}]}}", None),
        (
            "{\"storage\":{\"files\":[{\"path\":\"/a\",\"contents\":{\"source\":\"gs://b/k\"}}]}}",
            Some("3.2.0"),
        ),
        (
            "{\"storage\":{\"files\":[{\"path\":\"/a\",\"contents\":{\"source\":\"arn:aws:s3:::b/k\"}}]}}",
            Some("3.4.0"),
        ),
        (
            "{\"storage\":{\"luks\":[{\"name\":\"a\",\"device\":\"/dev/a\",\"cex\":{\"enabled\":true}}]}}",
            Some("3.5.0"),
        ),
        ("{\"storage\":{\"unheard\":1}}", None),
    ] {
        let mut config: serde_json::Value = serde_json::from_str(body).unwrap();
        config["ignition"] = serde_json::json!({"version": "3.6.0"});
        let lowered = lowest(config.to_string().as_bytes());
        assert_eq!(lowered.map(|(version, _)| version.to_string()).as_deref(), expected, "{body}");
    }
}

const BASE: &str = "variant: fcos\nversion: 1.5.0\npasswd: {users: [{name: core, groups: [wheel]}]}\n\
                    storage: {files: [{path: /a, mode: 0644}]}\n";

fn fragments(over: &str) -> Compiled {
    let source = |name, text: &'static str| Source { name, text: text.as_bytes() };
    let over = Source { name: "over.bu", text: over.as_bytes() };
    compile_fragments(&[source("base.bu", BASE), over], &Options::default(), &NoFiles)
}

#[test]
fn fragments_are_merged_as_ignition_merges_configs() {
    let compiled = fragments(
        "variant: fcos\nversion: 1.6.0\npasswd: {users: [{name: core, groups: [sudo], uid: 1000}, {name: ops}]}\n\
         storage: {files: [{path: /a, mode: 0644, contents: {inline: x}}]}\n",
    );
    assert_eq!(
        String::from_utf8(compiled.ignition.unwrap()).unwrap(),
        "{\"ignition\":{\"version\":\"3.5.0\"},\"passwd\":{\"users\":[{\"groups\":[\"wheel\",\"sudo\"],\"name\":\"core\",\
         \"uid\":1000},{\"name\":\"ops\"}]},\"storage\":{\"files\":[{\"path\":\"/a\",\"contents\":{\"compression\":\"\",\
         \"source\":\"data:,x\"},\"mode\":420}]}}\n"
    );
}

#[test]
fn fragments_that_contradict_each_other_name_both_places() {
    let compiled =
        fragments("variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /a\n      mode: 0600\n");
    assert_eq!(compiled.ignition, None);
    let finding = &compiled.report.findings()[0];
    assert_eq!(finding.path, "storage.files.0.mode");
    assert_eq!(finding.message, "another value is set at base.bu:4:36");
    let place = finding.place.as_ref().unwrap();
    assert_eq!((place.file.as_ref(), place.line, place.column), ("over.bu", 6, 13));
}

#[test]
fn a_mistake_in_a_fragment_is_told_in_that_fragment() {
    let compiled =
        fragments("variant: fcos\nversion: 1.5.0\nstorage: {links: [{path: /a/b, target: x}, {path: c}]}\n");
    let place = compiled.report.findings()[0].place.as_ref().unwrap();
    assert_eq!(place.file.as_ref(), "over.bu");
    assert_eq!(
        fragments("variant: fcos\nversion: [\n").report.findings()[0].place.as_ref().unwrap().file.as_ref(),
        "over.bu"
    );
}
