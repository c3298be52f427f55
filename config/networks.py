"""The networks that come with the program, one a line: pretrained/<network>.pickle, with its card <network>.md beside it.

The columns: the name, for --network and --eval; the SHA-256 of the file; which kind of picture --denoise takes it for where
no network is named (rgb, grey, none); its PSNR on Kodak in dB. tools/make_card.py prints the line of a new one.
"""

from config.table import rows_by_name

_TABLE = """
network                                   sha256                                                            default  kodak
gauss25-blindspot-sigma_known             192e8abbfef6a3ec0dd65791fea2a44dfe0db0c2945c363c6ad20dc58789cd67  none     31.96
gauss5_50-blindspot-sigma_per_image       5ff2b4c9d82d22940af42e5b215ff167cb230b7d60ad8b5f9bd015194252bff7  rgb      31.30
gauss5_50-blindspot-sigma_per_image-mono  d384e210b61247e7cc27294215be7616e09532ef32b843635f99365c8249ddf9  grey     30.12
"""


def _parse(table: str) -> dict[str, dict]:
    """Reads a table, and returns the other columns of each network by its name."""
    return {name: {**row, "kodak": float(row["kodak"])} for name, row in rows_by_name(table).items()}


NETWORKS = _parse(_TABLE)
