"""The experiments of the papers, end to end."""
