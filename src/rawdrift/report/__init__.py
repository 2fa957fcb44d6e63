"""What pages share: frame, tables, figures, pictures, style. It draws and computes nothing."""
