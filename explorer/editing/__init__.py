"""Pure edits: a model and what to change in it → another model."""
