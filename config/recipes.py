"""The recipes of training, one a line: how the steps are taken. docs/recipe.md says what was tried, and how it came out.

The columns are options of `--train`, of which any that is given counts more than the recipe's.
"""

from config.table import rows_by_name

_TABLE = """
recipe      minibatch_size  optimizer  beta1  beta2  learning_rate  rate_shape  clip_norm  noise_rate  end_resolution
published   4               adam       0.9    0.99   3e-4           ramps       0          1           0
fast        1               soap       0.95   0.95   2e-3           linear      3          10          0
"""

_TYPES = {"minibatch_size": int, "optimizer": str, "rate_shape": str, "end_resolution": int}  # the others are float

RECIPES = {
    name: {column: _TYPES.get(column, float)(cell) for column, cell in row.items()}
    for name, row in rows_by_name(_TABLE).items()
}
