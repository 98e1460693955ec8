"""The one door to TensorFlow: whatever needs it runs in a child process, never in the caller."""
