"""How models, findings, diffs and code look: text, HTML and DataFrames, escaped in one place."""
