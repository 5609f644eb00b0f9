"""The docs say what the code does. `UPDATE_DOCS=1` writes the parts that are made from it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from kairos_netboot.boot.lifecycle import TABLE, Kind
from kairos_netboot.boot.site import ExitMethod
from kairos_netboot.cli.main import app
from kairos_netboot.config.resources import load_recipes
from kairos_netboot.config.sitefile import load_site

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])


def states_table() -> str:
    """Rows by event, since that is what a reader has in hand."""
    rows = ["| event | from | to |", "|---|---|---|"]
    for kind in Kind:
        for target in dict.fromkeys(to for (_, k), to in TABLE.items() if k is kind):
            sources = [s for (s, k), to in TABLE.items() if k is kind and to is target]
            rows.append(f"| {kind} | {', '.join(sources)} | {target} |")
    return "\n".join(rows)


def test_the_drawn_life_of_a_node_is_the_table() -> None:
    page = DOCS / "architecture.md"
    text = page.read_text()
    made = re.sub(
        r"(<!-- states:[^\n]*-->\n).*(<!-- end -->)",
        lambda match: f"{match[1]}\n{states_table()}\n\n{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(made)
    assert page.read_text() == made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_recipe_and_exit_method_is_documented() -> None:
    text = (DOCS / "site-file.md").read_text()
    for name in [*load_recipes().recipes, *ExitMethod]:
        assert f"| `{name}` |" in text


def test_every_option_of_serve_is_documented() -> None:
    import typer.main

    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    text = (DOCS / "operations.md").read_text() + (DOCS / "hardware.md").read_text()
    for parameter in serve.params:
        for option in [*parameter.opts, *parameter.secondary_opts]:
            assert f"`{option}" in text or f"{option} " in text, option


def test_every_command_and_option_of_images_is_documented() -> None:
    import typer.main

    images = typer.main.get_command(app).commands["images"]  # type: ignore[attr-defined]
    text = (DOCS / "images.md").read_text()
    for name, command in images.commands.items():
        assert re.search(rf"images {name}\b|`{name}`", text), name
        for option in (option for parameter in command.params for option in parameter.opts):
            assert not option.startswith("--") or option in text, f"{name} {option}"


def test_the_site_of_the_first_steps_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "getting-started.md").read_text(), re.DOTALL)
    (tmp_path / "site.yaml").write_text(blocks[0])
    (tmp_path / "base.yaml").write_text(blocks[1])
    site = load_site(tmp_path / "site.yaml", load_recipes().recipes)

    from kairos_netboot.cli.site import check_documents

    assert check_documents(site) == []
