"""The controls of dataset drift."""
