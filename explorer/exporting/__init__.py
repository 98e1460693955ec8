"""How an edited SavedModel becomes a new version under a base path, whole or not at all."""
