"""The 46 published configurations, one a line, and those for pictures that are noisy already.

`images` is the length of the published training schedule, `snapshot` the interval of network snapshots in images
(0: none but the last), `published` the number under which the authors released their network of that configuration (-:
ours, they have none).
"""

COLUMNS = ("noise_style", "pipeline", "noise_params", "diagonal", "channels", "images", "snapshot", "published")

_TABLE = """
# noise        pipeline        params     diagonal  channels  images      snapshot  published
  gauss25      n2c             -          no        3         2_000_000   0         00011
  gauss25      n2n             -          no        3         2_000_000   0         00012
  gauss25      blindspot       known      no        3         2_000_000   0         00013
  gauss25      blindspot       global     no        3         2_000_000   0         00014
  gauss25      blindspot       known      yes       3         2_000_000   0         00015
  gauss25      blindspot       global     yes       3         2_000_000   0         00016
  gauss25      blindspot_mean  -          no        3         2_000_000   0         00017
  gauss5_50    n2c             -          no        3         2_000_000   0         00018
  gauss5_50    n2n             -          no        3         2_000_000   0         00019
  gauss5_50    blindspot       known      no        3         2_000_000   0         00020
  gauss5_50    blindspot       per_image  no        3         2_000_000   0         00021
  gauss5_50    blindspot       known      yes       3         2_000_000   0         00022
  gauss5_50    blindspot       per_image  yes       3         2_000_000   0         00023
  gauss5_50    blindspot_mean  -          no        3         2_000_000   0         00024
  poisson30    n2c             -          no        3         2_000_000   0         00030
  poisson30    n2n             -          no        3         2_000_000   0         00031
  poisson30    blindspot       known      no        3         2_000_000   0         00032
  poisson30    blindspot       global     no        3         2_000_000   0         00033
  poisson30    blindspot_mean  -          no        3         2_000_000   0         00034
  poisson5_50  n2c             -          no        3         2_000_000   0         00035
  poisson5_50  n2n             -          no        3         2_000_000   0         00036
  poisson5_50  blindspot       known      no        3         2_000_000   0         00037
  poisson5_50  blindspot       per_image  no        3         2_000_000   0         00038
  poisson5_50  blindspot_mean  -          no        3         2_000_000   0         00039
  impulse50    n2c             -          no        3         16_000_000  0         00050
  impulse50    n2n             -          no        3         16_000_000  0         00051
  impulse50    blindspot       known      no        3         4_000_000   0         00052
  impulse50    blindspot       global     no        3         4_000_000   0         00053
  impulse50    blindspot_mean  -          no        3         8_000_000   0         00054
  impulse0_100 n2c             -          no        3         16_000_000  0         00055
  impulse0_100 n2n             -          no        3         16_000_000  0         00056
  impulse0_100 blindspot       known      no        3         4_000_000   0         00057
  impulse0_100 blindspot       per_image  no        3         4_000_000   0         00058
  impulse0_100 blindspot_mean  -          no        3         8_000_000   0         00059
  gauss25      n2c             -          no        1         2_000_000   0         00180
  gauss25      blindspot       known      no        1         2_000_000   0         00181
  gauss25      blindspot       global     no        1         2_000_000   0         00182
  gauss5_50    n2c             -          no        1         2_000_000   0         00183
  gauss5_50    blindspot       known      no        1         2_000_000   0         00184
  gauss5_50    blindspot       per_image  no        1         2_000_000   0         00185
  poisson30    n2c             -          no        1         2_000_000   0         00188
  poisson30    blindspot       known      no        1         2_000_000   0         00189
  poisson30    blindspot       global     no        1         2_000_000   0         00190
  poisson5_50  n2c             -          no        1         2_000_000   0         00191
  poisson5_50  blindspot       known      no        1         2_000_000   0         00192
  poisson5_50  blindspot       per_image  no        1         2_000_000   100_000   00193
"""

_REAL_TABLE = """
# noise             pipeline   params     diagonal  channels  images      snapshot  published
  real_gauss        blindspot  global     no        3         2_000_000   0         -
  real_gauss        blindspot  per_image  no        3         2_000_000   0         -
  real_poisson      blindspot  global     no        3         2_000_000   0         -
  real_poisson      blindspot  per_image  no        3         2_000_000   0         -
  real_poissongauss blindspot  global     no        3         2_000_000   0         -
  real_poissongauss blindspot  per_image  no        3         2_000_000   0         -
  real_curve        blindspot  global     no        3         2_000_000   0         -
  real_gauss        blindspot  global     no        1         2_000_000   0         -
  real_gauss        blindspot  per_image  no        1         2_000_000   0         -
  real_poisson      blindspot  global     no        1         2_000_000   0         -
  real_poisson      blindspot  per_image  no        1         2_000_000   0         -
  real_poissongauss blindspot  global     no        1         2_000_000   0         -
  real_poissongauss blindspot  per_image  no        1         2_000_000   0         -
  real_curve        blindspot  global     no        1         2_000_000   0         -
"""


def _parse(table: str) -> list[dict]:
    """Reads a table, and returns a dict for each configuration, keyed by COLUMNS."""
    rows = []
    for line in table.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        row = dict(zip(COLUMNS, line.split(), strict=True))
        row["noise_params"] = None if row["noise_params"] == "-" else row["noise_params"]
        row["diagonal"] = row["diagonal"] == "yes"
        row |= {key: int(row[key]) for key in ("channels", "images", "snapshot")}
        rows.append(row)
    return rows


CONFIGURATIONS = _parse(_TABLE)
REAL_CONFIGURATIONS = _parse(_REAL_TABLE)
