"""What is wrong with a SavedModel, and what a new version of it does to the clients of the old one."""
