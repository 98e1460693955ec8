"""Steps before and after a model: functions of TensorFlow's that a child process traces, once, for an export."""
