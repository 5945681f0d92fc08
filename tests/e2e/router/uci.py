#!/usr/bin/python3 -IS
"""OpenWRT's uci as far as the rendered scripts use it. UCI_STATE has the configurations as JSON, what was committed and
what is staged: {"committed": {PACKAGE: [[SECTION, TYPE, {OPTION: VALUE or [VALUE…]}]…]}, "staged": {…}}."""
import copy
import json
import os
import re
import sys

with open(os.environ["UCI_STATE"], encoding="utf-8") as file:
    state = json.load(file)
verb, word = sys.argv[1:]
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
    for entry, kind, options in sections:
        yield f"{package}.{entry}={kind}"
        for key, values in options.items():
            yield f"{package}.{entry}.{key}=" + " ".join(f"'{one}'" for one in ([values] if isinstance(values, str) else values))


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
