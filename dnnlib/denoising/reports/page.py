"""Makes a page of a template: one file, which needs no network and no server, and runs no script but its own.

Everything that is put in is escaped, for names of files and folders come from strangers; and should something slip through
nevertheless, the page's own policy (CSP) lets the browser run and load nothing else.
"""

import base64
import functools
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from dnnlib.errors import printable

GENERATOR = "selfsupervised-denoising"  # by which its own pages are known
_TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, **values: Any) -> str:
    """Returns the text of a page. template: the name of a file in `templates`; values: what it shows."""
    from markupsafe import Markup  # late, as below

    style, script = (Markup((_TEMPLATES / name).read_text("utf-8")) for name in ("style.css", "page.js"))
    written = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    fixed = {"style": style, "script": script, "style_hash": _hash(style), "script_hash": _hash(script)}
    return _environment().get_template(template).render(**values, **fixed, written=written, generator=GENERATOR)


def is_ours(path: Path) -> bool:
    """Tells whether a page may be written under a name: there is none, or one of this program's. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return f'content="{GENERATOR}"'.encode() in file.read(1000)
    except FileNotFoundError:
        return True


@functools.cache
def _environment() -> Any:
    """Returns Jinja's environment, which escapes everything but what is marked as safe."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # late: it takes a while to import

    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_shown
    )


def _shown(value: Any) -> Any:
    """Returns what is put into the page: a text without control characters, which no browser would show."""
    return printable(value) if type(value) is str and not value.isprintable() and "\n" not in value else value


def _hash(text: str) -> str:
    """Returns a text's hash as the policy has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
