"""What must hold in a SavedModel, and what its graph can reach."""
