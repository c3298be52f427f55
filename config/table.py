"""Reads the tables of this folder that have a heading: columns of words, of which the first names the row."""


def rows_by_name(table: str) -> dict[str, dict[str, str]]:
    """Returns the cells of each row by the names of their columns, by the name of the row.

    Raises ValueError for a row of too few or too many words.
    """
    (_, *columns), *rows = (line.split() for line in table.strip().splitlines())
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in rows}
