"""The networks that come with the program, one a line: pretrained/<network>.pickle, with its card <network>.md beside it.

The columns: the name, for --network and --eval; the SHA-256 of the file; which kind of picture --denoise takes it for where
no network is named (rgb, grey, none); its PSNR on Kodak in dB. tools/make_card.py prints the line of a new one.
"""

_TABLE = """
network                                   sha256                                                            default  kodak
"""


def _parse(table: str) -> dict[str, dict]:
    """Reads a table, and returns the other columns of each network by its name."""
    (_, *columns), *rows = (line.split() for line in table.strip().splitlines())
    found = {name: dict(zip(columns, cells, strict=True)) for name, *cells in rows}
    return {name: {**row, "kodak": float(row["kodak"])} for name, row in found.items()}


NETWORKS = _parse(_TABLE)
