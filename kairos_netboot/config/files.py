"""The files that a site file names: read once, from its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..boot.site import Template
from ..cloudconfig.spelling import hint
from ..errors import SiteMistake
from .located import Located

_MAX_FILE = 4 << 20


@dataclass(frozen=True, slots=True)
class Files:
    """`found`: what was read, by the path that the site file gives it."""

    folder: Path
    found: dict[str, str] = field(default_factory=dict)

    def template(self, at: Located) -> Template:
        return Template(name=at.text(), text=self.text(at))

    def path(self, at: Located) -> str:
        return str((self.folder / at.text()).absolute())

    def text(self, at: Located) -> str:
        """What is in the file that is named here."""
        path = self.folder / at.text()
        try:
            # A site file may come in a bundle from strangers: no pipe, no device, nothing huge.
            if path.exists() and (not path.is_file() or path.stat().st_size > _MAX_FILE):
                raise at.mistake(f"{path} is no text file of at most {_MAX_FILE >> 20} MiB")
            text = self.found[at.text()] = path.read_text(encoding="utf-8")
            return text
        except UnicodeDecodeError:
            raise at.mistake(f"{path} is no UTF-8 text: save it as UTF-8") from None
        except OSError as error:
            beside = [p.name for p in path.parent.glob("*") if p.is_file()]
            near = hint(path.name, beside)
            raise at.mistake(f"cannot read {path}: {error.strerror}{near}") from error


def read_site_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SiteMistake(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SiteMistake(f"{path}: is no UTF-8 text: save it as UTF-8") from error
