//! What users do with templates: add, replace, choose, get wrong.

use pxe_serve::catalogue::{Audience, Sensitivity};

use crate::site::{CANARY_PASSWORD, CANARY_TOKEN, Site, artifact, installed, text};

#[test]
fn a_file_and_a_line_add_a_shared_artifact() {
    let catalogue =
        Site::new().artifact("pxe/configs/motd", "Welcome to {{ vips.control_planes }}\n").clean();
    assert_eq!(text(&catalogue, "pxe/configs/motd"), "Welcome to 192.168.26.253\n");
    assert_eq!(artifact(&catalogue, "pxe/configs/motd").audience, Audience::Everyone);
}

#[test]
fn host_in_the_path_makes_one_for_each_host_and_name_one_for_each_ignition_config() {
    let catalogue = Site::new()
        .template("host.j2", "{{ host.name }} {{ host.address }}\n")
        .template("boot.j2", "{{ name }} {{ host.name }} {{ phase }} {{ k3s.mode }}\n")
        .artifacts(&[
            "path: \"pxe/configs/info-{host}\", template: host.j2, install: {path: /etc/info, mode: 0644}",
            "path: \"pxe/configs/boot-{name}\", template: boot.j2, install: {path: /etc/boot-info, mode: 0640}",
        ])
        .clean();
    let made = |prefix: &str| {
        let paths = catalogue.iter().map(|(path, _)| path.as_str());
        paths.filter_map(|path| path.strip_prefix(prefix)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(made("pxe/configs/info-"), ["lenovo1", "lenovo2", "lenovo3", "tower1"]);
    assert_eq!(
        made("pxe/configs/boot-"),
        ["lenovo1", "lenovo1-bootstrap", "lenovo1-reinstall", "lenovo2", "lenovo3", "tower1"]
    );
    assert_eq!(text(&catalogue, "pxe/configs/info-tower1"), "tower1 192.168.26.8\n");
    assert_eq!(text(&catalogue, "pxe/configs/boot-tower1"), "tower1 tower1 reinstall agent\n");
    assert_eq!(
        text(&catalogue, "pxe/configs/boot-lenovo1-bootstrap"),
        "lenovo1-bootstrap lenovo1 bootstrap server\n"
    );
    let lenovo2 = Audience::host(&"lenovo2".parse().unwrap());
    assert_eq!(artifact(&catalogue, "pxe/configs/info-lenovo2").audience, lenovo2);

    let file = installed(&catalogue, "pxe/ignition/lenovo1-bootstrap.ign", "/etc/boot-info").unwrap();
    assert_eq!(file["mode"], 0o640);
    let digest = artifact(&catalogue, "pxe/configs/boot-lenovo1-bootstrap").digest();
    assert_eq!(file["contents"]["verification"]["hash"], format!("sha512-{}", digest.sha512));
    let url = "http://192.168.26.1/pxe/configs/boot-lenovo1-bootstrap";
    assert_eq!(file["contents"]["source"], format!("{url}?sha256={}", digest.sha256));
}

#[test]
fn hosts_are_chosen_by_role_and_by_label() {
    let catalogue = Site::new()
        .template("mine.j2", "x\n")
        .artifacts(&[
            "path: pxe/configs/workers, template: mine.j2, hosts: host.role == \"worker\", install: {path: /etc/w, mode: 0644}",
            "path: \"pxe/configs/gpu-{host}\", template: mine.j2, hosts: host.labels.gpu == \"yes\"",
            "path: \"pxe/configs/named-{host}\", template: mine.j2, hosts: 'host.name in [\"lenovo2\", \"tower1\"]'",
            "path: \"pxe/configs/nobody-{host}\", template: mine.j2, hosts: host.labels.tpu is defined",
            "path: \"pxe/configs/everybody-{host}\", template: mine.j2, install: {path: /etc/w2, mode: 0644, when: host.labels.gpu is defined}",
        ])
        .clean();
    let tower = Audience::host(&"tower1".parse().unwrap());
    assert_eq!(artifact(&catalogue, "pxe/configs/workers").audience, tower);
    let has = |path: &str| catalogue.get(path).is_some();
    assert!(has("pxe/configs/gpu-tower1") && !has("pxe/configs/gpu-lenovo1"));
    assert!(has("pxe/configs/named-lenovo2") && !has("pxe/configs/named-lenovo3"));
    assert!(catalogue.iter().all(|(path, _)| !path.as_str().contains("nobody")));
    assert!(has("pxe/configs/everybody-lenovo1"));
    for (ignition, path, there) in [
        ("tower1", "/etc/w", true),
        ("lenovo2", "/etc/w", false),
        ("tower1", "/etc/w2", true),
        ("lenovo1", "/etc/w2", false),
    ] {
        let file = installed(&catalogue, &format!("pxe/ignition/{ignition}.ign"), path);
        assert_eq!(file.is_some(), there, "{ignition} {path}");
    }
}

#[test]
fn two_entries_may_share_a_path_when_their_hosts_differ() {
    let site = Site::new().template("a.j2", "a\n").template("b.j2", "b\n");
    let worker = "path: \"pxe/configs/x-{host}\", template: a.j2, hosts: host.role == \"worker\"";
    let server = "path: \"pxe/configs/x-{host}\", template: b.j2, hosts: host.role == \"control_plane\"";
    let site = site.artifacts(&[worker, server]);
    let catalogue = site.clean();
    assert_eq!(text(&catalogue, "pxe/configs/x-tower1"), "a\n");
    assert_eq!(text(&catalogue, "pxe/configs/x-lenovo1"), "b\n");
    let all = "path: \"pxe/configs/x-{host}\", template: b.j2";
    let found = site.artifacts(&[worker, all]).error(&[
        "artifacts.1.path: pxe/configs/x-tower1 is made twice",
        "--> templates/artifacts.yaml:3:12",
        "^^^^",
        "choose other `hosts` for it",
    ]);
    assert_eq!(found.matches("error").count(), 1, "{found}");
}

#[test]
fn paths_that_are_taken_reserved_or_none_are_refused_where_they_are_written() {
    let refused = |path: &str, said: &str| {
        let site = Site::new().template("mine.j2", "x\n");
        site.artifacts(&[&format!("path: \"{path}\", template: mine.j2")]).error(&[said])
    };
    let at_the_entry = "--> templates/artifacts.yaml:2:12";
    for (path, said) in [
        ("pxe/manifest.json", "pxe-serve itself answers for pxe/manifest.json"),
        ("healthz", "pxe-serve itself answers for healthz"),
        ("pxe/hosts", "pxe-serve itself answers for pxe/hosts"),
        ("pxe/events/lenovo1", "pxe-serve itself answers for pxe/events/lenovo1"),
        ("pxe/../etc/passwd", "is no artifact path"),
        ("/pxe/configs/x", "is no artifact path"),
        ("pxe/configs/{hosts}", "is no artifact path"),
        ("pxe/configs/k3s-token/below", "pxe/configs/k3s-token/below is made twice"),
    ] {
        assert!(refused(path, said).contains(at_the_entry), "{path}");
    }
    let own = "pxe/boot.ipxe: is made by pxe-serve itself as well";
    assert!(refused("pxe/boot.ipxe", own).contains("replace its template in butane/"));
}

#[test]
fn a_template_of_the_same_name_replaces_the_shipped_one_and_an_entry_of_the_same_path_the_shipped_entry() {
    let catalogue = Site::new().template("configs/k3s-token.j2", "mine\n").clean();
    assert_eq!(text(&catalogue, "pxe/configs/k3s-token"), "mine\n");
    assert_eq!(artifact(&catalogue, "pxe/configs/k3s-token").sensitivity, Sensitivity::Public);

    let catalogue = Site::new()
        .template("mine.j2", "#!/bin/sh\nexit 0\n")
        .artifacts(&["path: pxe/scripts/k3s-install.sh, template: mine.j2, install: {path: /usr/local/bin/k3s-install.sh, mode: 0700}"])
        .clean();
    let file = installed(&catalogue, "pxe/ignition/lenovo2.ign", "/usr/local/bin/k3s-install.sh").unwrap();
    assert_eq!(file["mode"], 0o700);
    assert_eq!(text(&catalogue, "pxe/scripts/k3s-install.sh"), "#!/bin/sh\nexit 0\n");
}

#[test]
fn a_host_may_have_scripts_of_its_own_for_whatever_it_boots() {
    let own = "#!ipxe\nsanboot --drive 0x81\n";
    let catalogue = Site::new()
        .inventory("lenovo2: {", "lenovo2: {boot: local, ")
        .template("ipxe/lenovo2/local.ipxe.j2", own)
        .template("ipxe/lenovo2/live.ipxe.j2", own)
        .clean();
    for name in ["lenovo2/local", "lenovo2/live", "lenovo2"] {
        assert_eq!(text(&catalogue, &format!("pxe/ipxe/{name}.ipxe")), own, "{name}");
    }
    assert_ne!(text(&catalogue, "pxe/ipxe/lenovo3/local.ipxe"), own);
}

#[test]
fn the_butane_template_of_a_config_goes_before_that_of_its_host_and_that_before_everybodys() {
    let butane =
        |what: &str| format!("variant: fcos\nversion: 1.0.0\nstorage: {{files: [{{path: /etc/{what}}}]}}\n");
    let catalogue = Site::new()
        .template("butane/lenovo1.bu.j2", &butane("host"))
        .template("butane/lenovo1-bootstrap.bu.j2", &butane("name"))
        .template("butane/node.bu.j2", &butane("node"))
        .clean();
    for (name, what) in [
        ("lenovo1-bootstrap", "name"),
        ("lenovo1-reinstall", "host"),
        ("lenovo1", "host"),
        ("lenovo2", "node"),
    ] {
        assert_eq!(text(&catalogue, &format!("pxe/butane/{name}.bu")), butane(what), "{name}");
        let ignition = format!("pxe/ignition/{name}.ign");
        assert!(installed(&catalogue, &ignition, &format!("/etc/{what}")).is_some(), "{name}");
    }
}

#[test]
fn a_template_that_nothing_asks_for_is_a_warning_and_not_a_silent_fallback() {
    Site::new().template("butane/lenovo22.bu.j2", "variant: fcos\n").warning(&[
        "templates/butane/lenovo22.bu.j2: nothing is made from this template",
        "did you mean `butane/lenovo2.bu.j2`?",
    ]);
    Site::new().template("configs/mine.j2", "x").warning(&["add an entry for it to artifacts.yaml"]);
    Site::new()
        .template("lib/header.j2", "header\n")
        .artifact("pxe/configs/x", "{% include 'lib/header.j2' %}\n")
        .clean();
}

#[test]
fn an_undefined_variable_is_shown_with_its_line_and_a_caret() {
    let site = Site::new().artifact("pxe/configs/x", "first\nthe {{ keepalived.virtual_router_di }} id\n");
    insta::assert_snapshot!(site.error(&[]));
    let site = Site::new().template("mine.j2", "{{ host.naem }}\n");
    let site = site.artifacts(&["path: \"pxe/configs/{host}\", template: mine.j2"]);
    let found = site.error(&["pxe/configs/lenovo1: `host.naem` is not defined"]);
    assert_eq!(found.matches("error").count(), 1, "once, not for each host\n{found}");
}

#[test]
fn what_a_host_does_not_have_is_an_error_and_not_the_word_none() {
    let site = Site::new().template("mine.j2", "name {{ host.fqdn }}\n");
    let site = site.artifacts(&["path: \"pxe/configs/{host}\", template: mine.j2"]);
    site.error(&["there is no value to write here", "--> templates/mine.j2:1:"]);
    let catalogue = Site::new()
        .artifact("pxe/configs/x", "{% if network.domain %}{{ network.domain }}{% else %}no{% endif %} {{ hosts[0].vrrp_instances[0].authentication }}\n")
        .clean();
    assert_eq!(text(&catalogue, "pxe/configs/x"), "no true\n");
}

#[test]
fn every_template_with_a_syntax_error_is_reported_beside_what_else_is_wrong() {
    let site = Site::new()
        .template("a.j2", "{% if %}\n")
        .template("b.j2", "fine\n{{ 1 + }}\n")
        .template("c.j2", "{% for x in y %}\n")
        .artifacts(&[
            "path: pxe/configs/a, template: a.j2",
            "path: pxe/configs/b, template: b.j2",
            "path: pxe/configs/c, template: c.j2, mdoe: 1",
        ]);
    insta::assert_snapshot!(site.error(&[]));
}

#[test]
fn a_missing_template_is_said_once_with_the_name_that_was_meant() {
    let site = Site::new().artifacts(&["path: \"pxe/configs/{host}\", template: configs/k3s-tokn.j2"]);
    let found = site.error(&[
        "there is no such template",
        "did you mean `configs/k3s-token.j2`?",
        "artifacts.yaml:2:",
    ]);
    assert_eq!(found.matches("error").count(), 1, "{found}");
    let site = Site::new().artifact("pxe/configs/x", "{% include 'nowhere.j2' %}\n");
    site.error(&["nowhere.j2", "--> templates/mine.j2:1:"]);
}

#[test]
fn final_newlines_are_kept_as_they_are() {
    for text_ in ["x", "x\n", "x\n\n", "{{ name }}\n", "{% if true %}\nx\n{% endif %}\n", ""] {
        let site = Site::new()
            .template("mine.j2", text_)
            .artifacts(&["path: \"pxe/configs/x-{name}\", template: mine.j2"]);
        let rendered = text(&site.clean(), "pxe/configs/x-lenovo2");
        let plain = text_
            .replace("{% if true %}\n", "")
            .replace("{% endif %}\n", "")
            .replace("{{ name }}", "lenovo2");
        assert_eq!(rendered, plain, "{text_:?}");
    }
}

#[test]
fn what_read_a_secret_is_secret_and_what_did_not_is_public() {
    let catalogue = Site::new().clean();
    for (path, artifact) in catalogue.iter() {
        let secret = ["k3s-token", "keepalived-lenovo", "k3s-node-password-"];
        let expected = secret.iter().any(|name| path.as_str().starts_with(&format!("pxe/configs/{name}")));
        assert_eq!(artifact.is_secret(), expected, "{path}");
    }
    for (template, secret) in [
        ("{{ secrets.k3s_token }}\n", true),
        ("{% if secrets.keepalived_auth_pass == 'x' %}y{% endif %}\n", true),
        ("{% set x = secrets %}{{ x['k3s_token'] | length }}\n", true),
        ("{{ vips.control_planes }}\n", false),
        ("{{ secrets }}\n", false),
    ] {
        let catalogue = Site::new().artifact("pxe/configs/x", template).clean();
        assert_eq!(artifact(&catalogue, "pxe/configs/x").is_secret(), secret, "{template}");
    }
}

#[test]
fn a_secret_within_butane_makes_the_butane_and_its_ignition_secret() {
    let catalogue = Site::new()
        .changed(
            "butane/node.bu.j2",
            "          {{ host.name }}\n",
            "          {{ host.name }} {{ secrets.k3s_token }}\n",
        )
        .clean();
    for path in ["pxe/butane/lenovo2.bu", "pxe/ignition/lenovo2.ign", "pxe/ignition/lenovo1-bootstrap.ign"] {
        assert!(artifact(&catalogue, path).is_secret(), "{path}");
        assert!(text(&catalogue, path).contains(CANARY_TOKEN), "{path}");
        assert_ne!(artifact(&catalogue, path).audience, Audience::Everyone, "{path}");
    }
    assert!(!artifact(&catalogue, "pxe/boot.ipxe").is_secret());
}

/// Ways to print a map whole: none of them may print this one.
#[test]
fn secrets_are_read_by_name_or_not_at_all() {
    for expression in [
        "secrets",
        "secrets | string",
        "secrets | tojson",
        "secrets | yaml",
        "secrets | pprint",
        "[secrets]",
        "{'a': secrets}",
        "debug()",
        "debug(secrets)",
        "secrets | urlencode",
        "secrets ~ ''",
    ] {
        let site = Site::new().artifact("pxe/configs/x", &format!("{{{{ {expression} }}}}\n"));
        let loaded = site.load();
        let found = loaded.report.to_text(false);
        let text = loaded.generation.map(|loaded| text(&loaded.catalogue, "pxe/configs/x")).unwrap_or(found);
        assert!(!text.contains(CANARY_TOKEN) && !text.contains(CANARY_PASSWORD), "{expression}: {text}");
    }
    for template in [
        "{% for s in secrets %}{{ s }}{% endfor %}",
        "{{ secrets | list }}",
        "{{ secrets | items }}",
        "{{ secrets | dictsort }}",
    ] {
        let site = Site::new().artifact("pxe/configs/x", template);
        let loaded = site.load();
        let text =
            loaded.generation.map(|loaded| text(&loaded.catalogue, "pxe/configs/x")).unwrap_or_default();
        assert!(!text.contains(CANARY_TOKEN) && !text.contains("k3s_token"), "{template}: {text}");
    }
    Site::new().artifact("pxe/configs/x", "{{ secrets.nope }}\n").error(&["`secrets.nope` is not defined"]);
}

#[test]
fn no_finding_quotes_a_secret() {
    for template in [
        "{% include secrets.k3s_token %}",
        "{{ base_url }}/pxe/{{ secrets.k3s_token }}",
        "{{ base_url }}/pxe/{{ secrets.keepalived_auth_pass }}",
        "{{ secrets.k3s_token | int }}",
        "{{ secrets.k3s_token.nope }}",
        "{{ vips[secrets.k3s_token] }}",
        "{{ secrets.k3s_token | nope }}",
        "{{ secrets.k3s_token + 1 }}",
    ] {
        Site::new().artifact("pxe/configs/x", template).error(&[]);
    }
    for (from, to) in [
        ("version: {{ butane_version }}", "version: {{ secrets.k3s_token }}"),
        ("mode: {{ file.mode }}", "mode: {{ secrets.k3s_token }}"),
        ("hash: {{ file.hash }}", "hash: {{ secrets.k3s_token }}"),
        ("source: {{ file.url }}", "source: {{ secrets.k3s_token }}"),
        ("path: {{ file.path }}", "path: {{ secrets.k3s_token }}"),
        ("      enabled: true", "      {{ secrets.k3s_token }}: true"),
        ("variant: fcos", "{{ secrets.k3s_token }}: {{ secrets.keepalived_auth_pass }}"),
        ("variant: fcos", "{{ secrets.k3s_token }}"),
        (
            "      overwrite: true\n      mode: {{ file.mode }}",
            "      {{ secrets.keepalived_auth_pass }}: true",
        ),
    ] {
        let loaded = Site::new().changed("butane/node.bu.j2", from, to).load();
        let found = loaded.report.to_text(false);
        assert!(!loaded.report.is_empty(), "{to} was accepted");
        assert!(!found.contains(CANARY_TOKEN) && !found.contains(CANARY_PASSWORD), "{to}\n{found}");
    }
}

#[test]
fn a_secret_that_others_could_read_on_the_node_is_refused() {
    let site = |mode: &str| {
        Site::new().template("mine.j2", "{{ secrets.k3s_token }}\n").artifacts(&[&format!(
            "path: \"pxe/configs/x-{{host}}\", template: mine.j2, install: {{path: /etc/x, mode: {mode}}}"
        )])
    };
    let found = site("0644").error(&[
        "holds a secret, and mode 0644 lets others read it",
        "write 0600",
        "artifacts.yaml:2:",
    ]);
    assert_eq!(found.matches("error").count(), 1, "once, not for each host\n{found}");
    site("0640").error(&["mode 0640"]);
    site("0600").clean();
    site("0400").clean();
}

#[test]
fn a_mode_without_its_zero_is_refused() {
    let site = |mode: &str| {
        Site::new().template("mine.j2", "x\n").artifacts(&[&format!(
            "path: pxe/configs/x, template: mine.j2, install: {{path: /etc/x, mode: {mode}}}"
        )])
    };
    // 400 would be 0620, 420 would be 0644.
    for mode in ["644", "755", "600", "400", "420", "440", "500", "0o1777", "04755", "0044", "-1"] {
        site(mode).error(&[&format!("{mode} is not a file mode"), "0644, 0755, 0600", "artifacts.yaml:2:"]);
    }
    for mode in ["\"0644\"", "rw-r--r--", "[0644]"] {
        site(mode).error(&["install.mode: here stands"]);
    }
    for (mode, number) in [("0644", 0o644), ("0400", 0o400), ("0o640", 0o640)] {
        let file = installed(&site(mode).clean(), "pxe/ignition/lenovo2.ign", "/etc/x").unwrap();
        assert_eq!(file["mode"], number, "{mode}");
    }
}

#[test]
fn a_condition_that_cannot_be_decided_is_a_finding_at_its_place_once() {
    for (condition, said) in [
        ("host.role ==", "cannot be evaluated"),
        ("host.labels.gpu", "it is a text, not true or false"),
        ("hots.role == 'worker'", "`hots.role` is not defined"),
        ("host.rol == 'worker'", "`host.rol` is not defined"),
        ("tower1", "`tower1` is not defined"),
        ("host.name", "it is a text, not true or false"),
        ("nope(host)", "cannot be evaluated"),
    ] {
        for key in ["hosts: \"COND\"", "install: {path: /etc/x, mode: 0644, when: \"COND\"}"] {
            let key = key.replace("COND", condition);
            let site = Site::new()
                .template("mine.j2", "x\n")
                .artifacts(&[&format!("path: \"pxe/configs/x-{{host}}\", template: mine.j2, {key}")]);
            let found = site.error(&[said, "artifacts.yaml:2:", "host.labels.gpu is defined"]);
            assert_eq!(found.matches("error: ").count(), 1, "{condition}\n{found}");
        }
    }
}

#[test]
fn two_files_at_one_place_of_a_node_are_refused() {
    Site::new()
        .template("a.j2", "a\n")
        .template("b.j2", "b\n")
        .artifacts(&[
            "path: pxe/configs/a, template: a.j2, install: {path: /etc/x, mode: 0644}",
            "path: pxe/configs/b, template: b.j2, install: {path: /etc/x, mode: 0644}",
        ])
        .error(&["/etc/x"]);
}

#[test]
fn arguments_of_the_users_own_for_the_api_server_do_not_take_ours_away() {
    let with = |extra: &str| {
        let site = Site::new()
            .inventory("token: {file: token}}", &format!("token: {{file: token}}, extra_config: {extra}}}"));
        text(&site.clean(), "pxe/configs/k3s-config-lenovo2.yaml")
    };
    for extra in ["{kube-apiserver-arg: [v=4]}", "{kube-apiserver-arg: v=4}", "{kube-apiserver-arg+: [v=4]}"]
    {
        let config: serde_json::Value = serde_yaml::from_str(&with(extra)).unwrap();
        let arguments = &config["kube-apiserver-arg"];
        assert_eq!(
            arguments[0], "authentication-config=/etc/rancher/k3s/authentication-config.yaml",
            "{extra}"
        );
        assert_eq!(arguments[1], "v=4", "{extra}");
    }
    let config: serde_json::Value =
        serde_yaml::from_str(&with("{flannel-backend: host-gw, note: \"a\\n\\n\"}")).unwrap();
    assert_eq!((&config["flannel-backend"], &config["note"]), (&"host-gw".into(), &"a\n\n".into()));
}

/// k3s reads YAML 1.1, in which more words are something else than in 1.2.
#[test]
fn texts_that_look_like_something_else_are_quoted_in_the_configuration_of_k3s() {
    let words = [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "true",
        "null",
        "~",
        "012",
        "0x1f",
        "0o17",
        "1_000",
        "1e3",
        ".5",
        "12:30:45",
        "2001-01-01",
        "<<",
        "=",
        "-",
        "",
        " a",
        "a ",
        "a: b",
        "a #b",
        "#a",
        "*a",
        "&a",
        "!a",
        "|",
        "%a",
        "@a",
        "`a",
        "{a}",
        "[a]",
        "'",
        "\"",
        "\\",
        "a\nb",
        "\u{85}",
        "\t",
    ];
    let words = words.as_slice();
    let json = serde_json::to_string(words).unwrap();
    let site = Site::new().inventory(
        "token: {file: token}}",
        &format!("token: {{file: token}}, extra_config: {{x: {json}}}}}"),
    );
    let rendered = text(&site.clean(), "pxe/configs/k3s-config-lenovo2.yaml");
    let config: serde_json::Value = serde_yaml::from_str(&rendered).unwrap();
    assert_eq!(config["x"], serde_json::json!(words), "{rendered}");
    let plain: Vec<&str> =
        words[..17].iter().copied().filter(|word| rendered.contains(&format!("- {word}\n"))).collect();
    assert_eq!(plain, Vec::<&str>::new(), "{rendered}");
}
