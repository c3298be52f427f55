"""The networks that come with the program, one a line: pretrained/<network>.pickle, with its card <network>.md beside it.

The columns: the name, for --network and --eval; the SHA-256 of the file; which kind of picture --denoise takes it for where
no network is named (rgb, grey, none); its PSNR on Kodak in dB. tools/make_card.py prints the line of a new one.
"""

from config.table import rows_by_name

_TABLE = """
network                                   sha256                                                            default  kodak
gauss25-blindspot-sigma_known             28bc8fc8a85026b8d2116dddb77edb5e44078c4577b1e79a3d52b5e63e9cad0e  none     32.09
gauss5_50-blindspot-sigma_per_image       9beba6d324965bf4fc76a67428cb30b885644420036a92a44ba02c2678b390f5  rgb      32.08
gauss5_50-blindspot-sigma_per_image-mono  0992426c7a2815af6d3b31921d138f2a0560736a243ba200fda5af62e60545e1  grey     30.31
poisson5_50-blindspot-sigma_per_image     5fde3a876831a098f25ed9f97f5f3dd77adc0e9056ccc448606dc54794c6822b  none     30.62
"""


def _parse(table: str) -> dict[str, dict]:
    """Reads a table, and returns the other columns of each network by its name."""
    return {name: {**row, "kodak": float(row["kodak"])} for name, row in rows_by_name(table).items()}


NETWORKS = _parse(_TABLE)
