"""What a wrong or stale address gets: a valid document that fails where people look.

An error page would do harm: Kairos takes any failure to fetch its configuration for an empty
one, without a word, and ends in a shell or at a QR code (docs/kairos.md).
"""

from __future__ import annotations

import re
import shlex

import yaml

from .dialect import BOOL
from .document import write_document
from .yamlnodes import list_node, map_node, text_node


def refusal(reason: str) -> str:
    """A cloud-config that installs nothing, holds no secret and says `reason` on the console."""
    # yip expands `{{ }}` in commands; a reason may quote a template.
    told = " ".join(reason.replace("{{", "{ {").split())[:500] or "refused"
    told = "".join(letter for letter in told if letter.isprintable())
    message = f"kairos-netboot gave this machine no configuration: {told}"
    hook = {
        "name": text_node("kairos-netboot: say why nothing is installed"),
        "commands": list_node(
            [text_node(f"printf '\\n%s\\n\\n' {shlex.quote(message)} > /dev/console || true")]
        ),
    }
    root = map_node(
        {
            # Nothing to fetch after this: an address here would be followed without end.
            "config_url": text_node(""),
            "install": _install(told),
            # Kairos' first check wants an admin. Without a password or a key it opens nothing,
            # and it is never made. (`nousers: true` would do from Kairos 3.3 on only.)
            "users": list_node(
                [
                    map_node(
                        {
                            "name": text_node("kairos"),
                            "groups": list_node([text_node("admin")]),
                        }
                    )
                ]
            ),
            # Runs before the disk is looked for, and writes nowhere but on the console.
            "stages": map_node({"kairos-install.pre": list_node([map_node(hook)])}),
        }
    )
    return write_document(root)


def _install(told: str) -> yaml.Node:
    # The installer stops with "disk … does not exist" before it writes anything, so the path is
    # the message. `auto`, or the agent would ask for a pairing instead of failing; neither
    # `reboot`, which would wipe the message off the screen, nor `no-format`, which would look
    # for an older installation to write into.
    slug = re.sub(r"[^a-z0-9]+", "-", told.lower()).strip("-")[:100].strip("-")
    return map_node(
        {
            "auto": yaml.ScalarNode(BOOL, "true"),
            "device": text_node(f"/dev/kairos-netboot/refused-{slug}"),
        }
    )
