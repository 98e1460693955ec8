"""What a SavedModel is, and how it is read: no TensorFlow, nothing executed."""
