"""Views of tables that people keep for themselves: filters and columns under a name, for each person and room."""
