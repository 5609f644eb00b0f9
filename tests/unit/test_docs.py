"""The docs say what the code does. `UPDATE_DOCS=1` writes the parts that are made from it."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from kairos_netboot.boot.lifecycle import TABLE, Kind
from kairos_netboot.boot.site import ExitMethod
from kairos_netboot.cli.main import app
from kairos_netboot.cli.site import check_documents
from kairos_netboot.cloudconfig.yamlnodes import parse, to_value
from kairos_netboot.config.resources import load_recipes
from kairos_netboot.config.schema import json_schema, reference
from kairos_netboot.config.sitefile import load_site
from kairos_netboot.store.store import Store
from tests.unit.examples import Example, completed, examples, lay_out

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


def with_part(page: Path, name: str, part: str) -> str:
    """The page with what is between `<!-- NAME: … -->` and `<!-- end -->` made anew."""
    text = page.read_text()
    made = re.sub(
        rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{part}\n\n{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(made)
    return made


def test_the_drawn_life_of_a_node_is_the_table() -> None:
    page = DOCS / "architecture.md"
    made = with_part(page, "states", states_table())
    assert page.read_text() == made


def test_every_key_of_the_site_file_is_told() -> None:
    page = DOCS / "site-file.md"
    made = with_part(page, "keys", reference().rstrip())
    assert page.read_text() == made


def test_the_schema_in_the_docs_is_the_one_that_the_command_prints() -> None:
    path, made = DOCS / "site.schema.json", json.dumps(json_schema(), indent=2, ensure_ascii=False)
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(made + "\n")
    assert path.read_text() == made + "\n"


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

    assert check_documents(site) == []


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_every_site_file_that_is_shown_can_be_applied(example: Example, tmp_path: Path) -> None:
    site_file = lay_out(tmp_path, completed(example.text))
    site = load_site(site_file, load_recipes().recipes)
    check_documents(site)
    store = Store(tmp_path / "state")
    try:
        assert store.apply(site, datetime.now(UTC))
        assert store.apply(site, datetime.now(UTC)) == []
    finally:
        store.close()
    as_read = to_value(parse(site_file.read_text(), "site.yaml"))
    jsonschema.validate(as_read, json_schema())


def test_the_docs_show_site_files() -> None:
    assert len(list(examples())) > 10
