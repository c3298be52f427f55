"""Run directories: their numbers, their books and logs, and signals that end a run."""
