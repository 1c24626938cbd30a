"""Models, their versions, aliases and traffic, and their trainings."""
