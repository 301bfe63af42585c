"""What generates parts of the documentation: a module for each kind of page; ``generate.py`` has the list."""
