"""Inputs and outputs of the commands.

``files`` reads and writes images and arrays; ``sources`` gives matrices their kernel and image;
``matrix_output`` writes them; ``targets`` says where results go; ``jobs`` runs a command's work on every
input, and ``prefetch`` works on the next inputs meanwhile.
"""
