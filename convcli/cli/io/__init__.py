"""Inputs and outputs of the commands."""
