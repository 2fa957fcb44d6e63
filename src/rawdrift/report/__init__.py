"""What the pages of all controls share: frame, tables, figures, pictures and style."""
