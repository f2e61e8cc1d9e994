"""Matrices for people: facts, construction, pictures."""
