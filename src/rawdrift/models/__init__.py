"""A view becomes a prediction: task models, their training, and what they predict."""
