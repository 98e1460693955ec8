"""Something else to a SavedModel: what a file is, what it lacks, and what of it becomes inputs and outputs."""
