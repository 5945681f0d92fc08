#!/usr/bin/python3 -IS
"""OpenWRT's uci as far as the rendered scripts use it. UCI_STATE has the configurations as JSON, what was committed and
what is staged: {"committed": {PACKAGE: [[SECTION, TYPE, {OPTION: VALUE or [VALUE…]}]…]}, "staged": {…}}.
A section whose name begins with "cfg" has none in the file: `show` calls it @TYPE[N], as uci does unless it is told -X."""
import copy
import json
import os
import re
import sys

with open(os.environ["UCI_STATE"], encoding="utf-8") as file:
    state = json.load(file)
arguments = sys.argv[1:]
quiet = arguments[0] == "-q"
verb, word = arguments[1:] if quiet else arguments
path, _, value = word.partition("=")
package, _, rest = path.partition(".")
name, _, option = rest.partition(".")
committed = state["committed"].get(package)
if committed is None:
    sys.exit(f"uci: Entry not found: {package}")
sections = state["staged"].setdefault(package, copy.deepcopy(committed))


def section():
    anonymous = re.fullmatch(r"@(\w+)\[(\d+)\]", name)
    if anonymous:
        return [entry for entry in sections if entry[1] == anonymous[1]][int(anonymous[2])]
    return next((entry for entry in sections if entry[0] == name), None)


def lines():
    seen = {}
    for entry, kind, options in sections:
        number = seen[kind] = seen.get(kind, -1) + 1
        shown = f"@{kind}[{number}]" if entry.startswith("cfg") else entry
        yield f"{package}.{shown}={kind}"
        for key, values in options.items():
            yield f"{package}.{shown}.{key}=" + " ".join(f"'{one}'" for one in ([values] if isinstance(values, str) else values))


if verb == "set" and not option:
    if not re.fullmatch(r"\w+", name):
        sys.exit("uci: Invalid argument")
    if section():
        section()[1] = value
    else:
        sections.append([name, value, {}])
elif verb in ("set", "add_list"):
    if section() is None:
        sys.exit("uci: Invalid argument")
    section()[2][option] = value if verb == "set" else [*section()[2].get(option, []), value]
elif verb == "get":
    found = section()
    values = found and (found[2].get(option) if option else found[1])
    if values is None:
        sys.exit(1 if quiet else "uci: Entry not found")
    print(values if isinstance(values, str) else " ".join(values))
elif verb == "delete":
    sections.remove(section())
elif verb in ("show", "export"):
    print("\n".join(lines()))
elif verb == "changes":
    print("changed" if sections != committed else "", end="")
elif verb == "revert":
    state["staged"].pop(package)
elif verb == "commit":
    state["committed"][package] = state["staged"].pop(package)
else:
    sys.exit(f"uci: {verb}?")
with open(os.environ["UCI_STATE"], "w", encoding="utf-8") as file:
    json.dump(state, file)
