"""What TensorFlow Serving takes and answers: request bodies made from a signature."""
