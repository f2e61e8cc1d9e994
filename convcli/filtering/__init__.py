"""Filters: kernels applied to the planes of an image, and results brought back into its type.

``options`` lists all that can be asked for; ``filter`` goes from planes to outputs (light, brightness,
memory, combination, range); ``response`` is one kernel's part (divisor, bias, transparency, repetition);
``banks`` does the same for a bank of kernels, a layer of a neural network. Everything is prepared first, so
that the plan which is shown is the one that runs. A new option is a field of ``options.Filter`` and its use
in ``filter`` (of the image) or ``response`` (of one kernel). What changes finished samples belongs in
``filter.finished`` and in ``response.respond_into``, or is excluded by ``response.in_one_go``: most photos
are finished tile by tile and never reach the former. Imports the rooms up to ``layers``.
"""
